//! SQL, handed on to its engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use axum::body::Body;
use daymark_model::{ErrorClass, Refusal, TenantId};
use daymark_query::{QueryOptions, SqlAnswer, SqlEngine, SqlRequest};
use http::{Request, StatusCode};
use tower::ServiceExt;

use crate::app::{app, app_with, refused};
use crate::fixture::fixture;

#[tokio::test]
async fn sql_is_handed_on_and_named_when_it_is_missing() {
    let fixture = fixture().await;
    let without = app_with(&fixture, QueryOptions::default(), None);
    refused(&without, "/sql?query=x", StatusCode::NOT_IMPLEMENTED, "\"sql\"").await;
    let request = Request::post("/api/v1/sql")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"query":"select 1","format":"csv"}"#))
        .unwrap();
    let response = app(&fixture).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    assert!(response.headers()["daymark-receipt"].to_str().unwrap().contains("\"complete\":true"));
    let refusal = Refusal::reject("statement", "x");
    assert_eq!(refusal.class, ErrorClass::Reject);
}

#[tokio::test]
async fn a_caller_that_leaves_stops_its_query() {
    struct Endless(Arc<AtomicBool>);
    struct NoteDrop(Arc<AtomicBool>);
    impl Drop for NoteDrop {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    #[async_trait]
    impl SqlEngine for Endless {
        async fn run(&self, _tenant: &TenantId, _request: SqlRequest) -> Result<SqlAnswer, Refusal> {
            let _note = NoteDrop(Arc::clone(&self.0));
            std::future::pending().await
        }
    }
    let ended = Arc::new(AtomicBool::new(false));
    let fixture = fixture().await;
    let app = app_with(&fixture, QueryOptions::default(), Some(Arc::new(Endless(Arc::clone(&ended)))));
    let request = Request::get("/api/v1/sql?query=x").body(Body::empty()).unwrap();
    let mut waiting = Box::pin(app.oneshot(request));
    assert!(futures::poll!(&mut waiting).is_pending());
    assert!(!ended.load(Relaxed));
    drop(waiting);
    assert!(ended.load(Relaxed), "dropping the request drops the statement");
}
