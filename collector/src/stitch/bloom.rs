//! Which traces were stored and forgotten: a rotating bloom filter over trace ids.
//!
//! Two halves; when the newer one is full the older one is dropped. A false "maybe" costs one look into the store; a
//! trace older than both halves is taken for a new one.

use daymark_model::TraceId;

/// Bits for each id: with four probes about 1 in 80 ids that were never added seem known.
const BITS_PER_ID: usize = 10;
const PROBES: u64 = 4;

/// Remembers about twice `ids_per_half` ids.
pub(crate) struct RotatingBloom {
    ids_per_half: usize,
    added: usize,
    young: Vec<u64>,
    old: Vec<u64>,
}

impl RotatingBloom {
    pub(crate) fn new(ids_per_half: usize) -> RotatingBloom {
        // Memory is taken when the first id is added: most tenants are small.
        RotatingBloom { ids_per_half: ids_per_half.max(64), added: 0, young: Vec::new(), old: Vec::new() }
    }

    pub(crate) fn add(&mut self, id: &TraceId) {
        if self.added >= self.ids_per_half {
            self.old = std::mem::take(&mut self.young);
            self.added = 0;
        }
        if self.young.is_empty() {
            self.young = vec![0; (self.ids_per_half * BITS_PER_ID).div_ceil(64)];
        }
        let bits = self.young.len() as u64 * 64;
        for bit in probes(id, bits) {
            self.young[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        self.added += 1;
    }

    pub(crate) fn maybe_has(&self, id: &TraceId) -> bool {
        [&self.young, &self.old].into_iter().any(|half| {
            let bits = half.len() as u64 * 64;
            bits > 0 && probes(id, bits).all(|bit| half[(bit / 64) as usize] & (1 << (bit % 64)) != 0)
        })
    }
}

/// Trace ids are chosen by the sender: hashed, so that ids that differ little do not fall together.
fn probes(id: &TraceId, bits: u64) -> impl Iterator<Item = u64> {
    let hash = xxhash_rust::xxh3::xxh3_128(&id.0);
    let (first, step) = (hash as u64, (hash >> 64) as u64 | 1);
    (0..PROBES).map(move |i| first.wrapping_add(step.wrapping_mul(i)) % bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> TraceId {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        TraceId(bytes)
    }

    #[test]
    fn what_was_added_lately_is_known_and_little_else() {
        let mut bloom = RotatingBloom::new(1_000);
        for n in 0..1_500 {
            bloom.add(&id(n));
        }
        assert!((500..1_500).all(|n| bloom.maybe_has(&id(n))));
        let wrong = (10_000..20_000).filter(|n| bloom.maybe_has(&id(*n))).count();
        assert!(wrong < 500, "{wrong} of 10000 false");
    }
}
