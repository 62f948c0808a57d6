//! `/livez` and `/readyz` over HTTP, and a listener that answers them while its role is still starting.
//!
//! Invariants:
//! - `/readyz` answers JSON with every check; 503 only when the role cannot do its job;
//! - `/livez` fails only for what a restart cures;
//! - a role that is starting answers everything else with 503 and a time to come back, never with silence.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, Utc};
use daymark_guard::health::{CheckKind, HealthReport};
use daymark_guard::{Drain, Health};
use daymark_model::UnixNanos;
use http::{StatusCode, header};
use serde_json::{Value, json};
use tonic::codegen::Service;

/// What a client of a starting role is told, seconds.
const STARTING_RETRY_S: &str = "1";

/// Routes `/livez` and `/readyz`.
pub fn health_router(health: Health) -> Router {
    let alive = health.clone();
    Router::new().route("/livez", get(async move || live(&alive))).route(
        "/readyz",
        get(async move || {
            let report = health.report().await;
            let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, axum::Json(shown(&report)))
        }),
    )
}

fn live(health: &Health) -> Response {
    match health.needs_restart() {
        None => "live\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("restart: {why}\n")).into_response(),
    }
}

fn shown(report: &HealthReport) -> Value {
    let check = |check: &daymark_guard::health::CheckReport| {
        json!({
            "name": check.name,
            "kind": match check.kind { CheckKind::Local => "local", CheckKind::Dependency => "dependency" },
            "ok": check.failed.is_none(),
            "since": instant(check.since),
            "reason": check.failed,
        })
    };
    json!({ "ready": report.ready, "checks": report.checks.iter().map(check).collect::<Vec<_>>() })
}

fn instant(at: UnixNanos) -> String {
    let nanos = i64::try_from(at.0).unwrap_or(i64::MAX);
    DateTime::<Utc>::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Routes that are added once the role has started; until then only its health is answered.
#[derive(Clone)]
pub struct LateRoutes {
    router: Arc<OnceLock<Router>>,
}

impl LateRoutes {
    /// A router to serve from the beginning, and the handle that completes it. The process is ready no sooner; `name` is
    /// that of the check.
    pub fn new(health: &Health, name: &'static str) -> (Router, LateRoutes) {
        let routes = LateRoutes { router: Arc::default() };
        let asked = routes.clone();
        health.add_local(name, move || match asked.router.get() {
            Some(_) => Ok(()),
            None => Err("starting: requests are not taken yet".to_owned()),
        });
        let late = routes.clone();
        let starting = Router::new().fallback(async move |request: Request| late.answer(request).await);
        (health_router(health.clone()).merge(starting), routes)
    }

    /// The role has started: `router` answers from now on. A second call changes nothing.
    pub fn complete(&self, router: Router) {
        let _ = self.router.set(router);
    }

    async fn answer(&self, request: Request) -> Response {
        match self.router.get() {
            Some(router) => match router.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            None => {
                let body = json!({ "error": { "class": "retry", "message": "starting: see /readyz for how far" } });
                let headers = [(header::RETRY_AFTER, STARTING_RETRY_S)];
                (StatusCode::SERVICE_UNAVAILABLE, headers, axum::Json(body)).into_response()
            }
        }
    }
}

/// Adds the check that fails once `drain` has begun.
pub fn not_draining(health: &Health, drain: &Drain) {
    let drain = drain.clone();
    health.add_local("accepting", move || match drain.has_begun() {
        true => Err("draining: the process stops".to_owned()),
        false => Ok(()),
    });
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use daymark_guard::{HealthOptions, ManualClock};

    use super::*;

    async fn get_path(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().call(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn health() -> Health {
        let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(1_700_000_000)));
        Health::new(HealthOptions { keep_ms: 0, ..HealthOptions::default() }, clock)
    }

    #[tokio::test]
    async fn readiness_lists_every_check_with_reason_and_time() {
        let health = health();
        health.add("store", CheckKind::Dependency, || Box::pin(async { Err("refused".to_owned()) }));
        let router = health_router(health.clone());
        let (status, body) = get_path(&router, "/readyz").await;
        assert_eq!(status, StatusCode::OK, "a dependency does not take the role out");
        let body: Value = serde_json::from_str(&body).unwrap();
        let expected = json!({ "name": "store", "kind": "dependency", "ok": false, "reason": "refused",
                               "since": "2023-11-14T22:13:20.000Z" });
        assert_eq!(body, json!({ "ready": true, "checks": [expected] }));
        health.add_local("log", || Err("poisoned".to_owned()));
        assert_eq!(get_path(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get_path(&router, "/livez").await.0, StatusCode::OK);
        health.add_restart(|| Some("poisoned".to_owned()));
        assert_eq!(get_path(&router, "/livez").await, (StatusCode::SERVICE_UNAVAILABLE, "restart: poisoned\n".into()));
    }

    #[tokio::test]
    async fn a_starting_role_tells_clients_to_come_again() {
        let (router, routes) = LateRoutes::new(&health(), "requests");
        let (status, body) = get_path(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("starting: requests are not taken yet"), "{body}");
        assert_eq!(get_path(&router, "/livez").await.0, StatusCode::OK);
        assert_eq!(get_path(&router, "/v1/traces").await.0, StatusCode::SERVICE_UNAVAILABLE);
        routes.complete(Router::new().route("/v1/traces", get(async || "taken")));
        assert_eq!(get_path(&router, "/v1/traces").await, (StatusCode::OK, "taken".into()));
        assert_eq!(get_path(&router, "/readyz").await.0, StatusCode::OK);
        assert_eq!(get_path(&router, "/other").await.0, StatusCode::NOT_FOUND);
    }
}
