//! Hash maps over ids that are random already, or over 64-bit hashes.
//!
//! Ids come from outside, so a sender could choose them to collide: each map is keyed by a secret of the process and
//! mixes it in with one multiplication, which costs a fraction of the standard hasher.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// A map over ids.
pub(crate) type IdMap<K, V> = HashMap<K, V, Keyed>;

/// Builds [`KeyedHasher`]s that share the process's secret.
#[derive(Clone, Copy)]
pub(crate) struct Keyed(u64);

impl Default for Keyed {
    fn default() -> Keyed {
        static SECRET: OnceLock<u64> = OnceLock::new();
        Keyed(*SECRET.get_or_init(|| RandomState::new().hash_one(0x6461_796d_6172_6b00_u64)))
    }
}

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher(self.0)
    }
}

/// Folds each 8 bytes into the state by a widening multiplication.
pub(crate) struct KeyedHasher(u64);

impl KeyedHasher {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.fold(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }

    /// Slices write their length first; ids have one length, so it tells nothing.
    fn write_usize(&mut self, _value: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
