//! The simulated disk as a running process sees it.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use daymark_model::UnixNanos;

use super::SimFileSystem;
use super::disk::{Disk, Inode, NameChange, Node, parent, put};
use crate::{FileSystem, OpenFile};

/// The disk in one life of the machine.
#[derive(Clone)]
pub(super) struct Mounted {
    pub(super) fs: SimFileSystem,
    pub(super) life: u64,
}

impl Mounted {
    /// The disk, unless the machine has restarted since.
    fn disk(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.fs.disk();
        if disk.life == self.life { Ok(disk) } else { Err(io::Error::other("the machine has restarted")) }
    }

    fn handle(&self, disk: &Disk, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let id = disk.file(path)?;
        Ok(Arc::new(SimFile { mounted: self.clone(), id, path: path.to_owned() }))
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
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if self.disk()?.is_dir(dir) {
            return Ok(());
        }
        self.create_dir(parent(dir))?;
        let mut disk = self.disk()?;
        disk.change()?;
        disk.rename(NameChange::Put(dir.to_owned(), Node::Dir))?;
        drop(disk);
        self.sync_dir(parent(dir))
    }

    fn lock(&self, dir: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let mut disk = self.disk()?;
        if !disk.locks.insert(dir.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { mounted: self.clone(), dir: dir.to_owned() })))
    }

    /// One at a time here.
    fn share(&self, dir: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        self.lock(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        drop(self.disk()?);
        let files = self.fs.files(dir);
        Ok(files.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let mut disk = self.disk()?;
        disk.change()?;
        let id = disk.inodes.keys().next_back().map_or(1, |last| last + 1);
        disk.rename(NameChange::Put(path.to_owned(), Node::File(id)))?;
        disk.inodes.insert(id, Inode::default());
        self.handle(&disk, path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let taken = self.disk()?.names.contains_key(path);
        if taken { Err(io::ErrorKind::AlreadyExists.into()) } else { self.create(path) }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let disk = self.disk()?;
        self.handle(&disk, path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let disk = self.disk()?;
        self.handle(&disk, path)
    }

    /// Every file is as old as time itself, so that whatever may be deleted for its age is.
    fn modified(&self, path: &Path) -> io::Result<UnixNanos> {
        self.disk()?.file(path).map(|_| UnixNanos(0))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.change()?;
        disk.file(from)?;
        disk.rename(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.change()?;
        if disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = disk.file(from)?;
        disk.rename(NameChange::Put(to.to_owned(), Node::File(id)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.change()?;
        disk.file(path)?;
        disk.rename(NameChange::Remove(path.to_owned()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.change()?;
        if !disk.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some((failing, left)) = &mut disk.failing_dir_syncs
            && *left > 0
            && dir.ends_with(failing)
        {
            *left -= 1;
            return Err(io::Error::other("the disk lost it"));
        }
        if disk.lost_syncs.is_none_or(|lost| !lost(dir)) {
            disk.sync_names(dir);
        }
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
    path: PathBuf,
}

impl OpenFile for SimFile {
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
        if disk.lost_syncs.is_some_and(|lost| lost(&self.path)) {
            return Ok(());
        }
        let inode = disk.inodes.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        for (position, bytes) in std::mem::take(&mut inode.unsynced) {
            put(&mut inode.durable, position, &bytes);
        }
        Ok(())
    }
}
