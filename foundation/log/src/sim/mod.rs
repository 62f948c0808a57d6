//! A file system in memory that fails as real disks do: the other side of the [`FileSystem`] seam, for tests.
//!
//! What it models:
//! - a crash keeps an arbitrary subset of the unsynced writes, torn at 512 bytes, and of the unsynced names a prefix (a
//!   journal keeps their order);
//! - a failed sync drops an arbitrary part of the writes and marks the rest clean: what is read back afterwards is not
//!   what is on the disk, and a second sync succeeds;
//! - short writes, a full disk, unreadable blocks, bits and blocks damaged at rest.
//!
//! Deterministic for a seed and an order of operations.

mod disk;
mod mounted;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use disk::Disk;
use mounted::Mounted;

use crate::FileSystem;

/// Handles on one simulated disk share it.
#[derive(Clone)]
pub struct SimFileSystem {
    disk: Arc<Mutex<Disk>>,
}

impl SimFileSystem {
    /// An empty disk; all that is left to chance follows from `seed`.
    pub fn new(seed: u64) -> SimFileSystem {
        SimFileSystem { disk: Arc::new(Mutex::new(Disk::new(seed))) }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The machine stops after this many more changes: every later one fails, until [`SimFileSystem::crash`].
    pub fn stop_after(&self, operations: u64) {
        let mut disk = self.disk();
        disk.stop_at = Some(disk.operations + operations);
    }

    /// Whether the machine has stopped.
    pub fn has_stopped(&self) -> bool {
        self.disk().is_stopped()
    }

    /// Power loss and a new start: unsynced writes and names survive in part. Open handles are dead.
    pub fn crash(&self) {
        let mut disk = self.disk();
        let ids: Vec<u64> = disk.inodes.keys().copied().collect();
        for id in ids {
            disk.tear(id);
        }
        let changes = std::mem::take(&mut disk.unsynced_names);
        let kept = disk.random() as usize % (changes.len() + 1);
        let mut names = std::mem::take(&mut disk.durable_names);
        changes.into_iter().take(kept).for_each(|change| change.apply(&mut names));
        disk.names = names.clone();
        disk.durable_names = names;
        disk.inodes.values_mut().for_each(|inode| inode.cached = inode.durable.clone());
        disk.restart();
    }

    /// Kill -9 and a new start: the page cache survives. Open handles are dead.
    pub fn kill(&self) {
        self.disk().restart();
    }

    /// The next sync but `skip` fails.
    pub fn fail_sync_after(&self, skip: u64) {
        let mut disk = self.disk();
        disk.fail_sync_at = Some(disk.syncs + skip);
    }

    /// The next write but `skip` is cut short.
    pub fn short_write_after(&self, skip: u64) {
        let mut disk = self.disk();
        disk.short_write_at = Some(disk.writes + skip);
    }

    /// Sets the size of the disk.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk().capacity_bytes = bytes;
    }

    /// Paths of all files in `dir`.
    pub fn files(&self, dir: &Path) -> Vec<PathBuf> {
        self.disk().names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect()
    }

    /// What a file holds.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.names.get(path).and_then(|id| disk.inodes.get(id)).map(|inode| inode.cached.clone())
    }

    /// Damages a file at rest.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let Some(id) = disk.names.get(path).copied() else { return };
        if let Some(inode) = disk.inodes.get_mut(&id) {
            change(&mut inode.cached);
            inode.durable = inode.cached.clone();
        }
    }

    /// Makes the 4,096-byte block that holds `position` unreadable.
    pub fn make_unreadable(&self, path: &Path, position: u64) {
        let mut disk = self.disk();
        let Some(id) = disk.names.get(path).copied() else { return };
        if let Some(inode) = disk.inodes.get_mut(&id) {
            inode.unreadable.insert(position / 4096);
        }
    }

    /// The disk as a process sees it that runs now: dead after the next crash or kill.
    pub fn boot(&self) -> Arc<dyn FileSystem> {
        let life = self.disk().life;
        Arc::new(Mounted { fs: self.clone(), life })
    }
}
