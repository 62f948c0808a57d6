//! Compact: merges small segments into few large ones, beside ingest, one at a time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use daymark_guard::Drain;
use daymark_model::TenantId;
use daymark_store::{CompactOptions, StoreError, TableName};

use crate::core::Shared;

/// Parts of a table's retention that a merger may span: rows stay so much longer at most.
const RETENTION_PARTS: u64 = 8;
const HOUR_NS: u64 = 3_600_000_000_000;

/// Damaged segments by table, which are left alone until the next start.
type Skipped = HashMap<(TenantId, TableName), HashSet<String>>;

/// Looks for work again and again until the drain begins.
pub(crate) async fn run(shared: Arc<Shared>, drain: Drain) {
    let interval = Duration::from_millis(shared.options.compact_interval_ms.max(1));
    let mut skipped = Skipped::new();
    loop {
        tokio::select! {
            () = drain.begun() => return,
            () = tokio::time::sleep(interval) => {}
        }
        tokio::select! {
            // A merger that is not committed is left behind as an orphan.
            () = drain.begun() => return,
            result = compact(&shared, &mut skipped) => {
                if let Err(error) = result {
                    tracing::warn!(%error, "tenants not listed, small segments not merged yet");
                }
            }
        }
    }
}

async fn compact(shared: &Shared, skipped: &mut Skipped) -> Result<(), StoreError> {
    for tenant in shared.own_tenants().await? {
        for table in TableName::ALL {
            let hours = shared.options.retention.hours_of(&tenant, table);
            let mut options = shared.options.compact.for_table(table);
            options.window_ns = options.window_ns.min((hours.saturating_mul(HOUR_NS) / RETENTION_PARTS).max(1));
            let skip = skipped.entry((tenant.clone(), table)).or_default();
            // One table in trouble does not stop the others.
            if let Err(error) = merge_all(shared, &tenant, table, &options, skip).await {
                tracing::warn!(%tenant, %table, %error, "small segments not merged yet");
            }
        }
    }
    Ok(())
}

async fn merge_all(
    shared: &Shared,
    tenant: &TenantId,
    table: TableName,
    options: &CompactOptions,
    skip: &mut HashSet<String>,
) -> Result<(), StoreError> {
    while let Some(done) = shared.store.table(tenant, table).compact(options, skip).await? {
        tracing::debug!(
            %tenant, %table, segments = done.segments, rows = done.rows, before = done.bytes_before,
            after = done.bytes_after, "segments merged"
        );
    }
    Ok(())
}
