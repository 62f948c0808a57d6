//! `daymark collector`: OTLP and agents' batches in, durable tables out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use daymark_collector::{Collector, CollectorHandle, CollectorOptions};
use daymark_guard::{Drain, Health, SystemClock, watchdog};
use daymark_log::LogOptions;
use daymark_wire::{LateRoutes, http_router, serve_grpc};

use crate::cli::{CollectorArgs, CollectorTuning, DataArgs};
use crate::roles::admission::Admission;
use crate::roles::{guard, keys, metrics, process, retention, store};

/// Opens the tables and the log, replays what is not yet published.
///
/// # Errors
/// When the data cannot be opened; nothing was changed then.
pub(crate) async fn start(
    data: &DataArgs,
    role: &str,
    tuning: &CollectorTuning,
    admission: &Admission,
    drain: &Drain,
    health: &Health,
) -> anyhow::Result<CollectorHandle> {
    let data_dir = &data.data_dir;
    let mut options = CollectorOptions::new(data_dir.to_owned(), LogOptions::new(data_dir.join("log")));
    options.quotas = Arc::clone(&admission.quotas);
    options.memory = Arc::clone(&admission.memory);
    // Rows are published before they alone could make memory short.
    let limit = usize::try_from(admission.memory.status().limit_bytes).unwrap_or(usize::MAX);
    options.hot_bytes = options.hot_bytes.min(limit / 2);
    options.seal_bytes = options.seal_bytes.min(limit / 8);
    options.sealing_bytes = options.sealing_bytes.min(limit / 4);
    options.seal_interval_ms = tuning.seal_interval_ms;
    options.compact_interval_ms = tuning.compact_interval_ms;
    options.compact.splice_bytes = tuning.splice_bytes;
    options.max_agents = usize::try_from(tuning.max_agents_per_tenant)?;
    options.replay_bytes = tuning.replay_bytes;
    options.read_wait_ms = tuning.read_wait_ms;
    options.watchdog_stall_ms = tuning.watchdog_stall_ms;
    options.on_stall = watchdog::exit_for_restart;
    options.retention = retention::read(&tuning.retention)?;
    options.retention.index_hours = tuning.index_hours;
    tuning.stitching.set(&mut options)?;
    // An object store takes a while to open, and the collector's own checks come only then.
    let opened = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&opened);
    health.add_local("tables", move || match is_open.load(Relaxed) {
        true => Ok(()),
        false => Err("the tables are being opened".to_owned()),
    });
    let store = store::for_writing(data, role, tuning).await?;
    let collector = Collector::start_reporting(options, store, Arc::new(SystemClock), drain.clone(), health).await?;
    opened.store(true, Relaxed);
    Ok(collector)
}

/// Resolves when the collector can no longer promise durability; the process must end and replay.
pub(crate) async fn failure(collector: &CollectorHandle) -> anyhow::Error {
    let error = collector.failed().await;
    anyhow::anyhow!("{error}: stopping, so that a restart can recover by replay")
}

pub(crate) async fn run(args: CollectorArgs) -> anyhow::Result<()> {
    let access = keys::Access::open(&args.data)?;
    let endpoint = format!("http://{}", args.otlp_grpc);
    let telemetry = process::telemetry(&args.own, "daymark-collector", &endpoint, access.own_key.clone())?;
    let grpc = process::bind("OTLP/gRPC", args.otlp_grpc).await?;
    let http = process::bind("OTLP/HTTP", args.otlp_http).await?;
    let admission = Admission::new(&access, &args.data.data_dir, &args.tuning.admission)?;
    let (listening, storing) = (Drain::new(), Drain::new());
    let health = process::health(&args.health, &listening);
    let (router, routes) = LateRoutes::new(&health, "intake");
    process::serve(http, router, &listening);
    let collector = start(&args.data, "collector", &args.tuning, &admission, &storing, &health).await?;
    telemetry.watch_ledger(collector.ledger());
    access.follow(&listening);
    admission.watch(&telemetry);
    let receive = admission.receive(&access, collector.ledger());
    let router = http_router(Arc::new(collector.clone()), receive.clone())
        .merge(guard::with_key(collector.internal_router(), keys::internal(&args.data.data_dir)?)?)
        .merge(metrics::router(collector.store(), Some(collector.clone())));
    routes.complete(router);
    listening.spawn(serve_grpc(grpc, Arc::new(collector.clone()), receive, listening.clone()));
    tracing::info!(otlp_grpc = %args.otlp_grpc, otlp_http = %args.otlp_http, "collector is ready");

    let result = process::until_stopped(&listening, telemetry, failure(&collector)).await;
    process::finish(&storing).await;
    result
}
