//! The local disk as an object store whose writes are durable when they return.
//!
//! `object_store` 0.13 never syncs. Here a put is: temporary file, fsync, hard link (create: put-if-absent) or rename
//! (overwrite), fsync of the directory. A name therefore never stands for data that is not on disk, and a commit that
//! was reported is still there after a power cut.
//!
//! Invariants:
//! - a name that is there although its put failed may not be on disk: [`Disk::sync_dirs`] tells before anybody relies on it;
//! - a directory's entry is synced in its parent before anything is put into it, also when somebody else made it;
//! - temporary names end in `#<digits>`, which `object_store` itself never lists or reads; those of writers that were
//!   killed are found by their age ([`Disk::remove_temporaries`]);
//! - deletes are not synced: a deleted file that comes back is found as an orphan and deleted again;
//! - multipart writes are refused, because they would not be durable.

use std::any::Any;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use daymark_guard::fault::{self, Fault};
use daymark_guard::{FileSystem, RealFileSystem};
use daymark_model::UnixNanos;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::StoreError;

const STORE: &str = "daymark disk";
/// Deletes that run at once.
const DELETES_AT_ONCE: usize = 8;

/// A lock that ends with its value.
pub(crate) type Lock = Box<dyn Any + Send + Sync>;

/// A directory on local disk. Clones share it.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    /// Everything that changes the disk.
    fs: Arc<dyn FileSystem>,
    /// Everything that only reads it.
    reads: Arc<dyn ObjectStore>,
    temporaries: AtomicU64,
    /// Directories whose names are on disk. One that is only seen may have been made by a process that was killed
    /// before it synced it.
    durable_dirs: Mutex<HashSet<PathBuf>>,
}

impl Disk {
    /// Opens `root`, which is created durably when absent.
    ///
    /// # Errors
    /// When the directory cannot be made or opened.
    pub fn open(root: &FsPath) -> Result<Disk> {
        RealFileSystem.create_dir(root).map_err(|error| generic(root, error))?;
        let root = root.canonicalize().map_err(|error| generic(root, error))?;
        let reads = LocalFileSystem::new_with_prefix(&root)?;
        Disk::open_on(Arc::new(RealFileSystem), &root, Arc::new(reads))
    }

    /// As [`Disk::open`], over any file system; `reads` lists and reads what lies below `root`.
    pub(crate) fn open_on(fs: Arc<dyn FileSystem>, root: &FsPath, reads: Arc<dyn ObjectStore>) -> Result<Disk> {
        fs.create_dir(root).map_err(|error| generic(root, error))?;
        if let Some(parent) = root.parent() {
            fs.sync_dir(parent).map_err(|error| generic(parent, error))?;
        }
        // Other stores may write here, in this process or in a container with the same process ids: names of temporary
        // files must differ between all of them.
        let temporaries = AtomicU64::new(RandomState::new().hash_one(std::process::id()) >> 1);
        let durable_dirs = Mutex::new(HashSet::from([root.to_owned()]));
        Ok(Disk { inner: Arc::new(Inner { root: root.to_owned(), fs, reads, temporaries, durable_dirs }) })
    }

    /// The lock of whoever deletes files; `None` while others have it, or share it.
    pub(crate) fn lock(&self) -> std::result::Result<Option<Lock>, StoreError> {
        self.inner.fs.lock(&self.inner.root).map_err(|error| StoreError::io(&self.inner.root, error))
    }

    /// The same lock, shared with others who want no file deleted.
    pub(crate) fn share(&self) -> std::result::Result<Option<Lock>, StoreError> {
        self.inner.fs.share(&self.inner.root).map_err(|error| StoreError::io(&self.inner.root, error))
    }

    /// Makes the names in `dir` durable, and in the directories above it, up to the root. Absent ones are left out.
    ///
    /// # Errors
    /// When one cannot be synced: then names in it may be gone after a power cut, though they can be seen now.
    pub(crate) async fn sync_dirs(&self, dir: &Path) -> Result<()> {
        let (mut at, inner) = (self.inner.file(dir), Arc::clone(&self.inner));
        tokio::task::spawn_blocking(move || {
            loop {
                match inner.fs.sync_dir(&at) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(generic(&at, error)),
                    _ => {}
                }
                if at == inner.root || !at.pop() {
                    return Ok(());
                }
            }
        })
        .await?
    }

    /// Deletes temporary files in `dir` itself that nobody has written to since `before`: their writers were killed. A
    /// writer that is only slow finds its name gone and fails, as if the disk had refused. Returns how many.
    ///
    /// # Errors
    /// When the directory cannot be listed. Files that cannot be deleted are left for the next call.
    pub(crate) async fn remove_temporaries(&self, dir: &Path, before: UnixNanos) -> Result<u64> {
        let (dir, inner) = (self.inner.file(dir), Arc::clone(&self.inner));
        tokio::task::spawn_blocking(move || {
            let names = inner.fs.list(&dir).map_err(|error| generic(&dir, error))?;
            let mut removed = 0;
            for path in names.iter().filter(|name| is_temporary(name)).map(|name| dir.join(name)) {
                // One that has gone has been linked and unlinked meanwhile.
                if inner.fs.modified(&path).is_ok_and(|modified| modified < before) {
                    match inner.fs.remove(&path) {
                        Ok(()) => removed += 1,
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        Err(error) => tracing::warn!(path = %path.display(), %error, "temporary file is not deleted"),
                    }
                }
            }
            Ok(removed)
        })
        .await?
    }

    /// The small file `name` in the root, with its path; it is made of `content`, durably, when there is none.
    pub(crate) fn small_file(&self, name: &str, content: &PutPayload, max_bytes: u64) -> (PathBuf, ReadOrMade) {
        let path = self.inner.root.join(name);
        let read = || daymark_guard::fs::read_small(&*self.inner.fs, &path, max_bytes);
        let found = match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.inner.write_durably(&path, content, Existing::Refuse) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                    _ => read(),
                }
            }
            found => found,
        };
        (path, found)
    }
}

fn is_temporary(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(of, digits)| {
        !of.is_empty() && !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// Content of a small file.
pub(crate) type ReadOrMade = std::io::Result<Vec<u8>>;

/// What a put does when the name exists.
#[derive(Clone, Copy, PartialEq)]
enum Existing {
    Refuse,
    Replace,
}

impl Inner {
    fn file(&self, location: &Path) -> PathBuf {
        location.as_ref().split('/').filter(|part| !part.is_empty()).fold(self.root.clone(), |at, part| at.join(part))
    }

    /// Makes `dir` and what is missing above it, with their names on disk.
    fn make_dir(&self, dir: &FsPath) -> std::io::Result<()> {
        let known = |dir: &FsPath| self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).contains(dir);
        if known(dir) {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(dir);
        if parent != dir {
            self.make_dir(parent)?;
        }
        self.fs.create_dir(dir)?;
        self.fs.sync_dir(parent)?;
        self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
        Ok(())
    }

    /// Writes `payload` under `target` so that it is durable on return.
    fn write_durably(&self, target: &FsPath, payload: &PutPayload, existing: Existing) -> std::io::Result<()> {
        let parent = target.parent().unwrap_or(FsPath::new("."));
        self.make_dir(parent)?;
        let mut temporary = target.to_owned().into_os_string();
        temporary.push(format!("#{}", self.temporaries.fetch_add(1, Relaxed)));
        let temporary = PathBuf::from(temporary);
        let written = self.write_as(&temporary, target, payload, existing);
        if written.is_err() || existing == Existing::Refuse {
            // After the link the temporary name is only litter; losing the unlink costs nothing.
            let _ = self.fs.remove(&temporary);
        }
        written?;
        self.fs.sync_dir(parent)
    }

    fn write_as(
        &self,
        temporary: &FsPath,
        target: &FsPath,
        payload: &PutPayload,
        existing: Existing,
    ) -> std::io::Result<()> {
        // Not "already exists", which would mean that the target does.
        let create = self.fs.create_new(temporary);
        let file = create.map_err(|error| std::io::Error::other(format!("{}: {error}", temporary.display())))?;
        let mut position = 0;
        for chunk in payload {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                match file.write_at(rest, position) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        rest = &rest[written..];
                        position += written as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if !fault::active(Fault::NameBeforeSync) {
            file.sync_data()?;
        }
        match existing {
            Existing::Refuse => self.fs.link(temporary, target),
            Existing::Replace => self.fs.rename(temporary, target),
        }
    }
}

fn generic(path: &FsPath, source: std::io::Error) -> Error {
    Error::Generic { store: STORE, source: format!("{}: {source}", path.display()).into() }
}

#[async_trait]
impl ObjectStore for Disk {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let existing = match opts.mode {
            PutMode::Create => Existing::Refuse,
            PutMode::Overwrite => Existing::Replace,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "conditional update".into(),
                    implementer: STORE.into(),
                });
            }
        };
        let (location, inner) = (location.clone(), Arc::clone(&self.inner));
        tokio::task::spawn_blocking(move || {
            let target = inner.file(&location);
            inner.write_durably(&target, &payload, existing).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => {
                    Error::AlreadyExists { path: location.to_string(), source: Box::new(error) }
                }
                _ => generic(&target, error),
            })
        })
        .await??;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "multipart upload".into(), implementer: STORE.into() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.reads.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.reads.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.inner);
        let delete = move |location: Path| {
            let inner = Arc::clone(&inner);
            async move {
                tokio::task::spawn_blocking(move || match inner.fs.remove(&inner.file(&location)) {
                    Ok(()) => Ok(location),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        Err(Error::NotFound { path: location.to_string(), source: Box::new(error) })
                    }
                    Err(error) => Err(generic(FsPath::new(location.as_ref()), error)),
                })
                .await?
            }
        };
        locations.map_ok(delete).try_buffered(DELETES_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.reads.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.reads.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: STORE.into() })
    }
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{STORE} {}", self.inner.root.display())
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_writers_of_one_name_exactly_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        // Half of the writers have a store of their own, as another process would.
        let elsewhere = Disk::open(dir.path()).unwrap();
        for round in 0..20 {
            let name = Path::from(format!("log/{round}.json"));
            let writers = (0..8).map(|writer| {
                let disk = if writer % 2 == 0 { disk.clone() } else { elsewhere.clone() };
                let name = name.clone();
                tokio::spawn(async move {
                    disk.put_opts(&name, format!("{writer}").into(), PutMode::Create.into()).await.map(|_| writer)
                })
            });
            let results = futures::future::join_all(writers).await;
            let won: Vec<i32> = results.iter().filter_map(|r| r.as_ref().unwrap().as_ref().ok().copied()).collect();
            assert_eq!(won.len(), 1);
            let lost = results.iter().filter(|r| matches!(r.as_ref().unwrap(), Err(Error::AlreadyExists { .. })));
            assert_eq!(lost.count(), 7);
            let content = disk.get(&name).await.unwrap().bytes().await.unwrap();
            assert_eq!(content, won[0].to_string().as_bytes());
        }
        let names: Vec<_> = fs::read_dir(dir.path().join("log")).unwrap().collect();
        assert_eq!(names.len(), 20, "no temporary file is left");
    }
}
