//! All tables: in a directory or an object store; tenants, format version.

use std::collections::HashMap;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex, PoisonError};

use daymark_guard::{Clock, SystemClock};
use daymark_model::TenantId;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::blocks::{BlockCache, Cached};
use crate::cache::Cache;
use crate::remote::{self, Away, RemoteOptions, RequestStats, Requests};
use crate::{CacheStats, Disk, StoreError, Table, TableName, format};

/// Limits of a [`Store`].
#[derive(Clone)]
pub struct StoreOptions {
    /// Tells the time of commits and the age of files.
    pub clock: Arc<dyn Clock>,
    /// A checkpoint of a table's log is written after every so many commits.
    pub checkpoint_every: u64,
    /// A removed segment's files stay so long for readers that hold an older snapshot, milliseconds.
    pub delete_grace_ms: u64,
    /// Files of a segment that never was committed are deleted after so long, milliseconds.
    pub orphan_grace_ms: u64,
    /// Commit files that a checkpoint covers are deleted after so long, milliseconds.
    pub log_grace_ms: u64,
    /// Footers, bloom filters and indexes kept in memory, bytes in all.
    pub cache_bytes: usize,
    /// Lost races for a version before a commit gives up.
    pub commit_attempts: u32,
    /// Readers wait so long for an object store to tell the newest version, then answer from the version known,
    /// milliseconds.
    pub snapshot_timeout_ms: u64,
    /// Who commits log offsets to tables that other machines may write, too; none where the disk is ours alone.
    pub collector: Option<CollectorId>,
}

/// A collector among several that may write to one object store.
#[derive(Clone, Debug)]
pub struct CollectorId {
    /// Belongs to the data directory, whose log the offsets count.
    pub id: String,
    /// Whether tables of another collector are written from now on: that one is gone for good.
    pub take_over: bool,
}

/// What a process does with the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only reads: needs no permission to write.
    Read,
    /// Writes, too: the store must honour put-if-absent.
    Write,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            clock: Arc::new(SystemClock),
            checkpoint_every: 100,
            delete_grace_ms: 600_000,
            orphan_grace_ms: 3_600_000,
            log_grace_ms: 3_600_000,
            cache_bytes: 256 << 20,
            commit_attempts: 100,
            snapshot_timeout_ms: 3_000,
            collector: None,
        }
    }
}

/// What the tables of one store share.
pub(crate) struct Shared {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// The local disk, whose names have to be synced; an object store's need not.
    pub(crate) disk: Option<Disk>,
    pub(crate) options: StoreOptions,
    pub(crate) cache: Cache,
    /// Whether an object store is out of reach.
    pub(crate) away: Away,
    /// What an object store was asked, and what was kept of it.
    pub(crate) remote: Option<(Requests, Option<BlockCache>)>,
}

impl Shared {
    /// Makes sure that the names in `dir` are on disk, and `dir` itself. What an object store has answered is durable.
    pub(crate) async fn sync_dirs(&self, dir: &Path) -> Result<(), StoreError> {
        match &self.disk {
            Some(disk) => Ok(disk.sync_dirs(dir).await?),
            None => Ok(()),
        }
    }

    /// Deletes temporary files in `dir` itself whose grace has ended: their writers were killed. An object store has none.
    pub(crate) async fn remove_temporaries(&self, dir: &Path) -> Result<u64, StoreError> {
        let before = self.options.clock.now().minus(self.options.orphan_grace_ms.saturating_mul(1_000_000));
        match &self.disk {
            Some(disk) => Ok(disk.remove_temporaries(dir, before).await?),
            None => Ok(0),
        }
    }
}

/// All tables of all tenants in one place.
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    tables: Mutex<HashMap<(TenantId, TableName), Table>>,
}

impl Store {
    /// Opens `<data_dir>/tables` with default limits; creates it, with its `FORMAT` file, when absent.
    ///
    /// # Errors
    /// [`StoreError::UnknownFormat`] when another version of Daymark wrote it; disk faults.
    pub fn open_local(data_dir: impl AsRef<FsPath>) -> Result<Store, StoreError> {
        Store::open_local_with(data_dir, StoreOptions::default())
    }

    /// Opens `<data_dir>/tables`.
    ///
    /// # Errors
    /// As [`Store::open_local`].
    pub fn open_local_with(data_dir: impl AsRef<FsPath>, options: StoreOptions) -> Result<Store, StoreError> {
        let root = data_dir.as_ref().join("tables");
        Store::open_on(Disk::open(&root)?, options)
    }

    /// Opens the tables on `disk`.
    pub(crate) fn open_on(disk: Disk, options: StoreOptions) -> Result<Store, StoreError> {
        format::check_or_create(&disk)?;
        Ok(Store::with(Arc::new(disk.clone()), Some(disk), options, None))
    }

    /// Opens the tables in an object store; marks an empty place as ours when it is opened for writing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the store cannot be reached or refuses us, [`StoreError::NoPutIfAbsent`] when it is no
    /// place for tables, [`StoreError::UnknownFormat`].
    pub async fn open_remote(
        remote: &RemoteOptions,
        access: Access,
        options: StoreOptions,
    ) -> Result<Store, StoreError> {
        let client = remote::connect(remote)?;
        let requests = client.requests();
        let objects: Arc<dyn ObjectStore> = Arc::new(client);
        let place = remote.url.to_string();
        check_place(&*objects, &place, access).await.map_err(|error| match error {
            StoreError::Object(source) => StoreError::Unusable { store: place.clone(), source },
            other => other,
        })?;
        let wanted = remote.cache.as_ref().filter(|cache| cache.max_bytes > 0);
        let blocks = wanted
            .map(|cache| {
                BlockCache::open(&cache.dir, &place, cache.max_bytes).map_err(|error| StoreError::io(&cache.dir, error))
            })
            .transpose()?;
        let objects = match &blocks {
            Some(blocks) => Arc::new(Cached::new(objects, blocks.clone())),
            None => objects,
        };
        Ok(Store::with(objects, None, options, Some((requests, blocks))))
    }

    /// Opens the tables in `objects`, told as `place`. A seam: tests bring their own.
    #[cfg(test)]
    pub(crate) async fn open_objects(
        objects: Arc<dyn ObjectStore>,
        place: &str,
        access: Access,
        options: StoreOptions,
    ) -> Result<Store, StoreError> {
        check_place(&*objects, place, access).await?;
        Ok(Store::with(objects, None, options, None))
    }

    fn with(
        objects: Arc<dyn ObjectStore>,
        disk: Option<Disk>,
        options: StoreOptions,
        remote: Option<(Requests, Option<BlockCache>)>,
    ) -> Store {
        let cache = Cache::new(options.cache_bytes);
        let shared = Shared { objects, disk, options, cache, away: Away::default(), remote };
        Store { shared: Arc::new(shared), tables: Mutex::default() }
    }

    /// Whether the tables are on local disk.
    pub fn is_local(&self) -> bool {
        self.shared.disk.is_some()
    }

    /// What the object store was asked; none for tables on local disk.
    pub fn request_stats(&self) -> Option<RequestStats> {
        self.shared.remote.as_ref().map(|(requests, _)| requests.stats())
    }

    /// What the cache of the object store did, if there is one.
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.shared.remote.as_ref().and_then(|(_, blocks)| blocks.as_ref()).map(BlockCache::stats)
    }

    /// One table. It exists on disk from its first commit on. Handles share their snapshot.
    pub fn table(&self, tenant: &TenantId, name: TableName) -> Table {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables
            .entry((tenant.clone(), name))
            .or_insert_with(|| Table::new(Arc::clone(&self.shared), tenant.clone(), name));
        table.clone()
    }

    /// Deletes temporary files beside the tables that a writer which was killed has left; [`Table::retain`] does so in the
    /// tables. Returns how many.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub async fn remove_temporaries(&self) -> Result<u64, StoreError> {
        self.shared.remove_temporaries(&Path::ROOT).await
    }

    /// Tenants with a directory here, sorted.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let listed = self.shared.objects.list_with_delimiter(None).await?;
        let name = |prefix: &Path| prefix.filename().and_then(|name| TenantId::parse(name).ok());
        let mut tenants: Vec<TenantId> = listed.common_prefixes.iter().filter_map(name).collect();
        tenants.sort();
        Ok(tenants)
    }
}

/// Whether `place` is one for our tables.
async fn check_place(objects: &dyn ObjectStore, place: &str, access: Access) -> Result<(), StoreError> {
    format::check_objects(objects, place, access).await?;
    if access == Access::Write {
        remote::check_put_if_absent(objects, place).await?;
    }
    Ok(())
}
