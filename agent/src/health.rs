//! `/livez` and `/readyz` on the HTTP listener.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use crate::agent::AgentHandle;

/// `/livez`: the process answers. `/readyz`: it takes requests and its collector answers too.
pub fn health_router(agent: AgentHandle) -> Router {
    Router::new().route("/livez", get(async || "live\n")).route(
        "/readyz",
        get(async move || match agent.is_ready() {
            true => (StatusCode::OK, "ready\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the collector does not answer\n"),
        }),
    )
}
