//! `daymark up`: every role in one process, each wired to the next by a function call instead of a socket.

use std::sync::Arc;

use daymark_agent::{Agent, AgentOptions};
use daymark_alerts::{Alerts, AlertsOptions};
use daymark_guard::{Drain, SystemClock};
use daymark_store::{HotSource, Reader};
use daymark_wire::{Ingest, LateRoutes, http_router, serve_grpc};

use crate::cli::UpArgs;
use crate::roles::admission::Admission;
use crate::roles::{collector, guard, keys, metrics, process, query};

pub(crate) async fn run(args: UpArgs) -> anyhow::Result<()> {
    let (keep_s, query_ms) = (args.tuning.keep_removed_s, args.queries.query_timeout_ms);
    anyhow::ensure!(
        keep_s * 1_000 > query_ms,
        "--keep-removed-s {keep_s} is not longer than --query-timeout-ms {query_ms}: queries would lose files that they still read"
    );
    run_until(args, Drain::new()).await
}

/// Runs all roles until a signal arrives or `drain` begins.
///
/// # Errors
/// When a role cannot start, or the collector can no longer promise durability.
pub(crate) async fn run_until(args: UpArgs, drain: Drain) -> anyhow::Result<()> {
    let grpc = process::bind("OTLP/gRPC", args.otlp_grpc).await?;
    let otlp_http = process::bind("OTLP/HTTP", args.otlp_http).await?;
    let http = process::bind("the UI and the HTTP API", args.http).await?;
    let access = keys::Access::open(&args.data)?;
    let taken = access.keys.clone();
    let endpoint = format!("http://{}", args.otlp_grpc);
    let telemetry = process::telemetry(&args.own, "daymark", &endpoint, access.own_key.clone())?;
    let definitions = query::definitions(args.definitions.as_deref())?;
    let dashboards = query::dashboards_router(args.definitions.as_deref(), &definitions)?;

    let admission = Admission::new(&access, &args.data.data_dir, &args.tuning.admission)?;
    let storing = Drain::new();
    let health = process::health(&args.health, &drain);
    let (starting_intake, intake_routes) = LateRoutes::new(&health, "intake");
    let (starting_service, service_routes) = LateRoutes::new(&health, "api");
    process::serve(otlp_http, starting_intake, &drain);
    process::serve(http, starting_service, &drain);
    let collector = collector::start(&args.data, "up", &args.tuning, &admission, &storing, &health).await?;
    let hot: Arc<dyn HotSource> = Arc::new(collector.clone());
    let reader = Arc::new(Reader::new(collector.store(), Some(Arc::clone(&hot))));
    let upstream: Arc<dyn Ingest> = Arc::new(collector.clone());
    let mut agent_options = AgentOptions::new(&args.data.data_dir);
    // From the start, also those that send nothing yet: an agent that a collector remembers of a tenant is silent, and
    // holds time back, until it is heard of under that tenant.
    agent_options.tenants.extend(taken.tenants());
    let agent = Agent::start(agent_options, upstream, Arc::new(SystemClock), drain.clone()).await?;
    let mut alerts_options = AlertsOptions::new(&args.data.data_dir, definitions);
    alerts_options.external_url = format!("http://{}", args.http);
    let alerts =
        Alerts::start(alerts_options, Arc::clone(&reader), Arc::clone(&hot), Arc::new(SystemClock), drain.clone())?;
    telemetry.watch_ledger(agent.ledger());
    telemetry.watch_ledger(collector.ledger());

    access.follow(&drain);
    admission.watch(&telemetry);
    let receive = admission.receive(&access, agent.ledger());
    // For tools beside this process, as `daymark collector` does.
    let internal = guard::with_key(collector.internal_router(), keys::internal(&args.data.data_dir)?)?;
    intake_routes.complete(http_router(Arc::new(agent.clone()), receive.clone()).merge(internal));
    drain.spawn(serve_grpc(grpc, Arc::new(agent.clone()), receive, drain.clone()));
    let definitions_routes = guard::for_default_tenant(dashboards.merge(alerts.router()), taken.clone());
    let metrics = metrics::router_beside_pages(collector.store(), Some(collector.clone()));
    service_routes.complete(query::router(reader, hot, taken, &args.queries)?.merge(definitions_routes).merge(metrics));
    tracing::info!(
        "daymark is up: UI and API http://{}, OTLP gRPC {}, HTTP {}",
        args.http,
        args.otlp_grpc,
        args.otlp_http
    );

    let result = process::until_stopped(&drain, telemetry, collector::failure(&collector)).await;
    process::finish(&storing).await;
    result
}
