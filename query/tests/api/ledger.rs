//! The ledger, and what damage has cost.

use daymark_model::UnixNanos;
use daymark_store::Lost;
use serde_json::{Value, json};

use crate::app::{app, get};
use crate::fixture::{START_S, TRACE_B, TRACE_C, fixture};

#[tokio::test]
async fn the_ledger_shows_what_is_unexplained() {
    let app = app(&fixture().await);
    let answer = get(&app, "/ledger").await;
    assert_eq!(answer["components"][0]["component"], "collector");
    assert_eq!(answer["components"][0]["rows"][0]["received"], 3);
    assert_eq!(answer["components"][0]["rows"][0]["unexplained"], 0);
    assert_eq!(answer["watermark"], "2023-11-14T22:13:20Z");
    assert_ne!(TRACE_B, TRACE_C);
    assert_eq!(answer["components"][0]["since"], Value::Null, "the fake collector does not know");
    assert_eq!(answer["lost"], json!({ "frames": 0, "bytes": 0, "parts": [] }));
}

#[tokio::test]
async fn what_damage_has_cost_is_in_the_ledger_and_in_receipts() {
    let fixture = fixture().await;
    let app = app(&fixture);
    let at = UnixNanos::from_seconds(START_S + 100);
    let lost = Lost { frames: Some(2), bytes: 512, received_before: at, noticed_at: at, ..Lost::default() };
    fixture.reader.store().note_lost(vec![lost], UnixNanos(0)).await.unwrap();
    let answer = get(&app, "/ledger").await;
    assert_eq!((&answer["lost"]["frames"], &answer["lost"]["bytes"]), (&json!(2), &json!(512)));
    assert_eq!(answer["lost"]["parts"][0]["noticed_at"], "2023-11-14T22:15:00Z");
    for path in ["/services", "/traces", "/logs", "/logs?query=payment", "/metrics", "/metrics/range?metric=http.size"]
    {
        let warnings = get(&app, path).await["receipt"]["warnings"].clone();
        assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{path}: {warnings}");
    }
    let later = get(&app, &format!("/logs?start={}", START_S + 200)).await;
    assert_eq!(later["receipt"]["warnings"], Value::Null);
}
