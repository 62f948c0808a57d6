//! What the tables take on disk, reckoned at most every `storage_max_age_ms`: it looks at every table of every tenant, and
//! whoever may scrape `/metrics` needs no key.

use std::time::{Duration, Instant};

use daymark_model::TenantId;
use daymark_store::{DiskSpace, StoreError, Usage};
use tokio::sync::Mutex;

use crate::core::Shared;

/// The newest answer and when it was made. Whoever comes while one is made waits for that one.
pub(crate) type Newest = Mutex<Option<(Instant, Usage)>>;

/// What the tables take.
///
/// # Errors
/// When tenants or tables cannot be read.
pub(crate) async fn usage(shared: &Shared) -> Result<Usage, StoreError> {
    let mut newest = shared.storage.lock().await;
    let max_age = Duration::from_millis(shared.options.storage_max_age_ms);
    if let Some((at, usage)) = &*newest
        && at.elapsed() < max_age
    {
        return Ok(usage.clone());
    }
    let reserved_bytes = shared.options.log.min_free_bytes;
    // Tables in an object store do not fill our disk.
    let free_bytes = if shared.store.is_local() { shared.log.free_bytes() } else { None };
    let disk = free_bytes.map(|free_bytes| DiskSpace { free_bytes, reserved_bytes });
    let kept = |tenant: &TenantId, table| shared.options.retention.hours_of(tenant, table);
    let usage = shared.store.usage(kept, disk).await?;
    *newest = Some((Instant::now(), usage.clone()));
    Ok(usage)
}
