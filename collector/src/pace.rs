//! Pacing: the applier slows down before publishing is so far behind that it has to wait for a seal.
//!
//! Where it sits: after each frame. Who waits for a seal waits for all of it, and acknowledgements behind a full read-ahead
//! with it; a little after each frame costs the same time and is noticed by nobody.
//!
//! Invariant: the pace depends on the seals under way only; while they hold less than half of the limit there is none.

use std::time::Duration;

/// At the limit a byte of a frame takes so long: 10 MB a second.
const NANOS_PER_BYTE: f64 = 100.0;
/// Waits are put together until they are worth a sleep.
const LEAST: Duration = Duration::from_millis(1);
/// Longest single wait.
const MOST: Duration = Duration::from_millis(50);

/// Waits of the applier.
pub(crate) struct Pace {
    limit: usize,
    owed: Duration,
}

impl Pace {
    /// For at most `limit` bytes under way.
    pub(crate) fn new(limit: usize) -> Pace {
        Pace { limit: limit.max(2), owed: Duration::ZERO }
    }

    /// How long to wait after a frame of `frame_bytes` while `under_way` bytes of rows are being published.
    pub(crate) fn after(&mut self, frame_bytes: usize, under_way: usize) -> Option<Duration> {
        let half = self.limit / 2;
        let behind = under_way.saturating_sub(half) as f64 / (self.limit - half) as f64;
        let nanos = NANOS_PER_BYTE * behind.min(1.0).powi(2) * frame_bytes as f64;
        self.owed = (self.owed + Duration::from_nanos(nanos as u64)).min(MOST);
        (self.owed >= LEAST).then(|| std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_000_000;

    #[test]
    fn frames_are_slowed_down_the_more_the_further_publishing_is_behind() {
        let wait = |under_way: usize| Pace::new(100 * MB).after(MB / 10, under_way);
        assert_eq!([wait(0), wait(50 * MB)], [None, None]);
        assert_eq!(wait(75 * MB), Some(Duration::from_micros(2_500)));
        assert_eq!(wait(100 * MB), Some(Duration::from_millis(10)));
        assert_eq!(wait(200 * MB), Some(Duration::from_millis(10)), "beyond the limit nothing is slower");
        assert_eq!(Pace::new(100 * MB).after(100 * MB, 100 * MB), Some(MOST));
    }

    #[test]
    fn waits_of_small_frames_are_put_together() {
        let mut pace = Pace::new(100 * MB);
        let waits: Vec<Option<Duration>> = (0..8).map(|_| pace.after(2_500, 100 * MB)).collect();
        let slept = Some(Duration::from_millis(1));
        assert_eq!(waits, [None, None, None, slept, None, None, None, slept]);
    }
}
