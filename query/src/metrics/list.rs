//! The metrics that have data in a range of time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::RecordBatch;
use axum::response::Response;
use daymark_store::Resolution;
use serde::Serialize;

use crate::QueryError;
use crate::asked::Asked;
use crate::router::on_cpu;
use crate::rows::{entries, longs, maps, strings};
use crate::scan::{self, Wanted};

/// Windows of a range, about: the metrics are the same in coarser ones, the rows fewer.
const MAX_WINDOWS: u64 = 720;

#[derive(Serialize)]
struct Metrics {
    metrics: Vec<Metric>,
}

#[derive(Serialize, Default)]
struct Metric {
    name: String,
    kind: String,
    unit: String,
    services: BTreeSet<String>,
    attribute_keys: BTreeSet<String>,
}

pub(crate) async fn list(asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    params.check(&["start", "end"], &[])?;
    let range = params.range(&*app.clock)?;
    let length_ns = range.end.0 - range.start.0;
    let fits = |resolution: &Resolution| length_ns / resolution.window_ns() <= MAX_WINDOWS;
    let wanted = Resolution::ALL.into_iter().find(fits).unwrap_or(Resolution::OneDay);
    let table = Resolution::coarsest(&app.reader, tenant, wanted.window_ns(), range).await?.table();

    let mut view = app.view(tenant, table, range).await?;
    let columns = vec!["metric", "kind", "unit", "service_name", "attributes", "series_id"];
    let batches = scan::rows(&mut view, Wanted { columns, ..Wanted::default() }).await?;
    let metrics = on_cpu(move || collect(&batches)).await??;
    asked.answer(view.receipt, Metrics { metrics }).await
}

fn collect(batches: &[RecordBatch]) -> Result<Vec<Metric>, QueryError> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut seen = HashSet::new();
    for batch in batches {
        let (name, kind, unit) = (strings(batch, "metric")?, strings(batch, "kind")?, strings(batch, "unit")?);
        let service = strings(batch, "service_name")?;
        let (attributes, series) = (maps(batch, "attributes")?, longs(batch, "series_id")?);
        // The rows of a series say the same: its first one is enough.
        for row in (0..batch.num_rows()).filter(|&row| seen.insert(series.value(row))) {
            let metric = metrics.entry(name.value(row).to_owned()).or_insert_with(|| Metric {
                name: name.value(row).to_owned(),
                kind: kind.value(row).to_owned(),
                unit: unit.value(row).to_owned(),
                ..Metric::default()
            });
            metric.services.insert(service.value(row).to_owned());
            metric.attribute_keys.extend(entries(attributes, row).map(|(key, _)| key.to_owned()));
        }
    }
    Ok(metrics.into_values().collect())
}
