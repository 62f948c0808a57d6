//! What every role's process does the same way: bind, serve, wait for the signal, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use daymark_guard::{CheckKind, Drain, Health, HealthOptions, SystemClock};
use daymark_store::{HotSource, Reader};
use daymark_telemetry::{SelfExport, Telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{HealthArgs, OwnArgs};

/// Longest wait for work in hand at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Starts the telemetry of a process, exported to the OTLP/gRPC address `endpoint` as `service`.
///
/// # Errors
/// When the endpoint is unusable.
pub(crate) fn telemetry(
    own: &OwnArgs,
    service: &'static str,
    endpoint: &str,
    key: String,
) -> anyhow::Result<Telemetry> {
    let export = own.self_telemetry.then(|| SelfExport { endpoint: endpoint.to_owned(), key, service });
    Ok(daymark_telemetry::start(export.as_ref())?)
}

/// Binds early, so that a taken port is the first thing to be told.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) async fn bind(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for {what}: choose another address or stop its owner"))
}

/// The health of a role that takes requests until `drain` begins.
pub(crate) fn health(args: &HealthArgs, drain: &Drain) -> Health {
    let options = HealthOptions {
        check_timeout_ms: args.ready_check_timeout_ms,
        dependencies_count: args.ready_needs_dependencies,
        ..HealthOptions::default()
    };
    let health = Health::new(options, Arc::new(SystemClock));
    daymark_wire::not_draining(&health, drain);
    health
}

/// Adds what a role that reads depends on: the tables and the collector.
pub(crate) fn depends_on(health: &Health, reader: &Arc<Reader>, collector: &Arc<dyn HotSource>) {
    let reader = Arc::clone(reader);
    health.add("store", CheckKind::Dependency, move || {
        let store = Arc::clone(reader.store());
        Box::pin(async move { store.tenants().await.map(drop).map_err(|error| error.to_string()) })
    });
    let collector = Arc::clone(collector);
    health.add("collector", CheckKind::Dependency, move || {
        let collector = Arc::clone(&collector);
        Box::pin(async move { collector.status().await.map(drop).map_err(|error| error.to_string()) })
    });
}

/// Serves until the drain begins.
pub(crate) fn serve(listener: TcpListener, router: Router, drain: &Drain) {
    drain.spawn(daymark_wire::serve_http(listener, router, drain.clone()));
}

/// Waits for SIGTERM, Ctrl-C, the drain, or a failure; sends the last of our own telemetry; then drains.
///
/// # Errors
/// The failure, or work that did not end in time.
pub(crate) async fn until_stopped(
    drain: &Drain,
    telemetry: Telemetry,
    failed: impl Future<Output = anyhow::Error>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let result = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = drain.begun() => Ok(()),
        error = failed => Err(error),
    };
    telemetry.shutdown().await;
    drain.begin();
    if !drain.finished(DRAIN_LIMIT).await {
        tracing::warn!("some work did not end within {} s; what was acknowledged is durable", DRAIN_LIMIT.as_secs());
    }
    result
}

/// Waits for what must come last: data that was taken is brought to rest.
pub(crate) async fn finish(drain: &Drain) {
    drain.begin();
    if !drain.finished(DRAIN_LIMIT).await {
        tracing::warn!("the store was not at rest within {} s; a start will replay", DRAIN_LIMIT.as_secs());
    }
}
