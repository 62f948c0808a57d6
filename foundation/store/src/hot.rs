//! Hot rows: what the collector holds and has not yet published, through the one read interface of design §7.
//!
//! A reader takes a table at offset O (`Snapshot::consumed`) and asks for the hot rows after O: none twice, none
//! missing, also while a seal is under way. When the collector has already dropped rows after O, because a newer
//! commit holds them, it answers [`HotError::Stale`] and the reader refreshes its snapshot.
//!
//! Two sides: the collector's own memory in process, [`crate::HttpHotSource`] over Arrow IPC from elsewhere.

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use daymark_model::{AgentId, LedgerSnapshot, LogOffset, TenantId, TimeRange, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::TableName;

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
}

/// The collector's state, for alerts (watermark) and for the ledger page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectorStatus {
    /// All data with an event time before this is in (design §10).
    pub watermark: UnixNanos,
    /// Every agent that was heard of.
    pub agents: Vec<AgentStatus>,
    /// Ledgers of the collector and of its agents.
    pub ledgers: Vec<LedgerSnapshot>,
    /// Newest offset that is durable in the ingest log.
    pub durable: LogOffset,
    /// Newest offset whose rows can be queried.
    pub applied: LogOffset,
    /// Size of the ingest log on disk.
    pub log_bytes: u64,
    /// Ingest log segments on disk.
    pub log_segments: u64,
    /// Rows held in memory and not yet published.
    pub hot_rows: u64,
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
