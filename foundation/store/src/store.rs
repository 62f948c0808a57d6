//! The tables directory: tenants, tables, format version.

use std::collections::HashMap;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex, PoisonError};

use daymark_guard::{Clock, SystemClock};
use daymark_model::TenantId;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::cache::Cache;
use crate::{Disk, StoreError, Table, TableName, format};

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
        }
    }
}

/// What the tables of one store share.
pub(crate) struct Shared {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) disk: Disk,
    pub(crate) options: StoreOptions,
    pub(crate) cache: Cache,
}

/// All tables of all tenants under one directory.
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
        let cache = Cache::new(options.cache_bytes);
        let shared = Shared { objects: Arc::new(disk.clone()), disk, options, cache };
        Ok(Store { shared: Arc::new(shared), tables: Mutex::default() })
    }

    /// One table. It exists on disk from its first commit on. Handles share their snapshot.
    pub fn table(&self, tenant: &TenantId, name: TableName) -> Table {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables
            .entry((tenant.clone(), name))
            .or_insert_with(|| Table::new(Arc::clone(&self.shared), tenant.clone(), name));
        table.clone()
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
