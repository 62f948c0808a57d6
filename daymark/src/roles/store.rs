//! Opens the tables: below the data directory, or in an object store.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use daymark_guard::secret;
use daymark_store::{Access, CollectorId, Store, StoreOptions};

use crate::cli::{CollectorTuning, DataArgs};

/// The tables, for `role`, which reads them.
///
/// # Errors
/// When they cannot be opened.
pub(crate) async fn for_reading(data: &DataArgs, role: &str) -> anyhow::Result<Arc<Store>> {
    anyhow::ensure!(!data.store.take_over, "--take-over is for the collector: this role writes no tables");
    let options = StoreOptions::default();
    let store = match data.store.remote(cache_dir(data, role))? {
        Some(remote) => Store::open_remote(&remote, Access::Read, options).await?,
        None => Store::open_local_with(&data.data_dir, options)?,
    };
    Ok(Arc::new(store))
}

/// The tables, for the collector. In an object store, other collectors may write tables too, so this one says who it is.
///
/// # Errors
/// As [`for_reading`], and when the object store is no place for tables.
pub(crate) async fn for_writing(data: &DataArgs, role: &str, tuning: &CollectorTuning) -> anyhow::Result<Arc<Store>> {
    let options = StoreOptions {
        delete_grace_ms: tuning.keep_removed_s * 1_000,
        log_grace_ms: tuning.keep_commits_s * 1_000,
        ..StoreOptions::default()
    };
    let take_over = data.store.take_over;
    let store = match data.store.remote(cache_dir(data, role))? {
        Some(remote) => {
            let path = data.data_dir.join("collector.id");
            let id = secret::shared_key(&path).with_context(|| format!("id of this collector {}", path.display()))?;
            let options = StoreOptions { collector: Some(CollectorId { id, take_over }), ..options };
            Store::open_remote(&remote, Access::Write, options).await?
        }
        None => {
            anyhow::ensure!(!take_over, "--take-over is for tables in an object store: give --store, or leave it out");
            Store::open_local_with(&data.data_dir, options)?
        }
    };
    Ok(Arc::new(store))
}

/// Roles on one machine may share a data directory: each has a cache of its own, so that each keeps to its budget.
fn cache_dir(data: &DataArgs, role: &str) -> PathBuf {
    data.data_dir.join("cache").join(role)
}
