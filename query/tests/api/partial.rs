//! What an answer says when something is away or damaged.

use std::sync::atomic::Ordering::Relaxed;

use daymark_store::TableName;
use http::StatusCode;
use serde_json::{Value, json};

use crate::app::{app, get_as, texts};
use crate::fixture::{TRACE_C, fixture};

#[tokio::test]
async fn an_unreachable_collector_makes_every_receipt_partial() {
    let fixture = fixture().await;
    let app = app(&fixture);
    fixture.hot.unreachable.store(true, Relaxed);
    for path in ["/services", "/traces", "/logs", "/metrics", "/metrics/range?metric=http.size", "/ledger"] {
        let (status, body) = get_as(&app, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert_eq!(body["receipt"]["complete"], false, "{path}");
        assert!(body["receipt"]["missing"].to_string().contains("connection refused"), "{path}: {body}");
    }
    let (status, body) = get_as(&app, &format!("/traces/{TRACE_C}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["error"]["message"].as_str().unwrap().contains("connection refused"), "{body}");
}

#[tokio::test]
async fn damaged_segments_cost_themselves_and_are_named() {
    let fixture = fixture().await;
    fixture.hot.damage(TableName::Logs);
    for path in ["/logs", "/logs?query=payment", "/logs?order=asc", "/services"] {
        let (status, body) = get_as(&app(&fixture), path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert_eq!(body["receipt"]["complete"], false, "{path}");
        assert!(body["receipt"]["missing"].to_string().contains(".parquet"), "{path}: {body}");
    }
    let (_, hot) = get_as(&app(&fixture), "/logs?query=payment", None).await;
    assert_eq!(texts(&hot["logs"], "body"), ["retry payment"]);
}

#[tokio::test]
async fn storage_that_the_collector_does_not_tell_makes_the_answer_partial() {
    let (status, answer) = get_as(&app(&fixture().await), "/storage", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["tables"], &answer["full_in_hours"]), (&json!([]), &Value::Null));
    assert_eq!(answer["receipt"]["complete"], false);
}
