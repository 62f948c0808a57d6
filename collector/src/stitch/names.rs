//! Names of services and callees as numbers: a span keeps two bytes of each.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::keyed::IdMap;

/// Distinct names per tenant; all further ones are `_overflow`.
const MAX_NAMES: usize = 60_000;
/// Longest name kept, bytes.
const MAX_NAME_BYTES: usize = 256;
/// Stands for names beyond the limit, and for both ends of edges beyond theirs.
pub(crate) const OVERFLOW: u16 = 1;
const OVERFLOW_NAME: &str = "_overflow";

/// The names of one tenant. Number 0 is no name.
pub(crate) struct Names {
    numbers: IdMap<u64, u16>,
    names: Vec<Arc<str>>,
}

impl Names {
    pub(crate) fn new() -> Names {
        Names { numbers: IdMap::default(), names: vec!["".into(), OVERFLOW_NAME.into()] }
    }

    /// The number of a name.
    pub(crate) fn number(&mut self, name: &str) -> u16 {
        if name.is_empty() {
            return 0;
        }
        let key = xxh3_64(name.as_bytes());
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        if self.names.len() >= MAX_NAMES {
            return OVERFLOW;
        }
        let number = self.names.len() as u16;
        let end = name.floor_char_boundary(MAX_NAME_BYTES);
        self.names.push(name[..end].into());
        self.numbers.insert(key, number);
        number
    }

    /// The name of a number.
    pub(crate) fn name(&self, number: u16) -> &Arc<str> {
        self.names.get(usize::from(number)).unwrap_or(&self.names[usize::from(OVERFLOW)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_and_are_bounded() {
        let mut names = Names::new();
        assert_eq!(names.number(""), 0);
        for n in 0..MAX_NAMES + 10 {
            names.number(&n.to_string());
        }
        assert_eq!(&**names.name(OVERFLOW), OVERFLOW_NAME);
        let known = names.number("17");
        assert_eq!(&**names.name(known), "17");
        assert_eq!(names.number("one more"), OVERFLOW);
    }
}
