//! The listeners: OTLP over HTTP and gRPC, JSON events, agents' batches and heartbeats.

mod keys;
mod options;

use std::sync::Arc;

use daymark_guard::Drain;
pub use keys::{InvalidKey, TenantKeys};
pub use options::ReceiveOptions;
use tokio::net::TcpListener;

use crate::Ingest;

/// Routes of the HTTP listener: `/v1/traces`, `/v1/logs`, `/v1/metrics` (protobuf and JSON), `/v1/events`,
/// `/v1/batch` and `/v1/heartbeat`.
pub fn http_router(ingest: Arc<dyn Ingest>, options: ReceiveOptions) -> axum::Router {
    let _ = (ingest, options);
    todo!()
}

/// Serves `router` on `listener` until the drain begins, then finishes the requests in hand.
pub async fn serve_http(listener: TcpListener, router: axum::Router, drain: Drain) {
    let _ = (listener, router, drain);
    todo!()
}

/// Serves OTLP/gRPC on `listener` until the drain begins, then finishes the requests in hand.
pub async fn serve_grpc(listener: TcpListener, ingest: Arc<dyn Ingest>, options: ReceiveOptions, drain: Drain) {
    let _ = (listener, ingest, options, drain);
    todo!()
}
