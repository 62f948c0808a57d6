//! The state of a simulated disk: what readers see, and what would survive.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

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

/// What a name stands for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Node {
    Dir,
    File(u64),
}

pub(super) type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone)]
pub(super) enum NameChange {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    pub(super) fn apply(self, names: &mut Names) {
        match self {
            NameChange::Put(path, node) => {
                names.insert(path, node);
            }
            NameChange::Remove(path) => {
                names.remove(&path);
            }
            NameChange::Rename(from, to) => {
                if let Some(node) = names.remove(&from) {
                    names.insert(to, node);
                }
            }
        }
    }

    /// The directory whose sync makes it durable.
    pub(super) fn dir(&self) -> &Path {
        match self {
            NameChange::Put(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path) => parent(path),
        }
    }
}

/// The directory that holds `path`; the root is its own.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Says of a path whether its sync is lost.
pub(super) type LostSyncs = fn(&Path) -> bool;

#[derive(Clone)]
pub(super) struct Disk {
    pub(super) random: u64,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: Names,
    pub(super) durable_names: Names,
    pub(super) unsynced_names: Vec<NameChange>,
    pub(super) locks: BTreeSet<PathBuf>,
    /// Grows with each crash; handles of an earlier life fail.
    pub(super) life: u64,
    pub(super) capacity_bytes: u64,
    pub(super) operations: u64,
    pub(super) stop_at: Option<u64>,
    pub(super) fail_sync_at: Option<u64>,
    pub(super) short_write_at: Option<u64>,
    /// How many syncs of a directory whose path ends so fail.
    pub(super) failing_dir_syncs: Option<(PathBuf, u64)>,
    pub(super) lost_syncs: Option<LostSyncs>,
    pub(super) syncs: u64,
    pub(super) writes: u64,
    /// The disk before each change, while it is recorded.
    pub(super) moments: Option<Vec<Disk>>,
}

impl Disk {
    /// An empty disk.
    pub(super) fn new(seed: u64) -> Disk {
        let root = Names::from([(PathBuf::from("/"), Node::Dir)]);
        Disk {
            random: seed,
            inodes: BTreeMap::new(),
            names: root.clone(),
            durable_names: root,
            unsynced_names: Vec::new(),
            locks: BTreeSet::new(),
            life: 0,
            capacity_bytes: u64::MAX,
            operations: 0,
            stop_at: None,
            fail_sync_at: None,
            short_write_at: None,
            failing_dir_syncs: None,
            lost_syncs: None,
            syncs: 0,
            writes: 0,
            moments: None,
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
        if let Some(mut moments) = self.moments.take() {
            moments.push(self.clone());
            self.moments = Some(moments);
        }
        self.operations += 1;
        Ok(())
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.names.get(path) == Some(&Node::Dir)
    }

    /// Makes a change of names: seen at once, durable with the next sync of its directory, which has to be there.
    pub(super) fn rename(&mut self, change: NameChange) -> io::Result<()> {
        if !self.is_dir(change.dir()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        change.clone().apply(&mut self.names);
        self.unsynced_names.push(change);
        Ok(())
    }

    pub(super) fn sync_names(&mut self, dir: &Path) {
        let changes = std::mem::take(&mut self.unsynced_names);
        let (synced, rest): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.dir() == dir);
        self.unsynced_names = rest;
        synced.into_iter().for_each(|change| change.apply(&mut self.durable_names));
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let bytes = |node: &Node| match node {
            Node::File(id) => self.inodes.get(id).map_or(0, |inode| inode.cached.len() as u64),
            Node::Dir => 0,
        };
        self.names.values().map(bytes).sum()
    }

    /// Power loss: of what was not synced, an arbitrary part is there.
    pub(super) fn lose_power(&mut self) {
        let ids: Vec<u64> = self.inodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.tear(id));
        let mut names = std::mem::take(&mut self.durable_names);
        let mut by_dir: BTreeMap<PathBuf, Vec<NameChange>> = BTreeMap::new();
        for change in std::mem::take(&mut self.unsynced_names) {
            by_dir.entry(change.dir().to_owned()).or_default().push(change);
        }
        for changes in by_dir.into_values() {
            let kept = self.random() as usize % (changes.len() + 1);
            changes.into_iter().take(kept).for_each(|change| change.apply(&mut names));
        }
        // What lies in a directory that is not there cannot be reached.
        let reached = |path: &PathBuf| path.ancestors().skip(1).all(|dir| names.get(dir) == Some(&Node::Dir));
        self.names = names.iter().filter(|(path, _)| reached(path)).map(|(path, node)| (path.clone(), *node)).collect();
        self.durable_names = self.names.clone();
        self.inodes.values_mut().for_each(|inode| inode.cached = inode.durable.clone());
        self.restart();
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
        self.failing_dir_syncs = None;
    }
}

pub(super) fn put(bytes: &mut Vec<u8>, position: u64, new: &[u8]) {
    let end = position as usize + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[position as usize..end].copy_from_slice(new);
}
