//! `/api/v1/storage`: how much disk the tenant's tables take, how fast they grow, and when the disk is full.

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use daymark_model::{Receipt, TenantId, UnixNanos};
use daymark_store::TableUsage;
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
    let usage = match &app.hot {
        Some(hot) => hot.storage().await.map_err(|error| error.to_string()),
        None => Err("no collector is configured".to_owned()),
    };
    let body = match usage {
        Ok(usage) => json!({
            "at": time(usage.at),
            "tables": usage.tables.iter().filter(|table| table.tenant == tenant).map(shown).collect::<Vec<_>>(),
            // The disk is that of all tenants, and so is the forecast.
            "disk": usage.disk,
            "full_in_hours": usage.full_in_hours,
        }),
        Err(reason) => {
            receipt.miss(format!("collector: {reason}"));
            json!({ "at": null, "tables": [], "disk": null, "full_in_hours": null })
        }
    };
    app.answer(started, receipt, body).await
}

fn shown(table: &TableUsage) -> Value {
    json!({
        "table": table.table,
        "segments": table.segments,
        "rows": table.rows,
        "data_bytes": table.data_bytes,
        "index_bytes": table.index_bytes,
        "oldest": table.oldest.map(time),
        "newest": table.newest.map(time),
        "kept_hours": table.kept_hours,
        "bytes_per_hour": table.bytes_per_hour,
        "freed_in_24h_bytes": table.freed_in_24h_bytes,
    })
}

fn time(at: UnixNanos) -> String {
    format_time(i64::try_from(at.0).unwrap_or(i64::MAX))
}
