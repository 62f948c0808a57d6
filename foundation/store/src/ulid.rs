//! Names of segments: ULIDs, so that names sort by time of writing.
//!
//! 48 bits of milliseconds, 80 bits that differ between writers. Names of one process grow also within a millisecond. A
//! name that were drawn twice, by two processes, would be refused by put-if-absent.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use daymark_model::UnixNanos;

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new name, 26 characters of Crockford base 32.
pub(crate) fn new_ulid(now: UnixNanos) -> String {
    static LAST: Mutex<u128> = Mutex::new(0);
    // Each `RandomState` has fresh keys from the operating system.
    let state = RandomState::new();
    let low = state.hash_one((now.0, std::process::id()));
    // The topmost bit stays free, so that counting on does not reach the milliseconds.
    let high = state.hash_one((low, now.0)) & 0x7FFF;
    let millis = u128::from(now.0 / 1_000_000) & ((1 << 48) - 1);
    let drawn = millis << 80 | u128::from(high) << 64 | u128::from(low);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let same_millisecond = drawn >> 80 == *last >> 80;
    *last = if same_millisecond { drawn.max(*last + 1) } else { drawn };
    let mut value = *last;
    drop(last);
    let mut name = [b'0'; 26];
    for digit in name.iter_mut().rev() {
        *digit = DIGITS[(value & 31) as usize];
        value >>= 5;
    }
    name.iter().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sort_by_time() {
        let early = new_ulid(UnixNanos::from_seconds(1_700_000_000));
        let late = new_ulid(UnixNanos::from_seconds(1_700_000_001));
        assert!(early < late && early.len() == 26);
        let names: Vec<String> = (0..100).map(|_| new_ulid(UnixNanos(0))).collect();
        assert!(names.is_sorted() && names[0] != names[99]);
    }
}
