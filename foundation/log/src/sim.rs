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

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::{FileSystem, LogFile};

const SECTOR_BYTES: u64 = 512;

/// Handles on one simulated disk share it.
#[derive(Clone)]
pub struct SimFileSystem {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Clone, Default)]
struct Inode {
    /// What a reader sees.
    cached: Vec<u8>,
    /// What survives a crash.
    durable: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
    unreadable: BTreeSet<u64>,
}

#[derive(Clone)]
enum NameChange {
    Put(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
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

struct Disk {
    random: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    unsynced_names: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    /// Grows with each crash; handles of an earlier life fail.
    life: u64,
    capacity_bytes: u64,
    operations: u64,
    stop_at: Option<u64>,
    fail_sync_at: Option<u64>,
    short_write_at: Option<u64>,
    syncs: u64,
    writes: u64,
}

impl Disk {
    /// A splitmix64 step.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn is_stopped(&self) -> bool {
        self.stop_at.is_some_and(|at| self.operations >= at)
    }

    /// Counts a change; fails once the machine has stopped.
    fn change(&mut self) -> io::Result<()> {
        if self.is_stopped() {
            return Err(io::Error::other("the machine has stopped"));
        }
        self.operations += 1;
        Ok(())
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().filter_map(|id| self.inodes.get(id)).map(|inode| inode.cached.len() as u64).sum()
    }

    /// Applies to the durable bytes an arbitrary subset, by sectors, of what was not synced.
    fn tear(&mut self, id: u64) {
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
                    _ => self.random() % 2 == 0,
                };
                if keep && let Some(inode) = self.inodes.get_mut(&id) {
                    put(&mut inode.durable, at, &bytes[done..done + step]);
                }
                done += step;
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, position: u64, new: &[u8]) {
    let end = position as usize + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[position as usize..end].copy_from_slice(new);
}

impl SimFileSystem {
    /// An empty disk; all that is left to chance follows from `seed`.
    pub fn new(seed: u64) -> SimFileSystem {
        let disk = Disk {
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
        };
        SimFileSystem { disk: Arc::new(Mutex::new(disk)) }
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

/// The disk in one life of the machine.
#[derive(Clone)]
struct Mounted {
    fs: SimFileSystem,
    life: u64,
}

impl Mounted {
    /// The disk, unless the machine has restarted since.
    fn disk(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.fs.disk();
        if disk.life == self.life { Ok(disk) } else { Err(io::Error::other("the machine has restarted")) }
    }

    fn handle(&self, disk: &Disk, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let id = *disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { mounted: self.clone(), id }))
    }
}

impl Disk {
    fn restart(&mut self) {
        self.locks.clear();
        self.life += 1;
        self.stop_at = None;
        self.fail_sync_at = None;
        self.short_write_at = None;
    }
}

struct SimLock {
    mounted: Mounted,
    dir: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Ok(mut disk) = self.mounted.disk() {
            disk.locks.remove(&self.dir);
        }
    }
}

impl FileSystem for Mounted {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, dir: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let mut disk = self.disk()?;
        if !disk.locks.insert(dir.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { mounted: self.clone(), dir: dir.to_owned() })))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        drop(self.disk()?);
        let files = self.fs.files(dir);
        Ok(files.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let mut disk = self.disk()?;
        disk.change()?;
        let id = disk.inodes.keys().next_back().map_or(1, |last| last + 1);
        disk.inodes.insert(id, Inode::default());
        disk.names.insert(path.to_owned(), id);
        disk.unsynced_names.push(NameChange::Put(path.to_owned(), id));
        self.handle(&disk, path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        self.handle(&*self.disk()?, path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        self.handle(&*self.disk()?, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.change()?;
        let id = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), id);
        disk.unsynced_names.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.change()?;
        disk.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        disk.unsynced_names.push(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.change()?;
        disk.unsynced_names.clear();
        disk.durable_names = disk.names.clone();
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let disk = self.disk()?;
        Ok(disk.capacity_bytes.saturating_sub(disk.used_bytes()))
    }

    fn random(&self) -> u64 {
        self.fs.disk().random()
    }
}

struct SimFile {
    mounted: Mounted,
    id: u64,
}

impl LogFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.mounted.disk()?.inodes.get(&self.id).map_or(0, |inode| inode.cached.len() as u64))
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let disk = self.mounted.disk()?;
        let inode = disk.inodes.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let rest = inode.cached.get(position as usize..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        let blocks = position / 4096..(position + read as u64).div_ceil(4096);
        if inode.unreadable.range(blocks).next().is_some() {
            return Err(io::Error::other("unreadable block"));
        }
        buf[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<usize> {
        let mut disk = self.mounted.disk()?;
        disk.change()?;
        disk.writes += 1;
        let writes = disk.writes;
        let is_short = disk.short_write_at.take_if(|at| *at < writes).is_some();
        let free = disk.capacity_bytes.saturating_sub(disk.used_bytes());
        let inode = disk.inodes.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let growth = (position + buf.len() as u64).saturating_sub(inode.cached.len() as u64);
        let mut written = if is_short { buf.len() / 2 } else { buf.len() };
        if growth > free {
            written = written.min(buf.len() - ((growth - free) as usize).min(buf.len()));
            if written == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        put(&mut inode.cached, position, &buf[..written]);
        inode.unsynced.push((position, buf[..written].to_vec()));
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.mounted.disk()?;
        disk.change()?;
        disk.syncs += 1;
        let syncs = disk.syncs;
        if disk.fail_sync_at.take_if(|at| *at < syncs).is_some() {
            disk.tear(self.id);
            return Err(io::Error::other("sync failed"));
        }
        let inode = disk.inodes.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        for (position, bytes) in std::mem::take(&mut inode.unsynced) {
            put(&mut inode.durable, position, &bytes);
        }
        Ok(())
    }
}
