//! When the page is due, from the demo's own counts: an independent, brute-force reading of the burn-rate rule.
//!
//! A tier fires when more than `factor x (1 - target)` of the requests failed over its long and over its short window
//! (Google SRE workbook, chapter 5). For page-fast at 99.9 %: 14.4 / 1000 over 1 h and 5 min.

use daymark_model::UnixNanos;

/// Outcome of one request, as the caller saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) at: UnixNanos,
    pub(crate) bad: bool,
}

const LONG_S: u64 = 3_600;
const SHORT_S: u64 = 300;
/// 14.4 x 0.001 as a fraction.
const THRESHOLD: (u64, u64) = (144, 10_000);

/// The first instant at which page-fast should fire, if it should at all. `outcomes` are in order of time.
pub(crate) fn page_fast_due(outcomes: &[Outcome]) -> Option<UnixNanos> {
    outcomes
        .iter()
        .filter(|outcome| outcome.bad)
        .map(|outcome| outcome.at)
        .find(|&at| exceeds(outcomes, at, LONG_S) && exceeds(outcomes, at, SHORT_S))
}

fn exceeds(outcomes: &[Outcome], now: UnixNanos, window_s: u64) -> bool {
    let start = now.minus(window_s * 1_000_000_000);
    let first = outcomes.partition_point(|outcome| outcome.at <= start);
    let end = outcomes.partition_point(|outcome| outcome.at <= now);
    let window = &outcomes[first..end];
    let bad = window.iter().filter(|outcome| outcome.bad).count() as u64;
    bad * THRESHOLD.1 > window.len() as u64 * THRESHOLD.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_requests_failing_is_due_after_104_seconds() {
        let fault = 4_000;
        let outcomes: Vec<Outcome> = (0..2 * (fault + 300))
            .map(|i| Outcome { at: UnixNanos::from_millis(i * 500), bad: i / 2 >= fault && i % 2 == 0 })
            .collect();
        let due = page_fast_due(&outcomes).unwrap();
        let after_s = due.seconds() - fault;
        assert!((103..=105).contains(&after_s), "{after_s}");
    }

    #[test]
    fn healthy_traffic_is_never_due() {
        let outcomes: Vec<Outcome> =
            (0..10_000).map(|i| Outcome { at: UnixNanos::from_seconds(i), bad: false }).collect();
        assert!(page_fast_due(&outcomes).is_none());
    }
}
