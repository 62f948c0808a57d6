//! `daymark query`: the HTTP API and the web UI over the tables and a collector's unpublished rows.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use daymark_alerts::{Definitions, ThresholdLine};
use daymark_dashboards::{ResolvedThreshold, ThresholdResolver};
use daymark_guard::{Drain, SystemClock};
use daymark_query::{QueryOptions, QueryParts, SqlEngine, TenantOf};
use daymark_store::{HotSource, HttpHotSource, Reader};
use daymark_wire::{Scope, TenantKeys, health_router};

use crate::cli::{DataArgs, QueryArgs, QueryTuning};
use crate::commands::check;
use crate::roles::{guard, keys, metrics, process, proxy, store};

/// How long a read of unpublished rows may take.
const HOT_TIMEOUT_MS: u64 = 10_000;
const ALERTS_PATHS: [&str; 5] = [
    "/api/v1/slos",
    "/api/v1/slos/{id}",
    "/api/v1/incidents",
    "/api/v1/incidents/{id}",
    "/api/v1/incidents/{id}/acknowledge",
];

/// The reader of a role that runs apart from the collector.
///
/// # Errors
/// When the store cannot be opened or the collector's address is wrong.
pub(crate) async fn remote_reader(
    data: &DataArgs,
    role: &str,
    collector: &str,
) -> anyhow::Result<(Arc<Reader>, Arc<dyn HotSource>)> {
    let source = HttpHotSource::new(collector, HOT_TIMEOUT_MS)?.with_key(keys::internal(&data.data_dir)?);
    let hot: Arc<dyn HotSource> = Arc::new(source);
    let store = store::for_reading(data, role).await?;
    Ok((Arc::new(Reader::new(store, Some(Arc::clone(&hot)))), hot))
}

/// Routes of the query service.
///
/// # Errors
/// When the SQL engine cannot be set up.
pub(crate) fn router(
    reader: Arc<Reader>,
    hot: Arc<dyn HotSource>,
    keys: TenantKeys,
    tuning: &QueryTuning,
) -> anyhow::Result<Router> {
    let tenant_of: TenantOf = Arc::new(move |headers| keys.tenant(headers, Scope::Query));
    let timeout_ms = tuning.query_timeout_ms;
    let sql = sql_engine(Arc::clone(&reader), timeout_ms)?;
    let parts = QueryParts { reader, hot: Some(hot), sql, tenant_of, clock: Arc::new(SystemClock) };
    Ok(daymark_query::router(QueryOptions { timeout_ms, ..QueryOptions::default() }, parts))
}

/// Routes of the dashboards in `definitions`; threshold lines come from its SLOs.
///
/// # Errors
/// When a dashboard is wrong.
pub(crate) fn dashboards_router(dir: Option<&Path>, definitions: &Definitions) -> anyhow::Result<Router> {
    let lines = definitions.clone();
    let resolve: ThresholdResolver = Arc::new(move |slo, line| {
        let ThresholdLine { value, unit, label } = lines.threshold(slo, line)?;
        Some(ResolvedThreshold { value, unit, label })
    });
    let dashboards = match dir {
        Some(dir) => daymark_dashboards::load(dir, &check::slo_lines(definitions, &[]))
            .map_err(|errors| all_of("dashboards", &errors))?,
        None => Vec::new(),
    };
    Ok(daymark_dashboards::router(dashboards, resolve))
}

/// The definitions in `dir`, or none.
///
/// # Errors
/// Every error found, one a line.
pub(crate) fn definitions(dir: Option<&Path>) -> anyhow::Result<Definitions> {
    let Some(dir) = dir else { return Ok(Definitions::default()) };
    // An empty folder is somebody's choice; a folder that is not there is a typing error that would page nobody.
    anyhow::ensure!(dir.is_dir(), "--definitions {} is not a folder", dir.display());
    Definitions::load(dir).map_err(|errors| all_of("definitions", &errors))
}

fn all_of(what: &str, errors: &[impl std::fmt::Display]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
    anyhow::anyhow!("the {what} are wrong:\n{}", lines.join("\n"))
}

#[cfg(feature = "sql")]
fn sql_engine(reader: Arc<Reader>, timeout_ms: u64) -> anyhow::Result<Option<Arc<dyn SqlEngine>>> {
    Ok(Some(Arc::new(crate::roles::sql::Engine::new(reader, timeout_ms)?)))
}

#[cfg(not(feature = "sql"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as with SQL")]
fn sql_engine(_reader: Arc<Reader>, _timeout_ms: u64) -> anyhow::Result<Option<Arc<dyn SqlEngine>>> {
    Ok(None)
}

pub(crate) async fn run(args: QueryArgs) -> anyhow::Result<()> {
    let access = keys::Access::open(&args.data)?;
    let endpoint = &args.collector_otlp.collector_otlp;
    let telemetry = process::telemetry(&args.own, "daymark-query", endpoint, access.own_key.clone())?;
    let http = process::bind("the UI and the HTTP API", args.http).await?;
    let (reader, hot) = remote_reader(&args.data, "query", &args.collector).await?;
    let definitions = definitions(args.definitions.as_deref())?;
    let drain = Drain::new();
    let health = process::health(&args.health, &drain);
    process::depends_on(&health, &reader, &hot);
    let definitions_routes = dashboards_router(args.definitions.as_deref(), &definitions)?
        .merge(proxy::router(&args.alerts, &ALERTS_PATHS)?);
    let metrics = metrics::router_beside_pages(Arc::clone(reader.store()), None);
    access.follow(&drain);
    let router = router(reader, hot, access.keys.clone(), &args.queries)?
        .merge(guard::for_default_tenant(definitions_routes, access.keys))
        .merge(metrics)
        .merge(health_router(health));
    process::serve(http, router, &drain);
    tracing::info!(http = %args.http, "query service is ready");
    process::until_stopped(&drain, telemetry, std::future::pending()).await
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn the_time_of_queries_is_a_flag_of_both_roles_that_answer_them() {
        for role in ["up", "query"] {
            let limit = |flags: &[&str]| {
                let parsed = Cli::try_parse_from(["daymark", role].iter().chain(flags)).unwrap();
                match parsed.command {
                    Command::Up(args) => args.queries.query_timeout_ms,
                    Command::Query(args) => args.queries.query_timeout_ms,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!((limit(&[]), limit(&["--query-timeout-ms", "2500"])), (10_000, 2_500));
        }
    }

    #[test]
    fn definitions_that_are_not_there_are_refused() {
        let error = definitions(Some(Path::new("/no/such/folder"))).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder is not a folder"), "{error}");
        assert!(definitions(None).unwrap().slos.is_empty());
    }
}
