//! The time grid of a range answer.

use daymark_model::{TimeRange, UnixNanos};

use crate::QueryError;

/// Points that a step chosen by us aims at, at most.
const AIM_POINTS: u64 = 240;

const STEPS_S: [u64; 14] = [10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];

/// Steps of equal width that cover a range; they begin at multiples of the width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    /// From the first step's start to the last one's end.
    pub(crate) range: TimeRange,
    pub(crate) step_s: u64,
}

impl Grid {
    /// The grid for `range`. Steps hold whole 10 s windows, otherwise a window would be counted in the wrong step.
    pub(crate) fn new(range: TimeRange, step_s: Option<u64>, max_points: usize) -> Result<Grid, QueryError> {
        let length_s = (range.end.0 - range.start.0).div_ceil(1_000_000_000);
        let step_s = match step_s {
            Some(0) => return Err(QueryError::parameter("step", "step must be 10 seconds or more")),
            Some(step_s) if !step_s.is_multiple_of(10) => {
                return Err(QueryError::parameter(
                    "step",
                    format!("step must be a multiple of 10 seconds, got {step_s}"),
                ));
            }
            Some(step_s) if step_s > 366 * 86_400 => {
                return Err(QueryError::parameter("step", "step must be at most a year"));
            }
            Some(step_s) => step_s,
            None => {
                let days = || length_s.div_ceil(AIM_POINTS).div_ceil(86_400) * 86_400;
                STEPS_S.into_iter().find(|step_s| length_s.div_ceil(*step_s) <= AIM_POINTS).unwrap_or_else(days)
            }
        };
        let step_ns = step_s * 1_000_000_000;
        let start = range.start.window(step_ns);
        let steps = (range.end.0 - start.0).div_ceil(step_ns);
        if steps > max_points as u64 {
            return Err(QueryError::Limit {
                what: format!("the range has {steps} steps"),
                option: "max_points",
                limit: max_points as u64,
                advice: "choose a larger step or a shorter range",
            });
        }
        Ok(Grid { range: TimeRange { start, end: start.plus(steps.saturating_mul(step_ns)) }, step_s })
    }

    pub(crate) fn step_ns(&self) -> u64 {
        self.step_s * 1_000_000_000
    }

    pub(crate) fn len(&self) -> usize {
        let steps = (self.range.end.0 - self.range.start.0) / (self.step_s * 1_000_000_000);
        // At most `max_points`, a usize.
        usize::try_from(steps).unwrap_or(0)
    }

    /// Which step holds the instant.
    pub(crate) fn position(&self, time: UnixNanos) -> Option<usize> {
        let since = self.range.contains(time).then(|| time.0 - self.range.start.0)?;
        usize::try_from(since / (self.step_s * 1_000_000_000)).ok()
    }

    /// Start of a step, milliseconds since the epoch.
    pub(crate) fn start_ms(&self, position: usize) -> u64 {
        self.range.start.0 / 1_000_000 + position as u64 * self.step_s * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start_s: u64, end_s: u64) -> TimeRange {
        TimeRange { start: UnixNanos::from_seconds(start_s), end: UnixNanos::from_seconds(end_s) }
    }

    #[test]
    fn the_grid_is_aligned_and_covers_the_range() {
        for (start_s, end_s, step_s) in [(1_003, 4_603, None), (0, 1, None), (65, 130, Some(60)), (1, 31, Some(10))] {
            let grid = Grid::new(range(start_s, end_s), step_s, 11_000).unwrap();
            assert_eq!(grid.range.start.seconds() % grid.step_s, 0);
            assert!(grid.range.start.seconds() <= start_s && grid.range.end.seconds() >= end_s);
            assert!(grid.len() <= 241, "{} steps", grid.len());
            assert_eq!(grid.position(grid.range.start), Some(0));
            assert_eq!(grid.position(grid.range.end.minus(1)), Some(grid.len() - 1));
            assert_eq!(grid.position(grid.range.end), None);
        }
    }

    #[test]
    fn steps_that_split_windows_are_refused() {
        for step_s in [0, 5, 15, u64::MAX / 10 * 10] {
            assert!(Grid::new(range(0, 3_600), Some(step_s), 11_000).is_err(), "{step_s}");
        }
        assert!(Grid::new(range(0, 3_600), Some(10), 100).is_err());
    }
}
