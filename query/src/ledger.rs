//! `/api/v1/ledger`: what every component received and where it went (design G3).

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use daymark_model::{LedgerRow, LedgerSnapshot, Receipt, TenantId, UnixNanos};
use daymark_store::Lost;
use serde_json::{Value, json};

use crate::QueryError;
use crate::params::Params;
use crate::router::App;
use crate::time::format_time;

pub(crate) async fn show(
    State(app): State<App>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, QueryError> {
    let started = Instant::now();
    params.check(&[], &[])?;
    let mut receipt = Receipt::new();
    let status = match &app.hot {
        Some(hot) => hot.status().await.map_err(|error| error.to_string()),
        None => Err("no collector is configured".to_owned()),
    };
    let lost = app.reader.store().lost().await;
    let lost = lost.inspect_err(|error| receipt.miss(format!("what was lost to damage: {error}")));
    let lost = lost.ok().map(|lost| damage(&lost));
    let body = match status {
        Ok(status) => {
            let watermark = status.watermark_of(&tenant);
            json!({
                "components": status.ledgers.iter().map(component).collect::<Vec<_>>(),
                // Other tenants' agents, and the services they carry, are theirs.
                "agents": status.agents.iter().filter(|agent| agent.tenant == tenant).collect::<Vec<_>>(),
                "untracked_agents": status.untracked_agents.get(&tenant).copied().unwrap_or_default(),
                "watermark": time(watermark),
                "watermark_unix_nano": watermark.0.to_string(),
                "lost": lost,
                "memory": status.memory,
            })
        }
        Err(reason) => {
            receipt.miss(format!("collector: {reason}"));
            json!({ "components": [], "agents": [], "watermark": null, "watermark_unix_nano": null, "lost": lost, "memory": null })
        }
    };
    app.answer(started, receipt, body).await
}

fn component(ledger: &LedgerSnapshot) -> Value {
    json!({
        "component": ledger.component,
        "since": known(ledger.since),
        "rows": ledger.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// Acknowledged data that damage to the ingest log has cost; `frames` counts those whose number is known.
fn damage(lost: &[Lost]) -> Value {
    let part = |lost: &Lost| {
        json!({
            "file": lost.file,
            "position": lost.position,
            "bytes": lost.bytes,
            "reason": lost.reason,
            "frames": lost.frames,
            "first_offset": lost.first_offset,
            "last_offset": lost.last_offset,
            "received_after": known(lost.received_after),
            "received_before": time(lost.received_before),
            "noticed_at": time(lost.noticed_at),
        })
    };
    json!({
        "frames": lost.iter().filter_map(|lost| lost.frames).sum::<u64>(),
        "bytes": lost.iter().map(|lost| lost.bytes).sum::<u64>(),
        "parts": lost.iter().map(part).collect::<Vec<_>>(),
    })
}

fn known(at: UnixNanos) -> Option<String> {
    (at.0 > 0).then(|| time(at))
}

fn time(at: UnixNanos) -> String {
    format_time(i64::try_from(at.0).unwrap_or(i64::MAX))
}

fn row(row: &LedgerRow) -> Value {
    let mut shown = json!(row);
    shown["unexplained"] = json!(row.unexplained());
    shown
}
