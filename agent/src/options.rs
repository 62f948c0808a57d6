//! The limits of an agent.

use std::path::PathBuf;

use daymark_guard::BackoffOptions;
use daymark_model::TenantId;
use daymark_wire::DecodeLimits;

/// Limits and times of one agent.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Folder in which `agent/` keeps the agent's id and epoch.
    pub data_dir: PathBuf,
    /// Tenants for which heartbeats are sent; those seen in requests are added.
    pub tenants: Vec<TenantId>,
    /// Tenants remembered at most; the heartbeats of others are left out.
    pub max_tenants: usize,
    /// Items (spans, log records, data points) waiting for the collector at most.
    pub queue_items: u64,
    /// Bytes of batches waiting for the collector at most.
    pub queue_bytes: u64,
    /// When requests of a quarter of these bytes are in hand, and the first came so long ago, others are refused before they
    /// are read, milliseconds. A longer queue would only make every answer late, and clients give up and send again.
    pub slow_queue_ms: u64,
    /// Batches on their way to the collector at once; the others of the queue wait.
    pub concurrent_sends: usize,
    /// Limit for one attempt, milliseconds.
    pub attempt_timeout_ms: u64,
    /// Limit for all attempts of one batch, milliseconds: below the listeners' request timeout, so that the client
    /// hears from us when to come back.
    pub deliver_timeout_ms: u64,
    /// Wait between attempts.
    pub backoff: BackoffOptions,
    /// Wait that is asked of clients that were turned away, milliseconds.
    pub retry_after_ms: u64,
    /// Time between heartbeats, and limit for one, milliseconds.
    pub heartbeat_interval_ms: u64,
    /// Items whose time lies further ahead of the agent's clock are rejected, milliseconds. As at the collector.
    pub max_future_ms: u64,
    /// Items of one request at most.
    pub max_items_per_request: u64,
    /// Derived series of one request; what goes beyond is counted in the overflow series.
    pub max_series_per_batch: usize,
    /// Bytes of derived metrics of one request at most; a request that exceeds it is refused.
    pub max_derived_bytes: usize,
    /// Requests above this size are decoded off the network threads, bytes.
    pub decode_inline_bytes: usize,
}

impl AgentOptions {
    /// The defaults, with the identity kept in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> AgentOptions {
        AgentOptions {
            data_dir: data_dir.into(),
            tenants: vec![TenantId::default()],
            max_tenants: 1_000,
            queue_items: 2_000_000,
            queue_bytes: 128 << 20,
            slow_queue_ms: 1_000,
            concurrent_sends: 64,
            attempt_timeout_ms: 4_000,
            deliver_timeout_ms: 8_000,
            backoff: BackoffOptions { first_ms: 50, cap_ms: 2_000 },
            retry_after_ms: 1_000,
            heartbeat_interval_ms: 1_000,
            max_future_ms: 3_600_000,
            max_items_per_request: DecodeLimits::default().max_items,
            max_series_per_batch: 10_000,
            max_derived_bytes: 32 << 20,
            decode_inline_bytes: 256 << 10,
        }
    }
}
