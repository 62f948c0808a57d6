//! The limits of a listener.

use std::sync::Arc;

use daymark_guard::{Clock, MemoryGate, QuotaLimits, Quotas, SystemClock};
use daymark_model::Ledger;

use super::TenantKeys;
use crate::DeadLetters;

/// Limits on the requests of one listener. HTTP and gRPC each count for themselves.
#[derive(Clone)]
pub struct ReceiveOptions {
    /// Largest request as sent, bytes.
    pub max_request_bytes: usize,
    /// Largest request after decompression and after turning JSON into protobuf, bytes.
    pub max_decompressed_bytes: usize,
    /// Memory for all requests in hand together, bytes; beyond it requests are turned away (503 / UNAVAILABLE).
    pub max_inflight_bytes: usize,
    /// Requests in hand at once; beyond it requests wait, and tenants take turns.
    pub max_concurrent_requests: usize,
    /// Requests that may wait for their turn, without their bodies; beyond it those of the tenant with the most are turned
    /// away (503 / UNAVAILABLE).
    pub max_waiting_requests: usize,
    /// Time for one request from its headers to its answer, milliseconds; a shorter `grpc-timeout` of the client wins.
    pub request_timeout_ms: u64,
    /// Wait that is asked of clients that were turned away here, milliseconds.
    pub retry_after_ms: u64,
    /// Who may send, and as which tenant.
    pub keys: TenantKeys,
    /// How much each tenant may send; its bytes are counted here.
    pub quotas: Arc<Quotas>,
    /// The memory budget of the process, which turns tenants away when it is short (503 / UNAVAILABLE).
    pub memory: Arc<MemoryGate>,
    /// Where requests go that cannot be decoded, beside their refusal.
    pub dead_letters: Option<DeadLetters>,
    /// Counts requests refused before [`Ingest`](crate::Ingest) sees them, one item each.
    pub ledger: Ledger,
    /// Gives events without a time their time.
    pub clock: Arc<dyn Clock>,
}

impl ReceiveOptions {
    /// The defaults, counting into `ledger`.
    pub fn new(ledger: Ledger) -> ReceiveOptions {
        ReceiveOptions {
            max_request_bytes: 16 << 20,
            max_decompressed_bytes: 64 << 20,
            max_inflight_bytes: 256 << 20,
            max_concurrent_requests: 256,
            max_waiting_requests: 256,
            request_timeout_ms: 10_000,
            retry_after_ms: 1_000,
            keys: TenantKeys::default(),
            memory: MemoryGate::open(),
            dead_letters: None,
            quotas: Quotas::new(QuotaLimits::default(), Arc::new(SystemClock)),
            ledger,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Limits on the connections of one listener.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Connections at once; beyond it new ones wait to be accepted.
    pub max_connections: u32,
    /// Time for the headers of an HTTP/1 request, milliseconds.
    pub header_timeout_ms: u64,
    /// An HTTP/2 connection that is silent that long is asked whether it lives, and closed if not, milliseconds.
    pub keep_alive_ms: u64,
    /// Time for the requests in hand when draining; then their connections are closed, milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            max_connections: 1024,
            header_timeout_ms: 10_000,
            keep_alive_ms: 20_000,
            drain_timeout_ms: 10_000,
        }
    }
}
