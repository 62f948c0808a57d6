//! `/api/v1/ledger`: what every component received and where it went (design G3).

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use daymark_model::{LedgerRow, LedgerSnapshot, Receipt, TenantId};
use serde_json::{Value, json};

use crate::QueryError;
use crate::params::Params;
use crate::router::App;
use crate::time::format_time;

pub(crate) async fn show(
    State(app): State<App>,
    Extension(_tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, QueryError> {
    let started = Instant::now();
    params.check(&[], &[])?;
    let mut receipt = Receipt::new();
    let status = match &app.hot {
        Some(hot) => hot.status().await.map_err(|error| error.to_string()),
        None => Err("no collector is configured".to_owned()),
    };
    let body = match status {
        Ok(status) => json!({
            "components": status.ledgers.iter().map(component).collect::<Vec<_>>(),
            "agents": status.agents,
            "watermark": format_time(i64::try_from(status.watermark.0).unwrap_or(i64::MAX)),
            "watermark_unix_nano": status.watermark.0.to_string(),
        }),
        Err(reason) => {
            receipt.miss(format!("collector: {reason}"));
            json!({ "components": [], "agents": [], "watermark": null, "watermark_unix_nano": null })
        }
    };
    app.answer(started, receipt, body).await
}

fn component(ledger: &LedgerSnapshot) -> Value {
    json!({ "component": ledger.component, "rows": ledger.rows.iter().map(row).collect::<Vec<_>>() })
}

fn row(row: &LedgerRow) -> Value {
    let mut shown = json!(row);
    shown["unexplained"] = json!(row.unexplained());
    shown
}
