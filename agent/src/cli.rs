//! The agent as a process: `daymark-agent`, and `daymark agent` of the main binary.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daymark_guard::{Drain, SystemClock};
use daymark_model::TenantId;
use daymark_wire::{
    CollectorClient, CollectorClientOptions, ReceiveOptions, TenantKeys, http_router, serve_grpc, serve_http,
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
    /// Bytes of batches that may wait for the collector.
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20)]
    pub queue_bytes: u64,
}

/// Runs an agent until SIGTERM or SIGINT, then finishes what it has in hand.
///
/// # Errors
/// [`AgentError`] when it cannot start.
pub async fn run(args: AgentArgs) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::Signal)?;
    let keys = args.key_file.as_deref().map(read_keys).transpose()?.unwrap_or_default();
    let mut options = AgentOptions::new(&args.data_dir);
    options.queue_bytes = args.queue_bytes;
    if !keys.first_by_tenant.is_empty() {
        options.tenants = keys.first_by_tenant.keys().cloned().collect();
    }
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

fn read_keys(path: &Path) -> Result<Keys, AgentError> {
    let failed = |line: usize, why: String| AgentError::KeyFile { path: path.to_owned(), line, why };
    let text = fs::read_to_string(path).map_err(|error| failed(0, error.to_string()))?;
    let (mut first_by_tenant, mut all) = (BTreeMap::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let (tenant, key) = match (words.next(), words.next(), words.next()) {
            (None, ..) => continue,
            (Some(comment), ..) if comment.starts_with('#') => continue,
            (Some(tenant), Some(key), None) => (tenant, key),
            _ => return Err(failed(at + 1, "expected `TENANT KEY`".to_owned())),
        };
        let tenant = TenantId::parse(tenant).map_err(|error| failed(at + 1, error.to_string()))?;
        first_by_tenant.entry(tenant.clone()).or_insert_with(|| key.to_owned());
        all.push((key.to_owned(), tenant));
    }
    if all.is_empty() {
        return Err(failed(0, "has no key; without keys, leave the option out".to_owned()));
    }
    let accepted = TenantKeys::new(all).map_err(|error| failed(0, error.to_string()))?;
    Ok(Keys { accepted, first_by_tenant })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<usize, &str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        match (read_keys(file.path()), expected) {
            (Ok(keys), Ok(tenants)) => assert_eq!(keys.first_by_tenant.len(), tenants),
            (Err(error), Err(part)) => {
                let shown = error.to_string();
                assert!(shown.contains(part), "{shown}");
                assert!(!shown.contains("secret"), "{shown}");
            }
            (got, expected) => panic!("{text:?}: got ok={}, expected {expected:?}", got.is_ok()),
        }
    }

    #[test]
    fn key_files_are_read_or_explained_without_showing_keys() {
        check("# ours\n\nacme secret-one\nacme secret-two\numbrella secret-three\n", Ok(2));
        check("acme\n", Err("line 1: expected `TENANT KEY`"));
        check("acme secret-one extra\n", Err("line 1"));
        check("\nACME secret-one\n", Err("line 2"));
        check("acme secret-one\numbrella secret-one\n", Err("same key"));
        check("acme secret\n", Err("8 to 256"));
        check("# nothing\n", Err("has no key"));
    }
}
