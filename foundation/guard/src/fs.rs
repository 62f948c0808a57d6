//! The file system seam: what the ingest log and the tables need of a disk, and the machine's own disk.
//!
//! The other side is `sim::SimFileSystem` (feature `sim`), which loses, tears and refuses writes as real disks do.
//!
//! Invariant: whoever must survive a power cut writes through this seam, so that its code can be stopped at every step.

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use daymark_model::UnixNanos;

/// A directory tree that can be made durable piece by piece.
pub trait FileSystem: Send + Sync + 'static {
    /// Creates `dir` and its parents where absent; durable on return.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the one writer's lock of `dir`, held until the value is dropped; `None` when somebody else has it.
    fn lock(&self, dir: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
    /// Takes a lock of `dir` beside others of this kind, held until the value is dropped; `None` when somebody has the one of
    /// [`FileSystem::lock`].
    fn share(&self, dir: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
    /// Names of the files in `dir`; empty when `dir` does not exist.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates an empty file for reading and writing, in place of any of that name. Its name is durable only after
    /// [`FileSystem::sync_dir`].
    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// As [`FileSystem::create`], but `AlreadyExists` when there is a file of that name.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// Opens an existing file for reading only.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// When a file was last written to.
    fn modified(&self, path: &Path) -> io::Result<UnixNanos>;
    /// Gives a file another name; durable only after [`FileSystem::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; `AlreadyExists` when that is taken. Durable only after [`FileSystem::sync_dir`].
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file; durable only after [`FileSystem::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that can still be written to the disk of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// A number that nobody can predict, for the salt of a segment.
    fn random(&self) -> u64;
}

/// An open file. All access is by position.
pub trait OpenFile: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads up to `buf.len()` bytes; fewer at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes; returns how much, which a caller must check.
    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<usize>;
    /// Makes all that was written durable, the file's size included (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads a whole file of at most `max_bytes`.
///
/// # Errors
/// What the system said; `FileTooLarge`.
pub fn read_small(fs: &dyn FileSystem, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = fs.open_to_read(path)?;
    let size = file.size()?;
    if size > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; size as usize];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFileSystem;

fn lock_file(dir: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock"))
}

fn taken(locked: Result<(), TryLockError>, file: File) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
    match locked {
        Ok(()) => Ok(Some(Box::new(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl FileSystem for RealFileSystem {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = parent_of(dir);
        self.create_dir(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sync_dir(parent)
    }

    fn lock(&self, dir: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let file = lock_file(dir)?;
        taken(file.try_lock(), file)
    }

    fn share(&self, dir: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let file = lock_file(dir)?;
        taken(file.try_lock_shared(), file)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not UTF-8 is not one of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).create_new(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn modified(&self, path: &Path) -> io::Result<UnixNanos> {
        let since_1970 = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(UnixNanos(u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

/// The directory of `path`; `.` for a bare name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

struct RealFile(File);

impl OpenFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buf, position)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<usize> {
        self.0.write_at(buf, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
