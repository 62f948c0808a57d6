//! The state of a simulated disk: what readers see, and what would survive.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Default)]
pub(super) struct Inode {
    /// What a reader sees.
    pub(super) cached: Vec<u8>,
    /// What survives a crash.
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<(u64, Vec<u8>)>,
    pub(super) unreadable: BTreeSet<u64>,
}

#[derive(Clone)]
pub(super) enum NameChange {
    Put(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    pub(super) fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            NameChange::Put(path, inode) => {
                names.insert(path, inode);
            }
            NameChange::Remove(path) => {
                names.remove(&path);
            }
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
        }
    }
}

pub(super) struct Disk {
    pub(super) random: u64,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: BTreeMap<PathBuf, u64>,
    pub(super) durable_names: BTreeMap<PathBuf, u64>,
    pub(super) unsynced_names: Vec<NameChange>,
    pub(super) locks: BTreeSet<PathBuf>,
    /// Grows with each crash; handles of an earlier life fail.
    pub(super) life: u64,
    pub(super) capacity_bytes: u64,
    pub(super) operations: u64,
    pub(super) stop_at: Option<u64>,
    pub(super) fail_sync_at: Option<u64>,
    pub(super) short_write_at: Option<u64>,
    pub(super) syncs: u64,
    pub(super) writes: u64,
}

impl Disk {
    /// An empty disk.
    pub(super) fn new(seed: u64) -> Disk {
        Disk {
            random: seed,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            locks: BTreeSet::new(),
            life: 0,
            capacity_bytes: u64::MAX,
            operations: 0,
            stop_at: None,
            fail_sync_at: None,
            short_write_at: None,
            syncs: 0,
            writes: 0,
        }
    }

    /// A splitmix64 step.
    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop_at.is_some_and(|at| self.operations >= at)
    }

    /// Counts a change; fails once the machine has stopped.
    pub(super) fn change(&mut self) -> io::Result<()> {
        if self.is_stopped() {
            return Err(io::Error::other("the machine has stopped"));
        }
        self.operations += 1;
        Ok(())
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.names.values().filter_map(|id| self.inodes.get(id)).map(|inode| inode.cached.len() as u64).sum()
    }

    /// Applies to the durable bytes an arbitrary subset, by sectors, of what was not synced.
    pub(super) fn tear(&mut self, id: u64) {
        let Some(writes) = self.inodes.get_mut(&id).map(|inode| std::mem::take(&mut inode.unsynced)) else { return };
        // Often all or nothing, so that rare outcomes are not the only ones.
        let mode = self.random() % 4;
        for (position, bytes) in writes {
            let mut done = 0;
            while done < bytes.len() {
                let at = position + done as u64;
                let step = ((SECTOR_BYTES - at % SECTOR_BYTES) as usize).min(bytes.len() - done);
                let keep = match mode {
                    0 => false,
                    1 => true,
                    _ => self.random().is_multiple_of(2),
                };
                if keep && let Some(inode) = self.inodes.get_mut(&id) {
                    put(&mut inode.durable, at, &bytes[done..done + step]);
                }
                done += step;
            }
        }
    }

    /// What the machine forgets when it starts again.
    pub(super) fn restart(&mut self) {
        self.locks.clear();
        self.life += 1;
        self.stop_at = None;
        self.fail_sync_at = None;
        self.short_write_at = None;
    }
}

pub(super) fn put(bytes: &mut Vec<u8>, position: u64, new: &[u8]) {
    let end = position as usize + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[position as usize..end].copy_from_slice(new);
}
