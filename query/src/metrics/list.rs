//! The metrics that have data in a range of time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::RecordBatch;
use axum::response::Response;
use daymark_store::TableName;
use serde::Serialize;

use crate::QueryError;
use crate::asked::Asked;
use crate::router::on_cpu;
use crate::rows::{entries, longs, maps, strings};
use crate::scan::{self, Wanted};

/// Beyond this the table of 1 min windows is read: the metrics are the same, the rows fewer.
const MAX_FINE_RANGE_NS: u64 = 2 * 3_600_000_000_000;

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
    let is_long = range.end.0 - range.start.0 > MAX_FINE_RANGE_NS;
    let table = if is_long { TableName::Metrics1m } else { TableName::Metrics10s };

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
