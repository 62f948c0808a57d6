//! The router over the fixture, and how tests ask it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use daymark_guard::ManualClock;
use daymark_model::{Receipt, Refusal, TenantId, UnixNanos};
use daymark_query::{QueryOptions, QueryParts, SqlAnswer, SqlEngine, SqlRequest, router};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::{Fixture, START_S};

fn tenant_of(headers: &HeaderMap) -> Result<TenantId, Refusal> {
    match headers.get("x-daymark-key").map(|key| key.as_bytes()) {
        None => Ok(TenantId::default()),
        Some(b"acme-key") => Ok(TenantId::parse("acme").expect("valid")),
        Some(b"old-key") => Err(Refusal::reject("expired_key", "this key of tenant acme expired")),
        Some(b"sends-only") => Err(Refusal::reject("wrong_scope", "this needs scope `query`")),
        Some(_) => Err(Refusal::reject("unknown_key", "the key is not known")),
    }
}

pub struct Echo;

#[async_trait]
impl SqlEngine for Echo {
    async fn run(&self, tenant: &TenantId, request: SqlRequest) -> Result<SqlAnswer, Refusal> {
        if request.query == "slow" {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        }
        let text = format!("{tenant}: {}", request.query);
        Ok(SqlAnswer { text: text.into(), receipt: Receipt::new() })
    }
}

pub fn app_with(fixture: &Fixture, options: QueryOptions, sql: Option<Arc<dyn SqlEngine>>) -> Router {
    let parts = QueryParts {
        reader: Arc::clone(&fixture.reader),
        hot: Some(fixture.hot.clone()),
        sql,
        tenant_of: Arc::new(tenant_of),
        clock: Arc::new(ManualClock::at(UnixNanos::from_seconds(START_S + 300))),
    };
    router(options, parts)
}

pub fn app(fixture: &Fixture) -> Router {
    app_with(fixture, QueryOptions::default(), Some(Arc::new(Echo)))
}

pub async fn get_as(app: &Router, path: &str, key: Option<&str>) -> (StatusCode, Value) {
    let mut request = Request::get(format!("/api/v1{path}"));
    if let Some(key) = key {
        request = request.header("x-daymark-key", key);
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
    (status, body)
}

pub async fn get(app: &Router, path: &str) -> Value {
    let (status, body) = get_as(app, path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    assert_eq!(body["receipt"]["complete"], true, "{path}: {}", body["receipt"]);
    body
}

pub async fn refused(app: &Router, path: &str, expected: StatusCode, says: &str) {
    let (status, body) = get_as(app, path, None).await;
    assert_eq!(status, expected, "{path}: {body}");
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(says), "{path}: {message:?} does not say {says:?}");
}

pub fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap_or("null")).collect()
}
