//! `/api/v1/slos` and `/api/v1/incidents`: the state as JSON. Floats appear here, for people, and nowhere before.

mod incidents;
mod slos;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daymark_model::{Receipt, UnixNanos};
use serde_json::{Value, json};

use crate::service::Shared;
use crate::webhook::rfc3339;

/// The routes of the alerts role.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v1/slos", get(slos::list))
        .route("/api/v1/slos/{id}", get(slos::detail))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::detail))
        .route("/api/v1/incidents/{id}/acknowledge", post(incidents::acknowledge))
        .with_state(shared)
}

/// An answer that is an error.
fn refused(status: StatusCode, class: &str, message: String) -> Response {
    (status, Json(json!({ "error": { "class": class, "message": message } }))).into_response()
}

fn not_found(what: &str, id: &str) -> Response {
    let shown: String = id.chars().take(80).collect();
    refused(StatusCode::NOT_FOUND, "reject", format!("no {what} has the id {shown:?}"))
}

fn milliseconds(at: UnixNanos) -> u64 {
    at.0 / 1_000_000
}

fn instant(at: Option<UnixNanos>) -> Value {
    at.map_or(Value::Null, |at| Value::from(rfc3339(at)))
}

fn receipt_of(missing: Vec<String>) -> Receipt {
    let mut receipt = Receipt::new();
    missing.into_iter().for_each(|why| receipt.miss(why));
    receipt
}
