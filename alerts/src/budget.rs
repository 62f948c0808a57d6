//! The error budget over the SLO's window, for people: no page depends on it.
//!
//! Rolling window, by whole hours and the hour that runs. The denominator is the events seen in the window, so early in a
//! service's life the budget is that of its life so far.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::sli::Counts;

const HOUR_S: u64 = 3_600;

/// The budget at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// Events in the window.
    pub(crate) counts: Counts,
    /// Bad events allowed.
    pub(crate) total: f64,
    /// Bad events that happened.
    pub(crate) spent: f64,
    /// `1 - spent / total`; negative when overspent; none without events.
    pub(crate) remaining_ratio: Option<f64>,
}

impl Budget {
    fn of(counts: Counts, budget: Decimal) -> Budget {
        let total = counts.total as f64 * budget.to_f64();
        let spent = counts.bad() as f64;
        Budget { counts, total, spent, remaining_ratio: (counts.total > 0).then(|| 1.0 - spent / total) }
    }
}

/// The budget left at the end of the newest hour held.
pub(crate) fn now(hours: &BTreeMap<u64, Counts>, window_s: u64, budget: Decimal) -> Budget {
    let last = hours.last_key_value().map_or(0, |(hour, _)| *hour);
    let counts = hours.range((last + HOUR_S).saturating_sub(window_s)..).map(|(_, counts)| *counts);
    Budget::of(counts.fold(Counts::default(), sum), budget)
}

/// The remaining ratio at the end of each hour held that lies in the last window: at most one point an hour.
pub(crate) fn series(hours: &BTreeMap<u64, Counts>, window_s: u64, budget: Decimal) -> Vec<(u64, f64)> {
    let last = hours.last_key_value().map_or(0, |(hour, _)| *hour);
    let first = (last + HOUR_S).saturating_sub(window_s);
    let mut points = Vec::new();
    let mut window = Counts::default();
    let mut leaving = hours.iter().peekable();
    for (&hour, &counts) in hours {
        window = sum(window, counts);
        while let Some((_, left)) = leaving.next_if(|(left, _)| **left + window_s < hour + HOUR_S) {
            window = Counts { good: window.good - left.good, total: window.total - left.total };
        }
        let ratio = Budget::of(window, budget).remaining_ratio.filter(|_| hour >= first);
        points.extend(ratio.map(|ratio| (hour + HOUR_S, ratio)));
    }
    points
}

fn sum(a: Counts, b: Counts) -> Counts {
    Counts { good: a.good + b.good, total: a.total + b.total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_spent_by_bad_events_and_given_back_when_they_leave_the_window() {
        let budget = Decimal::parse("99").unwrap().budget_of_percent().unwrap();
        let counts = |good, bad| Counts { good, total: good + bad };
        let hours = BTreeMap::from([(0, counts(99, 1)), (3_600, counts(200, 0)), (7_200, counts(100, 0))]);
        let points = series(&hours, 7_200, budget);
        let ratios: Vec<u64> = points.iter().map(|(_, ratio)| (ratio * 100.0).round() as u64).collect();
        assert_eq!(ratios, [67, 100]);
        assert_eq!(now(&hours, 7_200, budget).remaining_ratio, Some(1.0));
        assert_eq!(now(&hours, 10_800, budget).spent, 1.0);
        assert_eq!(now(&BTreeMap::new(), 7_200, budget).remaining_ratio, None);
    }
}
