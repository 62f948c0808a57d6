//! Retain: drops segments whose rows are all older than their table keeps them.

use std::sync::Arc;
use std::time::Duration;

use daymark_guard::Drain;
use daymark_model::{TenantId, UnixNanos};
use daymark_store::{Retained, StoreError, TableName};

use crate::core::Shared;
use crate::error::CollectorError;
use crate::options::Retention;

const HOUR_NS: u64 = 3_600_000_000_000;

/// Looks for old segments again and again until the drain begins.
pub(crate) async fn run(shared: Arc<Shared>, drain: Drain) {
    let interval = Duration::from_secs(shared.options.retention.check_interval_s.max(1));
    loop {
        tokio::select! {
            () = drain.begun() => return,
            () = tokio::time::sleep(interval) => {}
        }
        if let Err(error) = retain(&shared).await {
            tracing::warn!(%error, "old segments not dropped yet");
        }
    }
}

/// Drops what is old now.
///
/// # Errors
/// When the tenants cannot be listed; a table that cannot be read or changed is told and left for the next time.
pub(crate) async fn retain(shared: &Shared) -> Result<(), CollectorError> {
    let now = shared.clock.now();
    if let Err(error) = shared.store.remove_temporaries().await {
        tracing::warn!(%error, "temporary files of killed writers not deleted yet");
    }
    for tenant in shared.own_tenants().await? {
        for table in TableName::ALL {
            let retention = &shared.options.retention;
            let older_than = now.minus(retention.hours_of(&tenant, table).saturating_mul(HOUR_NS));
            let index_ns = retention.index_hours.saturating_mul(HOUR_NS);
            if table == TableName::Logs && index_ns > 0 {
                match shared.store.table(&tenant, table).drop_indexes(now.minus(index_ns)).await {
                    Ok(0) => {}
                    Ok(segments) => tracing::info!(%tenant, %table, segments, "text indexes of old rows dropped"),
                    Err(error) => tracing::warn!(%tenant, %table, %error, "text indexes of old rows not dropped yet"),
                }
            }
            match drop_old(shared, &tenant, table, older_than).await {
                Ok(dropped) if dropped.segments > 0 => {
                    tracing::info!(%tenant, %table, segments = dropped.segments, rows = dropped.rows, "old rows dropped");
                }
                Ok(_) => {}
                // One table in trouble does not stop the others.
                Err(error) => tracing::warn!(%tenant, %table, %error, "old segments not dropped yet"),
            }
        }
    }
    Ok(())
}

/// As [`Table::retain`](daymark_store::Table::retain), and enters into the tenant's account what went.
async fn drop_old(
    shared: &Shared,
    tenant: &TenantId,
    name: TableName,
    older_than: UnixNanos,
) -> Result<Retained, StoreError> {
    let table = shared.store.table(tenant, name);
    let retained = table.retain(older_than).await;
    match &retained {
        Ok(retained) => shared.expired(tenant, name, retained.tally),
        // They may have been taken out all the same.
        Err(_) if table.known_snapshot().segments.iter().any(|segment| segment.time.1 < older_than) => {
            shared.expired(tenant, name, None);
        }
        Err(_) => {}
    }
    retained
}

impl Retention {
    /// How long rows of `table` are kept for `tenant`, hours: its own exception, else everybody's, else the default. Of
    /// `series` there is none: its rows stay as long as any that refers to them, which may be of the end of the day.
    pub fn hours_of(&self, tenant: &TenantId, table: TableName) -> u64 {
        if table == TableName::Series {
            let of_metrics = TableName::METRICS.map(|table| self.hours_of(tenant, table));
            return of_metrics.into_iter().max().unwrap_or(0).saturating_add(24);
        }
        let exception = |of: Option<TenantId>| self.exceptions.get(&(of, table)).copied();
        exception(Some(tenant.clone())).or_else(|| exception(None)).unwrap_or_else(|| self.default_hours(table))
    }

    /// How long any row is kept at most, hours.
    pub(crate) fn longest_hours(&self) -> u64 {
        let defaults = TableName::ALL.map(|table| self.default_hours(table));
        self.exceptions.values().copied().chain(defaults).max().unwrap_or(0).saturating_add(24)
    }

    fn default_hours(&self, table: TableName) -> u64 {
        match table {
            TableName::Spans => self.spans_hours,
            TableName::Logs => self.logs_hours,
            TableName::Traces => self.traces_hours,
            TableName::Metrics10s => self.metrics_10s_hours,
            TableName::Metrics1m => self.metrics_1m_hours,
            TableName::Metrics1h => self.metrics_1h_hours,
            TableName::Metrics1d => self.metrics_1d_hours,
            TableName::Series => 0,
            TableName::Edges => self.edges_hours,
        }
    }
}
