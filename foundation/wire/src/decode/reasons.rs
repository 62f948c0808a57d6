//! Why items of a request were rejected, and how many for each reason: what `partial_success` tells the sender.

use std::fmt;

/// Reasons told apart; further ones are counted together.
const MAX: usize = 8;
const OTHERS: &str = "other reasons";

/// Counts by reason, in the order in which the reasons were met. It allocates nothing: it is filled on the walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons([(&'static str, u64); MAX]);

impl Reasons {
    /// Counts `items` more for `reason`.
    pub fn add(&mut self, reason: &'static str, items: u64) {
        if items == 0 {
            return;
        }
        let known = self.0.iter().position(|(known, count)| *count == 0 || *known == reason);
        // The last place is for those that found none.
        let place = known.filter(|place| *place < MAX - 1);
        let (known, count) = &mut self.0[place.unwrap_or(MAX - 1)];
        *known = if place.is_some() { reason } else { OTHERS };
        *count += items;
    }

    /// Counts what `other` has counted.
    pub fn merge(&mut self, other: &Reasons) {
        other.0.iter().for_each(|(reason, items)| self.add(reason, *items));
    }

    /// Items, for whatever reason.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, items)| items).sum()
    }

    /// The reason of the first item.
    pub fn first(&self) -> Option<&'static str> {
        let (reason, items) = self.0[0];
        (items > 0).then_some(reason)
    }
}

impl fmt::Display for Reasons {
    /// `3: the span ends before it starts; 1: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (reason, items)) in self.0.iter().filter(|(_, items)| *items > 0).enumerate() {
            write!(f, "{}{items}: {reason}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_counted_by_its_reason_and_few_reasons_take_little_room() {
        let mut reasons = Reasons::default();
        assert_eq!((reasons.first(), reasons.total(), reasons.to_string()), (None, 0, String::new()));
        reasons.add("b", 2);
        reasons.add("a", 1);
        reasons.add("none", 0);
        let mut both = Reasons::default();
        both.add("a", 5);
        both.merge(&reasons);
        assert_eq!((both.to_string().as_str(), both.first(), both.total()), ("6: a; 2: b", Some("a"), 8));
        for reason in ["c", "d", "e", "f", "g", "h", "i", "a"] {
            both.add(reason, 1);
        }
        assert_eq!(both.to_string(), "7: a; 2: b; 1: c; 1: d; 1: e; 1: f; 1: g; 2: other reasons");
        assert_eq!(both.total(), 16);
    }
}
