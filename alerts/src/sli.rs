//! Good and total events of one SLO as prefix sums over 10 s slots, so that any window is two subtractions.
//!
//! Where it sits: filled by the reader from rollups, read by [`crate::burn`].
//!
//! Invariants:
//! - counts are integers; `good <= total` in every slot;
//! - a slot is known by its number: seconds since the epoch divided by 10;
//! - memory is capped: slots older than the capacity are dropped, the instant of the first event is remembered.

use daymark_model::UnixNanos;
use serde::{Deserialize, Serialize};

/// Width of a slot, seconds: the finest rollup.
pub const SLOT_S: u64 = 10;
const SLOT_NS: u64 = SLOT_S * 1_000_000_000;

/// Number of a 10 s slot since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot that holds `at`. As the end of a window: the last boundary at or before `at`.
    pub fn of(at: UnixNanos) -> Slot {
        Slot(at.0 / SLOT_NS)
    }

    /// The slot that starts at or after `seconds` rounded down.
    pub fn of_seconds(seconds: u64) -> Slot {
        Slot(seconds / SLOT_S)
    }

    /// Its first instant.
    pub fn start(self) -> UnixNanos {
        UnixNanos(self.0 * SLOT_NS)
    }

    /// This slot less as many as fit in `seconds`.
    pub fn minus_seconds(self, seconds: u64) -> Slot {
        Slot(self.0.saturating_sub(seconds / SLOT_S))
    }

    /// The next slot.
    pub fn next(self) -> Slot {
        Slot(self.0 + 1)
    }
}

/// Events in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Events that met the objective.
    pub good: u64,
    /// All valid events.
    pub total: u64,
}

impl Counts {
    /// Events that did not meet the objective.
    pub fn bad(self) -> u64 {
        self.total.saturating_sub(self.good)
    }

    /// `bad / total`, for people; none without events.
    pub fn bad_ratio(self) -> Option<f64> {
        (self.total > 0).then(|| self.bad() as f64 / self.total as f64)
    }

    fn plus(self, other: Counts) -> Counts {
        Counts { good: self.good.saturating_add(other.good), total: self.total.saturating_add(other.total) }
    }
}

/// Good and total events in consecutive slots.
#[derive(Clone, Debug)]
pub struct SliSeries {
    base: Slot,
    /// `sums[i]` holds all events of the slots from `base` up to, not including, `base + i`, above a common start.
    sums: Vec<Counts>,
    first_event: Option<Slot>,
    capacity: usize,
}

impl SliSeries {
    /// An empty series that keeps the newest `capacity_s` seconds.
    pub fn new(capacity_s: u64) -> SliSeries {
        let capacity = (capacity_s / SLOT_S).max(1) as usize;
        SliSeries { base: Slot(0), sums: vec![Counts::default()], first_event: None, capacity }
    }

    /// The slot after the newest one held.
    pub fn end(&self) -> Slot {
        Slot(self.base.0 + self.sums.len() as u64 - 1)
    }

    /// The oldest slot held.
    pub fn base(&self) -> Slot {
        self.base
    }

    /// The slot of the oldest event ever seen: history before it is absent, not healthy.
    pub fn first_event(&self) -> Option<Slot> {
        self.first_event
    }

    /// Notes that events are known since `slot`, older than the series holds.
    pub fn note_first_event(&mut self, slot: Slot) {
        self.first_event = Some(self.first_event.map_or(slot, |first| first.min(slot)));
    }

    /// Replaces everything from `from` on by `counts`: new slots, and amended ones where data came late.
    pub fn replace_from(&mut self, from: Slot, counts: &[Counts]) {
        // Slots beyond the capacity would be dropped again at once.
        let skipped = counts.len().saturating_sub(self.capacity);
        let (from, counts) = (Slot(from.0 + skipped as u64), &counts[skipped..]);
        if self.sums.len() == 1 || from < self.base || from.0 - self.end().0.min(from.0) > self.capacity as u64 {
            self.base = from;
            self.sums.clear();
            self.sums.push(Counts::default());
        }
        self.sums.truncate((from.0 - self.base.0) as usize + 1);
        while self.end() < from {
            self.push(Counts::default());
        }
        for &slot in counts {
            if slot.total > 0 && self.first_event.is_none_or(|first| self.end() < first) {
                self.first_event = Some(self.end());
            }
            self.push(slot);
        }
        self.trim();
    }

    /// Events of the slots in `[end - length, end)`. Slots not held count as empty.
    pub fn window(&self, end: Slot, length_s: u64) -> Counts {
        let start = end.minus_seconds(length_s);
        let (start, end) = (self.sum_before(start), self.sum_before(end));
        Counts { good: end.good - start.good, total: end.total - start.total }
    }

    fn sum_before(&self, slot: Slot) -> Counts {
        let index = slot.0.saturating_sub(self.base.0).min(self.sums.len() as u64 - 1);
        self.sums[index as usize]
    }

    fn push(&mut self, slot: Counts) {
        let last = self.sums[self.sums.len() - 1];
        self.sums.push(last.plus(Counts { good: slot.good.min(slot.total), total: slot.total }));
    }

    /// Drops old slots in large steps, so that the cost per slot stays constant.
    fn trim(&mut self) {
        let slack = self.capacity / 4 + 1;
        let held = self.sums.len() - 1;
        if held > self.capacity + slack {
            let dropped = held - self.capacity;
            self.sums.drain(..dropped);
            self.base = Slot(self.base.0 + dropped as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(good: u64, bad: u64) -> Counts {
        Counts { good, total: good + bad }
    }

    #[test]
    fn late_data_amends_the_slots_it_belongs_to() {
        let mut series = SliSeries::new(1_000);
        series.replace_from(Slot(100), &[counts(10, 0), counts(10, 0), counts(10, 0)]);
        series.replace_from(Slot(101), &[counts(10, 5), counts(10, 0), counts(7, 0)]);
        assert_eq!(series.window(Slot(104), 40), counts(37, 5));
        assert_eq!(series.window(Slot(103), 10), counts(10, 0));
        assert_eq!(series.end(), Slot(104));
    }

    #[test]
    fn a_gap_is_empty_and_the_first_event_is_remembered_when_its_slot_is_dropped() {
        let mut series = SliSeries::new(100);
        series.replace_from(Slot(5), &[counts(0, 0), counts(1, 0)]);
        series.replace_from(Slot(9), &[counts(2, 0)]);
        assert_eq!(series.window(Slot(9), 20), counts(0, 0));
        assert_eq!(series.first_event(), Some(Slot(6)));
        series.replace_from(Slot(10), &[counts(1, 0); 40]);
        assert_eq!(series.first_event(), Some(Slot(6)));
        assert!(series.sums.len() <= 14 && series.base() > Slot(6));
        assert_eq!(series.window(Slot(50), 100), counts(10, 0));
    }

    proptest! {
        #[test]
        fn a_window_is_the_sum_of_its_slots(
            slots in prop::collection::vec((0_u64..1_000, 0_u64..1_000), 1..60),
            from in 0_usize..60, end in 0_u64..70, length in 0_u64..70,
        ) {
            let all: Vec<Counts> = slots.iter().map(|&(good, bad)| counts(good, bad)).collect();
            let from = from.min(all.len());
            let mut series = SliSeries::new(10_000);
            series.replace_from(Slot(1_000), &all);
            series.replace_from(Slot(1_000 + from as u64), &all[from..]);
            let window = series.window(Slot(1_000 + end), length * SLOT_S);
            let inside = |i: u64| i < end && i + length >= end;
            let expected = (0..).zip(&all).filter(|(i, _)| inside(*i)).fold(Counts::default(), |a, (_, &b)| a.plus(b));
            prop_assert_eq!(window, expected);
        }
    }
}
