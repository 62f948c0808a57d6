//! The agent as a process: `daymark-agent`, and `daymark agent` of the main binary.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daymark_guard::{Drain, SystemClock, secret};
use daymark_model::TenantId;
use daymark_telemetry::{OWN_TENANT, SelfExport, own_key_file};
use daymark_wire::{
    CollectorClient, CollectorClientOptions, ReceiveOptions, TenantKeys, http_router, read_key_file, serve_grpc,
    serve_http,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Agent, AgentError, AgentOptions, health_router};

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
    /// File with a line `TENANT KEY` for each key: clients must send one of them, and the agent sends the tenant's
    /// first one to the collector. Without it everything belongs to the tenant `default`.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Bytes of batches that may wait for the collector: 1 MiB to 1 TiB.
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20, value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 40))]
    pub queue_bytes: u64,
    /// Send the agent's own telemetry through itself, as tenant `daymark`, when it has a key of that tenant: in the key
    /// file, or in DATA_DIR/telemetry.key where it shares the folder with a collector.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub self_telemetry: bool,
}

/// Runs an agent until SIGTERM or SIGINT, then finishes what it has in hand.
///
/// # Errors
/// [`AgentError`] when it cannot start.
pub async fn run(args: AgentArgs) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::Signal)?;
    let mut keys = args.key_file.as_deref().map(read_keys).transpose()?.unwrap_or_default();
    let mut options = AgentOptions::new(&args.data_dir);
    options.queue_bytes = args.queue_bytes;
    if !keys.first_by_tenant.is_empty() {
        options.tenants = keys.first_by_tenant.keys().cloned().collect();
    }
    let own_key = if args.self_telemetry { keys.take_own(&args.data_dir)? } else { None };
    let endpoint = format!("http://{}", args.otlp_grpc);
    let export = own_key.map(|key| SelfExport { endpoint, key, service: "daymark-agent" });
    let telemetry = daymark_telemetry::start(export.as_ref())?;
    let upstream = CollectorClient::new(CollectorClientOptions {
        url: args.collector.clone(),
        key: None,
        tenant_keys: keys.first_by_tenant,
        timeout_ms: options.attempt_timeout_ms,
    })
    .map_err(AgentError::Collector)?;
    let deliver_timeout = Duration::from_millis(options.deliver_timeout_ms);
    let (grpc, http) = (listen(args.otlp_grpc).await?, listen(args.otlp_http).await?);
    let drain = Drain::new();
    let agent = Agent::start(options, Arc::new(upstream), Arc::new(SystemClock), drain.clone()).await?;
    telemetry.watch_ledger(agent.ledger());
    let receive = ReceiveOptions { keys: keys.accepted, ..ReceiveOptions::new(agent.ledger()) };
    let router = http_router(Arc::new(agent.clone()), receive.clone()).merge(health_router(agent.clone()));
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

#[derive(Default)]
struct Keys {
    accepted: TenantKeys,
    first_by_tenant: BTreeMap<TenantId, String>,
}

impl Keys {
    /// The key of the agent's own telemetry, if it has one; it is accepted and sent on from now on.
    fn take_own(&mut self, data_dir: &Path) -> Result<Option<String>, AgentError> {
        let path = own_key_file(data_dir);
        let unusable = |source: std::io::Error| AgentError::OwnKey { path: path.clone(), source };
        let tenant = TenantId::parse(OWN_TENANT).map_err(|error| unusable(std::io::Error::other(error)))?;
        if let Some(key) = self.first_by_tenant.get(&tenant) {
            return Ok(Some(key.clone()));
        }
        let key = match secret::existing_key(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        let accepted = self.accepted.with(key.clone(), tenant.clone());
        self.accepted = accepted.map_err(|error| unusable(std::io::Error::other(error)))?;
        self.first_by_tenant.insert(tenant, key.clone());
        Ok(Some(key))
    }
}

fn read_keys(path: &Path) -> Result<Keys, AgentError> {
    let accepted = TenantKeys::read_file(path)?;
    let mut first_by_tenant = BTreeMap::new();
    for (key, tenant) in read_key_file(path)? {
        first_by_tenant.entry(tenant).or_insert(key);
    }
    Ok(Keys { accepted, first_by_tenant })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_sends_its_first_key_to_the_collector() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "acme secret-one\nacme secret-two\numbrella secret-three\n").unwrap();
        let keys = read_keys(file.path()).unwrap();
        let first: Vec<_> = keys.first_by_tenant.iter().map(|(tenant, key)| (tenant.as_str(), key.as_str())).collect();
        assert_eq!(first, [("acme", "secret-one"), ("umbrella", "secret-three")]);
    }

    #[test]
    fn own_telemetry_needs_a_key_of_its_tenant() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::default();
        assert_eq!(keys.take_own(dir.path()).unwrap(), None, "without a key users' counts stay theirs");
        let made = secret::shared_key(&own_key_file(dir.path())).unwrap();
        assert_eq!(keys.take_own(dir.path()).unwrap(), Some(made));
        assert_eq!(keys.first_by_tenant.keys().map(TenantId::as_str).collect::<Vec<_>>(), [OWN_TENANT]);
        std::fs::write(own_key_file(dir.path()), "half").unwrap();
        assert!(Keys::default().take_own(dir.path()).is_err());

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "daymark key-of-daymark\n").unwrap();
        assert_eq!(read_keys(file.path()).unwrap().take_own(dir.path()).unwrap().as_deref(), Some("key-of-daymark"));
    }
}
