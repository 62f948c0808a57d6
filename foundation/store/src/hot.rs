//! Hot rows: what the collector holds and has not yet published, through the one read interface of design §7.
//!
//! A reader takes a table at offset O (`Snapshot::consumed`) and asks for the hot rows after O: none twice, none
//! missing, also while a seal is under way. When the collector has already dropped rows after O, because a newer
//! commit holds them, it answers [`HotError::Stale`] and the reader refreshes its snapshot.
//!
//! Two sides: the collector's own memory in process, [`crate::HttpHotSource`] over Arrow IPC from elsewhere.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use daymark_model::{AgentId, LedgerSnapshot, LogOffset, MemoryStatus, TenantId, TimeRange, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::{MetricAccounts, TableName, Usage};

/// Asks for the hot rows of one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HotRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// Of which table.
    pub table: TableName,
    /// Rows outside may be left out, rows inside must not.
    pub time: TimeRange,
    /// Columns wanted, in schema order in the answer; `None` for all.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Only rows with a larger log offset.
    pub after: LogOffset,
}

/// Hot rows: exactly those with `after < log_offset <= through` in the time asked for.
#[derive(Clone, Debug)]
pub struct HotRows {
    /// The newest log offset these rows reflect.
    pub through: LogOffset,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Rows that were durable when the request came are still being applied: they are not among these.
    pub behind: bool,
}

/// Why there are no hot rows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HotError {
    /// The snapshot is too old: rows after it were published and dropped. Refresh it and ask again.
    #[error("rows up to log offset {needed} are published: refresh the snapshot")]
    Stale {
        /// The snapshot must have consumed at least this offset.
        needed: LogOffset,
    },
    /// The collector cannot be reached or failed; the answer is partial.
    #[error("collector: {0}")]
    Unreachable(String),
}

/// Where hot rows come from.
#[async_trait]
pub trait HotSource: Send + Sync {
    /// The hot rows of one table.
    ///
    /// # Errors
    /// [`HotError`].
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError>;

    /// What the collector knows about itself and its agents.
    ///
    /// # Errors
    /// [`HotError::Unreachable`].
    async fn status(&self) -> Result<CollectorStatus, HotError>;

    /// What the tables take on the collector's disk.
    ///
    /// # Errors
    /// [`HotError::Unreachable`], also when the source does not know.
    async fn storage(&self) -> Result<Usage, HotError> {
        Err(HotError::Unreachable("this collector does not know its storage".to_owned()))
    }
}

/// The collector's state, for alerts (watermark) and for the ledger page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectorStatus {
    /// All data of all tenants with an event time before this is in (design §10). For one tenant, ask
    /// [`CollectorStatus::watermark_of`].
    pub watermark: UnixNanos,
    /// The watermark of each tenant that has agents.
    #[serde(default)]
    pub watermarks: BTreeMap<TenantId, UnixNanos>,
    /// The watermark of a tenant without agents: what arrived until then can be queried. Absent in the status of an
    /// older collector.
    #[serde(default)]
    pub arrived: Option<UnixNanos>,
    /// Heartbeats and batches, per tenant, of agents beyond the number that is followed.
    #[serde(default)]
    pub untracked_agents: BTreeMap<TenantId, u64>,
    /// Every agent that was heard of.
    pub agents: Vec<AgentStatus>,
    /// Ledgers of the collector and of its agents.
    pub ledgers: Vec<LedgerSnapshot>,
    /// Newest offset that is durable in the ingest log.
    pub durable: LogOffset,
    /// Newest offset whose rows can be queried.
    pub applied: LogOffset,
    /// Offsets after this one came since the collector's start, as the counts of its ledger did. Absent in the status of
    /// an older collector.
    #[serde(default)]
    pub started_at: Option<LogOffset>,
    /// What the metric tables of each of its tenants were given since. Absent in the status of an older collector.
    #[serde(default)]
    pub metrics: Option<MetricAccounts>,
    /// Size of the ingest log on disk.
    pub log_bytes: u64,
    /// Ingest log segments on disk.
    pub log_segments: u64,
    /// Rows held in memory and not yet published.
    pub hot_rows: u64,
    /// How short memory is.
    #[serde(default)]
    pub memory: Option<MemoryStatus>,
}

impl CollectorStatus {
    /// All data of `tenant` with an event time before this is in. An older collector knows one time for all tenants.
    pub fn watermark_of(&self, tenant: &TenantId) -> UnixNanos {
        self.watermarks.get(tenant).copied().or(self.arrived).unwrap_or(self.watermark)
    }
}

/// What the collector knows about one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Whose agent. One that carries the data of several tenants is listed under each.
    #[serde(default)]
    pub tenant: TenantId,
    /// Which agent.
    pub agent: AgentId,
    /// Its newest run.
    pub epoch: u64,
    /// It has sent everything with an event time before this.
    pub closed_until: UnixNanos,
    /// When it was last heard.
    pub last_seen: UnixNanos,
    /// Not heard for 30 s: left out of the watermark, its services' SLOs are unknown.
    pub silent: bool,
    /// Services whose telemetry came through it.
    pub services: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_older_collector_is_read_with_its_one_watermark() {
        let old = r#"{"watermark":5000000000,"agents":[],"ledgers":[],"durable":7,"applied":6,"log_bytes":1,
                      "log_segments":1,"hot_rows":0}"#;
        let status: CollectorStatus = serde_json::from_str(old).unwrap();
        assert_eq!(status.watermark_of(&TenantId::default()), UnixNanos::from_seconds(5));
    }

    #[test]
    fn a_tenant_has_its_own_watermark_or_that_of_arrival() {
        let acme = TenantId::parse("acme").unwrap();
        let at = UnixNanos::from_seconds;
        let status = CollectorStatus {
            watermark: at(1),
            watermarks: BTreeMap::from([(acme.clone(), at(1))]),
            arrived: Some(at(9)),
            ..CollectorStatus::default()
        };
        let read: CollectorStatus = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
        assert_eq!((read.watermark_of(&acme), read.watermark_of(&TenantId::default())), (at(1), at(9)));
    }
}
