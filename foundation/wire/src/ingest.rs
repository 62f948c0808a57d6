//! The seam between the listeners and what takes the data: the agent's pipeline, the collector, or a collector
//! far away behind [`CollectorClient`](crate::CollectorClient).

use async_trait::async_trait;
use bytes::Bytes;
use daymark_model::{AgentId, LedgerSnapshot, Refusal, Signal, Stamp, TenantId, UnixNanos};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::decode::Walked;

/// Takes telemetry and makes it durable.
#[async_trait]
pub trait Ingest: Send + Sync + 'static {
    /// Stores one request. `Ok` means that it is durable.
    ///
    /// # Errors
    /// [`Refusal`] when nothing of the request was stored, or when that is not known (class `Retry`).
    async fn ingest(&self, request: IngestRequest) -> Result<IngestAnswer, Refusal>;

    /// Takes note of a living agent and of the event time it has closed.
    ///
    /// # Errors
    /// [`Refusal`] when the heartbeat could not be taken; the next one replaces it.
    async fn heartbeat(&self, beat: Heartbeat) -> Result<(), Refusal>;

    /// Why requests need not even be read now: they would wait too long. Listeners ask before they take the work of
    /// reading one; what they refuse so, they count.
    fn busy(&self) -> Option<Refusal> {
        None
    }
}

/// One request of one client, decompressed.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    /// Whose data it is: from the key of the request, never from its content.
    pub tenant: TenantId,
    /// The data.
    pub payload: Payload,
    /// Marks an agent's batch so that a repeated one is recognised; absent on requests of other clients.
    pub stamp: Option<Stamp>,
    /// The sender will send no more events that ended before this time.
    pub closed_until: Option<UnixNanos>,
    /// [`content_hash`] of the client's bytes: recognises a byte-identical retry, also after a restart.
    pub content_hash: u128,
    /// What an agent in this process has found in the batch, so that the collector need not walk it again before it is
    /// durable. No listener sets it: what comes over a network is checked.
    pub checked: Option<Checked>,
}

/// What the walk over a batch of spans or log records found, within the limits that the batch carries.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// Which of the two.
    pub signal: Signal,
    /// Items in it, and those that will not be stored.
    pub walked: Walked,
    /// Derived series in it.
    pub series: u64,
    /// Bytes of resource attributes, repeated for every item.
    pub expanded_bytes: u64,
}

/// The data of a request: protobuf bytes, decompressed.
#[derive(Clone, Debug)]
pub enum Payload {
    /// An `Export{Trace,Logs,Metrics}ServiceRequest`.
    Signal(Signal, Bytes),
    /// A [`Batch`](crate::batch) of an agent.
    Batch(Bytes),
}

impl Payload {
    /// The protobuf bytes.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Payload::Signal(_, bytes) | Payload::Batch(bytes) => bytes,
        }
    }
}

/// What became of an accepted request. Becomes OTLP's `partial_success`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestAnswer {
    /// Items that were refused for good; the rest is durable.
    pub rejected_items: u64,
    /// Why, or a warning when nothing was refused.
    pub message: Option<String>,
}

/// Sent by every agent once a second, also when it has no data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which agent.
    pub agent: AgentId,
    /// Which run of that agent.
    pub epoch: u64,
    /// Whose agent. The receiver overwrites it with the tenant of the request's key.
    #[serde(default)]
    pub tenant: TenantId,
    /// The agent will send no more events that ended before this time.
    pub closed_until: UnixNanos,
    /// What the agent has counted so far in this run, for all tenants; without rows in the heartbeats of all tenants but
    /// one, so that it is shown once.
    pub ledger: LedgerSnapshot,
}

/// Fingerprint (xxh3, 128 bits) of a client's request bytes after decompression, told apart by signal.
pub fn content_hash(signal: Signal, bytes: &[u8]) -> u128 {
    // Seed 0 stays free for batches, which carry the hash of the client's request in a header.
    xxh3_128_with_seed(bytes, signal as u64 + 1)
}

/// Request metadata of a batch (`docs/formats/batch.md`).
pub(crate) mod headers {
    /// Which agent: 32 hex digits.
    pub(crate) const AGENT: &str = "daymark-agent";
    /// Which run of the agent: decimal.
    pub(crate) const EPOCH: &str = "daymark-epoch";
    /// Which batch of that run: decimal.
    pub(crate) const SEQUENCE: &str = "daymark-sequence";
    /// Event time up to which the agent has sent everything: decimal Unix nanoseconds.
    pub(crate) const CLOSED_UNTIL: &str = "daymark-closed-until";
    /// Fingerprint of the client's request: hex.
    pub(crate) const CONTENT_HASH: &str = "daymark-content-hash";
}
