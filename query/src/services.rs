//! `/api/v1/services`: the services seen in a range of time, and their operations.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use axum::response::Response;
use daymark_store::{ReadSpec, TableName};
use serde::Serialize;

use crate::QueryError;
use crate::asked::Asked;
use crate::router::on_cpu;
use crate::rows::strings;

type Operations = BTreeMap<String, BTreeSet<String>>;

#[derive(Serialize)]
struct Services {
    services: Vec<Service>,
}

#[derive(Serialize)]
struct Service {
    name: String,
    operations: BTreeSet<String>,
}

pub(crate) async fn list(asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    params.check(&["start", "end"], &[])?;
    let range = params.range(&*app.clock)?;

    let mut spans = app.view(tenant, TableName::Spans, range).await?;
    let named = spans.read(&ReadSpec::columns(&["service_name", "name"])).await?;
    let mut logs = app.view(tenant, TableName::Logs, range).await?;
    let logging = logs.read(&ReadSpec::columns(&["service_name"])).await?;
    let mut receipt = spans.receipt;
    receipt.absorb(&logs.receipt);

    let services = on_cpu(move || collect(&named, &logging)).await??;
    let services = services.into_iter().map(|(name, operations)| Service { name, operations }).collect();
    asked.answer(receipt, Services { services }).await
}

fn collect(spans: &[RecordBatch], logs: &[RecordBatch]) -> Result<Operations, QueryError> {
    let mut services = Operations::new();
    for batch in spans {
        let (service, name) = (strings(batch, "service_name")?, strings(batch, "name")?);
        let mut previous = None;
        for row in 0..batch.num_rows() {
            let pair = (service.value(row), name.value(row));
            // Segments are sorted by service and name: most rows repeat the one before.
            if previous != Some(pair) {
                services.entry(pair.0.to_owned()).or_default().insert(pair.1.to_owned());
                previous = Some(pair);
            }
        }
    }
    for batch in logs {
        let service = strings(batch, "service_name")?;
        let mut previous = None;
        for name in service.iter().flatten() {
            if previous != Some(name) {
                services.entry(name.to_owned()).or_default();
                previous = Some(name);
            }
        }
    }
    Ok(services)
}
