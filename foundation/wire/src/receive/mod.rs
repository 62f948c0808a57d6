//! The listeners: OTLP over HTTP and gRPC, JSON events, agents' batches and heartbeats.
//!
//! ```text
//! accept (TCP_NODELAY) → key → room for one more request → body (capped) → decompress (capped) → JSON to protobuf
//!   → Ingest → answer (success, partial success, or a google.rpc.Status with the time to retry)
//! ```
//!
//! Invariants:
//! - checks run cheapest first, and a request that is refused leaves nothing behind;
//! - memory of all requests in hand is reserved before it is taken and stays below one limit;
//! - both listeners go through the same [`receiver`](self), so that limits and answers are the same;
//! - requests refused before [`Ingest`] are in the ledger, as one item each.

mod answer;
mod body;
mod grpc;
mod http;
mod keys;
mod memory;
mod options;
mod receiver;
mod serve;

use std::sync::Arc;

use daymark_guard::Drain;
pub use keys::{InvalidKey, Key, KeyFile, KeyFileError, Scope, Scopes, TenantKeys, follow_key_file};
pub use options::{ReceiveOptions, ServeOptions};
use receiver::Receiver;
use tokio::net::TcpListener;

use crate::Ingest;

/// Routes of the HTTP listener: `/v1/traces`, `/v1/logs`, `/v1/metrics` (protobuf and JSON), `/v1/events`,
/// `/v1/batch` and `/v1/heartbeat`.
pub fn http_router(ingest: Arc<dyn Ingest>, options: ReceiveOptions) -> axum::Router {
    http::router(Arc::new(Receiver::new(ingest, options)))
}

/// Serves `router` on `listener` until the drain begins, then finishes the requests in hand.
pub async fn serve_http(listener: TcpListener, router: axum::Router, drain: Drain) {
    serve::http(listener, router, &ServeOptions::default(), drain).await;
}

/// Serves OTLP/gRPC on `listener` until the drain begins, then finishes the requests in hand.
pub async fn serve_grpc(listener: TcpListener, ingest: Arc<dyn Ingest>, options: ReceiveOptions, drain: Drain) {
    let receiver = Arc::new(Receiver::new(ingest, options));
    serve::grpc(listener, receiver, &ServeOptions::default(), drain).await;
}

#[cfg(test)]
mod tests;
