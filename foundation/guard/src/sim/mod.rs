//! A file system in memory that fails as real disks do: the other side of the [`FileSystem`] seam, for tests.
//!
//! What it models:
//! - a crash keeps an arbitrary subset of the unsynced writes, torn at 512 bytes, and of the unsynced names of each
//!   directory a prefix (a journal keeps their order); what lies in a directory whose own name is lost is lost;
//! - a failed sync drops an arbitrary part of the writes and marks the rest clean: what is read back afterwards is not
//!   what is on the disk, and a second sync succeeds;
//! - syncs that lie, short writes, a full disk, unreadable blocks, bits and blocks damaged at rest.
//!
//! Deterministic for a seed and an order of operations.

mod disk;
mod mounted;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use disk::{Disk, Node};
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
        self.disk().lose_power();
    }

    /// Another disk with the same content, whose chances follow from `seed`: one moment crashes in many ways.
    #[must_use]
    pub fn fork(&self, seed: u64) -> SimFileSystem {
        let mut disk = self.disk().clone();
        disk.random = seed;
        SimFileSystem { disk: Arc::new(Mutex::new(disk)) }
    }

    /// From now on the disk as it is before each change is kept, for [`SimFileSystem::moments`].
    pub fn record(&self) {
        self.disk().moments = Some(Vec::new());
    }

    /// The disk before each change since [`SimFileSystem::record`], and as it is now.
    pub fn moments(&self) -> Vec<SimFileSystem> {
        let mut disk = self.disk();
        let mut moments = disk.moments.take().unwrap_or_default();
        moments.push(disk.clone());
        moments.into_iter().map(|disk| SimFileSystem { disk: Arc::new(Mutex::new(disk)) }).collect()
    }

    /// Changes of the disk so far.
    pub fn operations(&self) -> u64 {
        self.disk().operations
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

    /// The next `times` syncs of directories whose path ends in `dir` fail, until the next start.
    pub fn fail_dir_syncs(&self, dir: &Path, times: u64) {
        self.disk().failing_dir_syncs = Some((dir.to_owned(), times));
    }

    /// How many of [`SimFileSystem::fail_dir_syncs`] have not happened yet.
    pub fn dir_syncs_to_fail(&self) -> u64 {
        self.disk().failing_dir_syncs.as_ref().map_or(0, |(_, left)| *left)
    }

    /// From now on a sync of a path that `lost` is true for succeeds and does nothing: for tests that show what a sync
    /// is there for. A file has the path it was created under.
    pub fn lose_syncs(&self, lost: fn(&Path) -> bool) {
        self.disk().lost_syncs = Some(lost);
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
        self.files_below(dir).into_iter().filter(|path| path.parent() == Some(dir)).collect()
    }

    /// Paths of all files in `dir` and in the directories below it.
    pub fn files_below(&self, dir: &Path) -> Vec<PathBuf> {
        let disk = self.disk();
        let files = disk.names.iter().filter(|(path, node)| **node != Node::Dir && path.starts_with(dir));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// What a file holds.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        let id = disk.file(path).ok()?;
        disk.inodes.get(&id).map(|inode| inode.cached.clone())
    }

    /// Damages a file at rest.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let Ok(id) = disk.file(path) else { return };
        if let Some(inode) = disk.inodes.get_mut(&id) {
            change(&mut inode.cached);
            inode.durable = inode.cached.clone();
        }
    }

    /// Makes the 4,096-byte block that holds `position` unreadable.
    pub fn make_unreadable(&self, path: &Path, position: u64) {
        let mut disk = self.disk();
        let Ok(id) = disk.file(path) else { return };
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
