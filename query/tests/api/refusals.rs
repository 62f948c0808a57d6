//! Who may ask what, and how limits and mistakes are told.

use std::sync::Arc;

use daymark_query::QueryOptions;
use http::StatusCode;
use serde_json::json;

use crate::app::{Echo, app, app_with, get, get_as, refused, texts};
use crate::fixture::{START_S, TRACE_A, fixture};

#[tokio::test]
async fn a_tenant_sees_only_its_own_rows() {
    let app = app(&fixture().await);
    let (_, theirs) = get_as(&app, "/logs", Some("acme-key")).await;
    assert_eq!(texts(&theirs["logs"], "body"), ["secret of acme"]);
    let (_, services) = get_as(&app, "/services", Some("acme-key")).await;
    assert_eq!(texts(&services["services"], "name"), ["vault"]);
    let (status, _) = get_as(&app, &format!("/traces/{TRACE_A}"), Some("acme-key")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(get(&app, "/logs?query=secret").await["matched"], 0);
    for (key, expected) in [
        ("guessed", StatusCode::UNAUTHORIZED),
        ("old-key", StatusCode::UNAUTHORIZED),
        ("sends-only", StatusCode::FORBIDDEN),
    ] {
        let (status, body) = get_as(&app, "/logs", Some(key)).await;
        assert_eq!((status, &body["error"]["class"]), (expected, &json!("reject")), "{key}");
    }
    let (_, sql) = get_as(&app, "/sql?query=select", Some("acme-key")).await;
    assert_eq!(sql, "acme: select");
}

#[tokio::test]
async fn every_limit_is_a_clear_error() {
    let fixture = fixture().await;
    let limited = |change: fn(&mut QueryOptions)| {
        let mut options = QueryOptions::default();
        change(&mut options);
        app_with(&fixture, options, Some(Arc::new(Echo)))
    };
    let (bad, large) = (StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY);
    refused(&limited(|o| o.max_rows = 10), "/logs?limit=11", bad, "query.max_rows").await;
    refused(&limited(|o| o.max_answer_bytes = 100), "/logs", large, "query.max_answer_bytes").await;
    refused(&limited(|o| o.max_scanned_rows = 5), "/logs", large, "query.max_scanned_rows").await;
    refused(&limited(|o| o.max_query_bytes = 5), "/logs?query=abcdef", bad, "query.max_query_bytes").await;
    refused(&limited(|o| o.max_concurrent_queries = 0), "/logs", StatusCode::SERVICE_UNAVAILABLE, "max_concurrent")
        .await;
    refused(&limited(|o| o.max_points = 5), "/metrics/range?metric=m&step=10", large, "query.max_points").await;
    let slow = limited(|o| o.timeout_ms = 20);
    refused(&slow, "/sql?query=slow", StatusCode::GATEWAY_TIMEOUT, "query.timeout_ms").await;
    let narrow = limited(|o| o.max_series = 1);
    let minute = START_S - START_S % 60;
    let path =
        format!("/metrics/range?metric=traces.span.metrics.duration&group_by=status.code&fn=count&start={minute}");
    refused(&narrow, &path, large, "query.max_series").await;
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_name() {
    let app = app(&fixture().await);
    let bad = StatusCode::BAD_REQUEST;
    for (path, says) in [
        ("/logs?querry=x", "unknown parameter \"querry\""),
        ("/logs?start=yesterday", "RFC 3339"),
        ("/logs?order=up", "expected desc or asc"),
        ("/logs?severity=bogus", "expected one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL, UNSPECIFIED"),
        ("/traces?min_duration_ms=fast", "expected a number"),
        ("/traces?attribute=x", "expected name=value"),
        ("/metrics/range", "no metric named"),
        ("/metrics/range?metric=m&fn=median", "unknown function"),
        ("/metrics/range?metric=m&step=7", "multiple of 10"),
        ("/sql?query=x&format=xml", "expected json, csv or table"),
        ("/sql", "no SQL given"),
    ] {
        refused(&app, path, bad, says).await;
    }
    refused(&app, "/nothing", StatusCode::NOT_FOUND, "no such path").await;
}
