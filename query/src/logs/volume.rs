//! How many records matched, over time: the bars above a log list.

use daymark_model::TimeRange;
use serde::Serialize;

/// From this severity number on a record counts as an error (OTLP: ERROR is 17 to 20, FATAL 21 to 24).
const ERROR_SEVERITY: i32 = 17;

const MAX_BARS: u64 = 60;

/// Widths that read well on a time axis, seconds.
const WIDTHS_S: [u64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400];

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Bar {
    time_unix_ms: u64,
    count: u64,
    errors: u64,
}

/// Counts matches in bars of equal width that cover the range.
#[derive(Debug)]
pub(crate) struct Volume {
    start_ns: u64,
    width_ns: u64,
    bars: Vec<Bar>,
    matched: u64,
}

impl Volume {
    pub(crate) fn new(range: TimeRange) -> Volume {
        let span_s = (range.end.0.saturating_sub(range.start.0)).div_ceil(1_000_000_000).max(1);
        let whole_days = || span_s.div_ceil(MAX_BARS).div_ceil(86_400) * 86_400;
        let fits = |width_s: &u64| span_s.div_ceil(*width_s) <= MAX_BARS;
        let width_s = WIDTHS_S.into_iter().find(fits).unwrap_or_else(whole_days);
        let width_ns = width_s * 1_000_000_000;
        let start_ns = range.start.window(width_ns).0;
        let bar_count = (range.end.0 - start_ns).div_ceil(width_ns);
        let bar = |at| Bar { time_unix_ms: (start_ns + at * width_ns) / 1_000_000, count: 0, errors: 0 };
        Volume { start_ns, width_ns, bars: (0..bar_count).map(bar).collect(), matched: 0 }
    }

    pub(crate) fn add(&mut self, time_ns: i64, severity_number: i32) {
        self.matched += 1;
        let since = u64::try_from(time_ns).ok().and_then(|time_ns| time_ns.checked_sub(self.start_ns));
        let at = since.and_then(|since| usize::try_from(since / self.width_ns).ok());
        if let Some(bar) = at.and_then(|at| self.bars.get_mut(at)) {
            bar.count += 1;
            bar.errors += u64::from(severity_number >= ERROR_SEVERITY);
        }
    }

    pub(crate) fn matched(&self) -> u64 {
        self.matched
    }

    pub(crate) fn into_bars(self) -> Vec<Bar> {
        self.bars
    }
}

#[cfg(test)]
mod tests {
    use daymark_model::UnixNanos;

    use super::*;

    #[test]
    fn bars_cover_the_range_and_count_each_match_once() {
        for (start_s, length_s) in [(0, 1), (7, 60), (100, 3_600), (1_700_000_003, 86_400), (5, 90 * 86_400)] {
            let range =
                TimeRange { start: UnixNanos::from_seconds(start_s), end: UnixNanos::from_seconds(start_s + length_s) };
            let mut volume = Volume::new(range);
            volume.add(range.start.0 as i64, 9);
            volume.add(range.end.0 as i64 - 1, 17);
            assert_eq!(volume.matched(), 2);
            let bars = volume.into_bars();
            assert!(bars.len() <= 61, "{} bars for {length_s} s", bars.len());
            let sum = |count: fn(&Bar) -> u64| bars.iter().map(count).sum::<u64>();
            assert_eq!((sum(|bar| bar.count), sum(|bar| bar.errors)), (2, 1), "{length_s} s");
        }
    }
}
