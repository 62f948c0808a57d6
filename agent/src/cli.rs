//! The agent as a process: `daymark-agent`, and `daymark agent` of the main binary.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daymark_guard::{Drain, Health, HealthOptions, SystemClock};
use daymark_telemetry::SelfExport;
use daymark_wire::{
    CollectorClient, CollectorClientOptions, ReceiveOptions, health_router, http_router, not_draining, serve_grpc,
    serve_http,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::keys::Keys;
use crate::{Agent, AgentError, AgentOptions, add_checks};

/// How long a stopping agent waits for what it has in hand, beyond the time that one batch may take.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// Takes OTLP, derives exact metrics from it, and passes both on to the collector.
#[derive(Clone, Debug, clap::Args)]
pub struct AgentArgs {
    /// Address for OTLP over gRPC.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4317")]
    pub otlp_grpc: SocketAddr,
    /// Address for OTLP over HTTP, JSON events, /livez and /readyz.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4318")]
    pub otlp_http: SocketAddr,
    /// The collector's OTLP/HTTP address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:14318")]
    pub collector: String,
    /// Folder that keeps the agent's identity.
    #[arg(long, value_name = "DIR", default_value = "daymark-data")]
    pub data_dir: PathBuf,
    /// Keys of the tenants (docs/formats/keys.md): clients must send one of them, and the agent sends the tenant's
    /// first valid one to the collector. Without it everything belongs to the tenant `default`.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// How often the key file is looked at for changes, beside SIGHUP.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub key_reload_interval_ms: u64,
    /// Bytes of batches that may wait for the collector: 1 MiB to 1 TiB.
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20, value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 40))]
    pub queue_bytes: u64,
    /// While requests of a quarter of these bytes are in hand and the first came so long ago, others are refused before they are
    /// read, as `queue_slow`: 10 to 8000.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=8_000))]
    pub slow_queue_ms: u64,
    /// Send the agent's own telemetry through itself, as tenant `daymark`, when it has a key of that tenant: in the key
    /// file, or in DATA_DIR/telemetry.key where it shares the folder with a collector.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub self_telemetry: bool,
    /// Answer /readyz with 503 also while the collector does not answer.
    #[arg(long)]
    pub ready_needs_dependencies: bool,
}

/// Runs an agent until SIGTERM or SIGINT, then finishes what it has in hand.
///
/// # Errors
/// [`AgentError`] when it cannot start.
pub async fn run(args: AgentArgs) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::Signal)?;
    let mut keys = args.key_file.as_deref().map(Keys::read).transpose()?.unwrap_or_default();
    let mut options = AgentOptions::new(&args.data_dir);
    options.queue_bytes = args.queue_bytes;
    options.slow_queue_ms = args.slow_queue_ms;
    let senders = keys.senders();
    if !senders.is_empty() {
        options.tenants = senders.into_keys().collect();
    }
    let own_key = if args.self_telemetry { keys.take_own(&args.data_dir)? } else { None };
    let endpoint = format!("http://{}", args.otlp_grpc);
    let export = own_key.map(|key| SelfExport { endpoint, key, service: "daymark-agent" });
    let telemetry = daymark_telemetry::start(export.as_ref())?;
    let upstream = CollectorClient::new(CollectorClientOptions {
        url: args.collector.clone(),
        key: None,
        tenant_keys: keys.senders(),
        timeout_ms: options.attempt_timeout_ms,
    })
    .map_err(AgentError::Collector)?;
    let deliver_timeout = Duration::from_millis(options.deliver_timeout_ms);
    let (grpc, http) = (listen(args.otlp_grpc).await?, listen(args.otlp_http).await?);
    let drain = Drain::new();
    let health_options =
        HealthOptions { dependencies_count: args.ready_needs_dependencies, ..HealthOptions::default() };
    let accepted = keys.accepted.clone();
    if let Some(path) = args.key_file {
        keys.follow(path, args.key_reload_interval_ms, upstream.clone(), &drain);
    }
    let agent = Agent::start(options, Arc::new(upstream), Arc::new(SystemClock), drain.clone()).await?;
    telemetry.watch_ledger(agent.ledger());
    let receive = ReceiveOptions { keys: accepted, ..ReceiveOptions::new(agent.ledger()) };
    let router = http_router(Arc::new(agent.clone()), receive.clone());
    let health = Health::new(health_options, Arc::new(SystemClock));
    not_draining(&health, &drain);
    add_checks(&health, &agent);
    let router = router.merge(health_router(health));
    drain.spawn(serve_http(http, router, drain.clone()));
    drain.spawn(serve_grpc(grpc, Arc::new(agent.clone()), receive, drain.clone()));
    tracing::info!(otlp_grpc = %args.otlp_grpc, otlp_http = %args.otlp_http, collector = args.collector, "listening");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: finishing what is in hand");
    telemetry.shutdown().await;
    drain.begin();
    if !drain.finished(deliver_timeout + DRAIN_GRACE).await {
        let (items, _) = agent.waiting();
        tracing::warn!(items, "stopped with items in hand; their senders were not told that they are stored");
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, AgentError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| AgentError::Listen { address: address.to_string(), source })
}
