//! The simulated disk as a running process sees it.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use super::SimFileSystem;
use super::disk::{Disk, Inode, NameChange, put};
use crate::{FileSystem, LogFile};

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

    fn handle(&self, disk: &Disk, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let id = *disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { mounted: self.clone(), id }))
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
        let disk = self.disk()?;
        self.handle(&disk, path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let disk = self.disk()?;
        self.handle(&disk, path)
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
