//! Which blocks are kept, how large they are, and when they were last used.

use std::collections::HashMap;

use super::BlockId;

#[derive(Clone, Copy, Debug)]
struct Kept {
    bytes: u64,
    used: u64,
}

/// The blocks on disk, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Lru {
    blocks: HashMap<BlockId, Kept>,
    bytes: u64,
    clock: u64,
}

impl Lru {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Those of `asked` that are kept, which count as used now.
    pub(super) fn use_all(&mut self, asked: Vec<(u64, BlockId)>) -> Vec<(u64, BlockId)> {
        self.clock += 1;
        let now = self.clock;
        let kept = |(_, id): &(u64, BlockId)| self.blocks.get_mut(id).map(|kept| kept.used = now).is_some();
        let mut asked = asked;
        asked.retain(kept);
        asked
    }

    /// A block was written.
    pub(super) fn insert(&mut self, id: BlockId, bytes: u64) {
        self.clock += 1;
        let used = self.clock;
        let before = self.blocks.insert(id, Kept { bytes, used });
        self.bytes = self.bytes + bytes - before.map_or(0, |kept| kept.bytes);
    }

    /// A block is gone.
    pub(super) fn remove(&mut self, id: BlockId) {
        if let Some(kept) = self.blocks.remove(&id) {
            self.bytes -= kept.bytes;
        }
    }

    /// Lets go of the longest unused blocks until the rest fits; a twentieth more than needed, so that the sort is rare.
    pub(super) fn shrink(&mut self, max_bytes: u64) -> Vec<BlockId> {
        if self.bytes <= max_bytes {
            return Vec::new();
        }
        let mut by_use: Vec<(u64, BlockId)> = self.blocks.iter().map(|(id, kept)| (kept.used, *id)).collect();
        by_use.sort_unstable();
        let mut dropped = Vec::new();
        for (_, id) in by_use {
            if self.bytes <= max_bytes / 20 * 19 {
                break;
            }
            self.remove(id);
            dropped.push(id);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sum_is_bounded_and_the_last_used_stay(
            steps in prop::collection::vec((0..40_u128, 1..100_u64, any::<bool>()), 1..200)
        ) {
            let mut lru = Lru::default();
            let mut model: Vec<(u128, u64)> = Vec::new();
            for (id, bytes, write) in steps {
                let known = model.iter().position(|(known, _)| *known == id);
                if write {
                    known.map(|at| model.remove(at));
                    model.push((id, bytes));
                    lru.insert(id, bytes);
                    let dropped = lru.shrink(500);
                    let gone: Vec<u128> = model.drain(..dropped.len()).map(|(id, _)| id).collect();
                    prop_assert_eq!(gone, dropped);
                } else {
                    let used = lru.use_all(vec![(0, id)]);
                    prop_assert_eq!(used.len(), usize::from(known.is_some()));
                    if let Some(at) = known {
                        let block = model.remove(at);
                        model.push(block);
                    }
                }
                prop_assert_eq!(lru.bytes(), model.iter().map(|(_, bytes)| bytes).sum::<u64>());
                prop_assert!(lru.bytes() <= 500);
            }
        }
    }
}
