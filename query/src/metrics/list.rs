//! The metrics that have data in a range of time.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use daymark_store::Series;
use daymark_store::series::SeriesFilter;
use serde::Serialize;

use super::labels::listed;
use crate::QueryError;
use crate::asked::Asked;

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
    let Asked { app, params, .. } = &asked;
    params.check(&["start", "end"], &[])?;
    let range = params.range(&*app.clock)?;
    let (series, receipt) = listed(&asked, &SeriesFilter::default(), range).await?;
    asked.answer(receipt, Metrics { metrics: collect(series) }).await
}

fn collect(all: Vec<Series>) -> Vec<Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for series in all {
        let metric = metrics.entry(series.metric.to_string()).or_insert_with(|| Metric {
            name: series.metric.to_string(),
            kind: series.kind,
            unit: series.unit,
            ..Metric::default()
        });
        metric.services.insert(series.service);
        metric.attribute_keys.extend(series.attributes.into_keys());
    }
    metrics.into_values().collect()
}
