//! The local disk as an object store whose writes are durable when they return.
//!
//! `object_store` 0.13 never syncs. Here a put is: temporary file, fsync, hard link (create: put-if-absent) or rename
//! (overwrite), fsync of the directory. A name therefore never stands for data that is not on disk, and a commit that
//! was reported is still there after a power cut.
//!
//! Invariants:
//! - a name that is there although its put failed may not be on disk: [`Disk::sync_dirs`] tells before anybody relies on it;
//! - a new directory's entry is synced in its parent before anything is put into it;
//! - temporary names end in `#<digits>`, which `object_store` itself never lists or reads;
//! - deletes are not synced: a deleted file that comes back is found as an orphan and deleted again;
//! - multipart writes are refused, because they would not be durable.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

const STORE: &str = "daymark disk";

/// Makes the names in a directory durable. A seam: tests let it fail.
pub(crate) type SyncDir = fn(&FsPath) -> std::io::Result<()>;

/// A directory on local disk. Clones share it.
#[derive(Clone, Debug)]
pub struct Disk {
    root: Arc<FsPath>,
    sync_dir: SyncDir,
    inner: Arc<LocalFileSystem>,
    temporaries: Arc<AtomicU64>,
}

impl Disk {
    /// Opens `root`, which is created durably when absent.
    ///
    /// # Errors
    /// When the directory cannot be made or opened.
    pub fn open(root: &FsPath) -> Result<Disk> {
        Disk::open_with(root, sync_dir)
    }

    /// As [`Disk::open`], with another way to sync directories.
    pub(crate) fn open_with(root: &FsPath, sync_dir: SyncDir) -> Result<Disk> {
        create_dir_durably(root, sync_dir).map_err(|error| generic(root, error))?;
        let root = root.canonicalize().map_err(|error| generic(root, error))?;
        let inner = LocalFileSystem::new_with_prefix(&root)?;
        // Other stores may write here, in this process or in a container with the same process ids: names of temporary
        // files must differ between all of them.
        let first = RandomState::new().hash_one(std::process::id()) >> 1;
        let temporaries = Arc::new(AtomicU64::new(first));
        Ok(Disk { root: root.into(), sync_dir, inner: Arc::new(inner), temporaries })
    }

    /// Makes the names in `dir` durable, and in the directories above it, up to the root. Absent ones are left out.
    ///
    /// # Errors
    /// When one cannot be synced: then names in it may be gone after a power cut, though they can be seen now.
    pub(crate) async fn sync_dirs(&self, dir: &Path) -> Result<()> {
        let (mut at, root, sync_dir) = (self.file(dir)?, Arc::clone(&self.root), self.sync_dir);
        tokio::task::spawn_blocking(move || {
            loop {
                match sync_dir(&at) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(generic(&at, error)),
                    _ => {}
                }
                if *at == *root || !at.pop() {
                    return Ok(());
                }
            }
        })
        .await?
    }

    fn file(&self, location: &Path) -> Result<PathBuf> {
        self.inner.path_to_filesystem(location)
    }
}

/// Makes `dir` and what is missing above it, each new entry synced in its parent.
fn create_dir_durably(dir: &FsPath, sync_dir: SyncDir) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_dir_durably(parent, sync_dir)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_dir(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(FsPath::new(".")))
}

fn sync_dir(dir: &FsPath) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// What a put does when the name exists.
#[derive(Clone, Copy, PartialEq)]
enum Existing {
    Refuse,
    Replace,
}

/// Writes `payload` under `target` so that it is durable on return.
fn write_durably(
    target: &FsPath,
    temporary: &FsPath,
    payload: &PutPayload,
    existing: Existing,
    sync_dir: SyncDir,
) -> std::io::Result<()> {
    let parent = target.parent().unwrap_or(FsPath::new("."));
    create_dir_durably(parent, sync_dir)?;
    let written = (|| {
        // Not "already exists", which would mean that the target does.
        let create = OpenOptions::new().write(true).create_new(true).open(temporary);
        let mut file = create.map_err(|error| std::io::Error::other(format!("{}: {error}", temporary.display())))?;
        for chunk in payload {
            file.write_all(chunk)?;
        }
        file.sync_all()?;
        match existing {
            Existing::Refuse => fs::hard_link(temporary, target),
            Existing::Replace => fs::rename(temporary, target),
        }
    })();
    if written.is_err() || existing == Existing::Refuse {
        // After the link the temporary name is only litter; losing the unlink costs nothing.
        let _ = fs::remove_file(temporary);
    }
    written?;
    sync_dir(parent)
}

/// [`write_durably`] for files beside the object store.
pub(crate) fn put_file_if_absent(target: &FsPath, payload: &PutPayload) -> std::io::Result<()> {
    let unique = RandomState::new().hash_one(std::process::id()) >> 1;
    let temporary = target.with_extension(format!("new#{unique}"));
    write_durably(target, &temporary, payload, Existing::Refuse, sync_dir)
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
        let target = self.file(location)?;
        let mut temporary = target.clone().into_os_string();
        temporary.push(format!("#{}", self.temporaries.fetch_add(1, Relaxed)));
        let (location, sync_dir) = (location.clone(), self.sync_dir);
        tokio::task::spawn_blocking(move || {
            let written = write_durably(&target, FsPath::new(&temporary), &payload, existing, sync_dir);
            written.map_err(|error| match error.kind() {
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
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: STORE.into() })
    }
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{STORE} {}", self.root.display())
    }
}

#[cfg(test)]
mod tests {
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
