//! `daymark alerts`: the SLO evaluator and the notifier.

use std::sync::Arc;

use daymark_alerts::{Alerts, AlertsOptions};
use daymark_guard::{Drain, SystemClock};

use crate::cli::AlertsArgs;
use crate::roles::{guard, keys, metrics, process, query};

pub(crate) async fn run(args: AlertsArgs) -> anyhow::Result<()> {
    let access = keys::Access::open(&args.data)?;
    let endpoint = &args.collector_otlp.collector_otlp;
    let telemetry = process::telemetry(&args.own, "daymark-alerts", endpoint, access.own_key.clone())?;
    let http = process::bind("SLOs and incidents", args.http).await?;
    let definitions = query::definitions(Some(&args.definitions))?;
    let (reader, hot) = query::remote_reader(&args.data, "alerts", &args.collector).await?;
    let drain = Drain::new();
    let health = process::health(&args.health, &drain);
    process::depends_on(&health, &reader, &hot);
    let metrics = metrics::router(Arc::clone(reader.store()), None);
    let mut options = AlertsOptions::new(&args.data.data_dir, definitions);
    options.external_url = args.external_url;
    let alerts = Alerts::start(options, reader, hot, Arc::new(SystemClock), drain.clone())?;
    access.follow(&drain);
    let router = guard::for_default_tenant(alerts.router(), access.keys)
        .merge(metrics)
        .merge(daymark_wire::health_router(health));
    process::serve(http, router, &drain);
    tracing::info!(http = %args.http, "evaluator is ready");
    process::until_stopped(&drain, telemetry, std::future::pending()).await
}
