//! `daymark alerts`: the SLO evaluator and the notifier.

use std::sync::Arc;

use daymark_alerts::{Alerts, AlertsOptions};
use daymark_guard::{Drain, SystemClock};

use crate::cli::AlertsArgs;
use crate::roles::{keys, process, query};

pub(crate) async fn run(args: AlertsArgs) -> anyhow::Result<()> {
    let (_, own_key) = keys::with_own(&keys::read(args.data.key_file.as_deref())?, &args.data.data_dir)?;
    let telemetry = process::telemetry(&args.own, "daymark-alerts", &args.collector_otlp.collector_otlp, own_key)?;
    let http = process::bind("SLOs and incidents", args.http).await?;
    let definitions = query::definitions(Some(&args.definitions))?;
    let (reader, hot) = query::remote_reader(&args.data.data_dir, &args.collector)?;
    let drain = Drain::new();
    let mut options = AlertsOptions::new(&args.data.data_dir, definitions);
    options.external_url = args.external_url;
    let alerts = Alerts::start(options, reader, hot, Arc::new(SystemClock), drain.clone())?;
    let ready = drain.clone();
    let router = alerts.router().merge(process::health(move || !ready.has_begun()));
    process::serve(http, router, &drain);
    tracing::info!(http = %args.http, "evaluator is ready");
    process::until_stopped(&drain, telemetry, std::future::pending()).await
}
