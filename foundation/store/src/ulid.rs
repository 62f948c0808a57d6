//! Names of segments: ULIDs, so that names sort by time of writing.
//!
//! 48 bits of milliseconds, 80 bits that differ between writers and calls. They only have to be unique: a name that
//! were drawn twice would be refused by put-if-absent.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use daymark_model::UnixNanos;

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new name, 26 characters of Crockford base 32.
pub(crate) fn new_ulid(now: UnixNanos) -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Relaxed);
    // Each `RandomState` has fresh keys from the operating system.
    let state = RandomState::new();
    let low = state.hash_one((call, std::process::id()));
    let high = state.hash_one((low, now.0)) & 0xFFFF;
    let millis = u128::from(now.0 / 1_000_000) & ((1 << 48) - 1);
    let mut value = millis << 80 | u128::from(high) << 64 | u128::from(low);
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
        assert_ne!(new_ulid(UnixNanos(0)), new_ulid(UnixNanos(0)));
    }
}
