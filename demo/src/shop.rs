//! One service of the shop: real HTTP calls to its dependencies, one server span a request, correlated logs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tracing::{Instrument, Span, field::Empty, info, info_span, warn};

use crate::telemetry::{Telemetry, extract_parent, inject_current};

/// A service of the shop: its name, its route, how long its own work takes, whom it calls in order.
pub(crate) struct ServiceSpec {
    pub(crate) name: &'static str,
    pub(crate) route: &'static str,
    pub(crate) work_ms: u64,
    pub(crate) calls: &'static [&'static str],
}

/// The shop, callers before those they call.
pub(crate) const SHOP: [ServiceSpec; 6] = [
    ServiceSpec { name: "frontend", route: "/buy", work_ms: 3, calls: &["checkout"] },
    ServiceSpec {
        name: "checkout",
        route: "/checkout",
        work_ms: 4,
        calls: &["cart", "inventory", "payment", "shipping"],
    },
    ServiceSpec { name: "cart", route: "/cart", work_ms: 2, calls: &[] },
    ServiceSpec { name: "inventory", route: "/reserve", work_ms: 5, calls: &[] },
    ServiceSpec { name: "payment", route: "/charge", work_ms: 12, calls: &[] },
    ServiceSpec { name: "shipping", route: "/ship", work_ms: 6, calls: &[] },
];

/// The service called `name`.
pub(crate) fn spec(name: &str) -> Option<&'static ServiceSpec> {
    SHOP.iter().find(|spec| spec.name == name)
}

/// Arguments of one service process.
#[derive(Clone, Debug)]
pub struct ServiceArgs {
    /// Which of the six.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// `name=http://address` of the services it may call.
    pub peers: Vec<(String, String)>,
    /// OTLP/gRPC endpoint of the agent.
    pub otlp_grpc: String,
}

struct Service {
    spec: &'static ServiceSpec,
    peers: Vec<(String, String)>,
    client: reqwest::Client,
    /// Share of requests to fail, in parts per million.
    fault_ppm: AtomicU64,
    /// Adds up `fault_ppm` per request; each full million is one failure, so the share is exact.
    fault_sum: AtomicU64,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct FaultRequest {
    pub(crate) error_ppm: u64,
}

#[derive(Deserialize)]
struct Order {
    order: Option<String>,
    user: Option<String>,
}

/// Runs one service until its standard input closes (its parent has gone).
///
/// # Errors
/// When the name is unknown, the address is taken or the exporter cannot be built.
pub async fn serve(args: ServiceArgs) -> anyhow::Result<()> {
    let spec = spec(&args.name).with_context(|| format!("the shop has no service {:?}", args.name))?;
    let telemetry = Telemetry::start(spec.name, &args.otlp_grpc)?;
    let service = Arc::new(Service {
        spec,
        peers: args.peers,
        client: reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?,
        fault_ppm: AtomicU64::new(0),
        fault_sum: AtomicU64::new(0),
    });
    let router = Router::new()
        .route(spec.route, post(handle))
        .route("/healthz", get(|| async { "ok" }))
        .route("/fault", post(set_fault))
        .with_state(service);
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    // Small answers must not wait for the caller's delayed ACK.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, router).with_graceful_shutdown(parent_gone()).await?;
    telemetry.shutdown().await;
    Ok(())
}

async fn parent_gone() {
    let closed = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(closed).await;
}

async fn set_fault(State(service): State<Arc<Service>>, Json(fault): Json<FaultRequest>) -> &'static str {
    service.fault_ppm.store(fault.error_ppm, Relaxed);
    "ok"
}

async fn handle(State(service): State<Arc<Service>>, Query(order): Query<Order>, headers: HeaderMap) -> StatusCode {
    let spec = service.spec;
    let span = info_span!(
        "request",
        otel.name = format!("POST {}", spec.route),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.route = spec.route,
        http.response.status_code = Empty,
        user.id = order.user.as_deref().unwrap_or("anonymous"),
        order.id = order.order.as_deref().unwrap_or("none"),
    );
    extract_parent(&span, &headers);
    let status = service.work(&order).instrument(span.clone()).await;
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    status
}

impl Service {
    async fn work(&self, order: &Order) -> StatusCode {
        let id = order.order.as_deref().unwrap_or("none");
        tokio::time::sleep(Duration::from_millis(self.spec.work_ms)).await;
        if self.fails_now() {
            tokio::time::sleep(Duration::from_millis(120)).await;
            tracing::error!(order.id = id, "card processor timeout, charge for order {id} was not confirmed");
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        for peer in self.spec.calls {
            let span = info_span!(
                "call",
                otel.name = format!("POST {peer}"),
                otel.kind = "client",
                otel.status_code = Empty,
                peer.service = *peer,
                http.response.status_code = Empty,
            );
            if let Err(why) = self.call(peer, order).instrument(span).await {
                warn!(order.id = id, peer.service = *peer, "order {id} failed at {peer}: {why}");
                return StatusCode::BAD_GATEWAY;
            }
        }
        info!(order.id = id, "{} done for order {id}", self.spec.name);
        StatusCode::OK
    }

    async fn call(&self, peer: &str, order: &Order) -> anyhow::Result<()> {
        let base = self.peers.iter().find(|(name, _)| name == peer).map(|(_, url)| url.as_str());
        let url = format!("{}{}", base.context("no address for peer")?, spec(peer).context("no such peer")?.route);
        let query = [("order", order.order.as_deref()), ("user", order.user.as_deref())];
        let mut headers = HeaderMap::new();
        inject_current(&mut headers);
        let answer = self.client.post(url).query(&query).headers(headers).send().await?;
        let span = Span::current();
        span.record("http.response.status_code", answer.status().as_u16());
        if answer.status().is_success() {
            return Ok(());
        }
        span.record("otel.status_code", "ERROR");
        anyhow::bail!("status {}", answer.status().as_u16())
    }

    fn fails_now(&self) -> bool {
        let ppm = self.fault_ppm.load(Relaxed);
        let before = self.fault_sum.fetch_add(ppm, Relaxed);
        before / 1_000_000 != (before + ppm) / 1_000_000
    }
}
