//! Search of traces, and one trace with its spans and logs.

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::{app, get, refused, texts};
use crate::fixture::{TRACE_A, TRACE_B, TRACE_C, fixture};

#[tokio::test]
async fn trace_search_finds_by_every_criterion_and_shows_the_newest_version() {
    let app = app(&fixture().await);
    for (query, expected) in [
        ("", vec![TRACE_B, TRACE_A]),
        ("?service=cart", vec![TRACE_A]),
        ("?service=nobody", vec![]),
        ("?operation=load", vec![TRACE_A]),
        ("?service=frontend&operation=load", vec![]),
        ("?min_duration_ms=100", vec![TRACE_A]),
        ("?max_duration_ms=20", vec![TRACE_B]),
        ("?errors=true", vec![TRACE_A]),
        ("?errors=false", vec![TRACE_B]),
        ("?attribute=http.route=/cart", vec![TRACE_A]),
        ("?attribute=http.status_code=500&attribute=http.route=/cart", vec![TRACE_A]),
        ("?attribute=http.route=/none", vec![]),
        ("?attribute=host.name=h1&limit=1", vec![TRACE_B]),
        ("?start=1700000020&end=1700000040", vec![TRACE_B]),
        ("?end=2023-11-14T22:13:31Z&start=1700000000000", vec![TRACE_A]),
    ] {
        let answer = get(&app, &format!("/traces{query}")).await;
        assert_eq!(texts(&answer["traces"], "trace_id"), expected, "{query}");
    }
    let newest = get(&app, "/traces?errors=true").await["traces"][0].clone();
    assert_eq!((&newest["span_count"], &newest["version"]), (&json!(2), &json!(101)));
    assert_eq!(newest["start_time"], "2023-11-14T22:13:30Z");
    assert_eq!(newest["start_time_unix_nano"], "1700000010000000000");
}

#[tokio::test]
async fn a_trace_has_each_span_once_and_its_logs_also_by_correlation_id() {
    let app = app(&fixture().await);
    let answer = get(&app, &format!("/traces/{TRACE_A}")).await;
    assert_eq!(texts(&answer["spans"], "name"), ["GET /cart", "load"]);
    let child = &answer["spans"][1];
    assert_eq!(child["parent_span_id"], "00000000000000aa");
    assert_eq!(child["attributes"], json!({ "http.route": "/cart", "http.status_code": 500 }));
    assert_eq!(child["events"][0]["name"], "exception");
    assert_eq!(child["links"], json!([]));
    assert_eq!(answer["trace"]["span_count"], 2);
    assert_eq!(texts(&answer["logs"], "service_name"), ["cart", "frontend", "worker"]);
    assert_eq!(answer["logs"][2]["attributes"]["user.id"], 42);
}

#[tokio::test]
async fn spans_have_their_times_raw_and_corrected_and_their_part_of_the_path() {
    let app = app(&fixture().await);
    let answer = get(&app, &format!("/traces/{TRACE_A}")).await;
    assert_eq!((&answer["spans_found"], &answer["spans_shown"]), (&json!(2), &json!(2)));
    let [root, child] = [&answer["spans"][0], &answer["spans"][1]];
    let ns = |span: &Value, name: &str| match &span[name] {
        Value::String(text) => text.parse::<i64>().unwrap(),
        number => number.as_i64().unwrap(),
    };
    for span in [root, child] {
        let moved = ns(span, "corrected_start_time_unix_nano") - ns(span, "start_time_unix_nano");
        assert_eq!(moved, ns(span, "clock_offset_ns"));
        assert!(ns(span, "self_time_ns") <= ns(span, "duration_ns"));
    }
    assert_eq!(ns(root, "critical_path_ns") + ns(child, "critical_path_ns"), ns(root, "duration_ns"));
    assert!(ns(child, "corrected_start_time_unix_nano") >= ns(root, "corrected_start_time_unix_nano"));
}

#[tokio::test]
async fn a_trace_without_a_row_yet_is_put_together_from_its_spans() {
    let app = app(&fixture().await);
    let answer = get(&app, &format!("/traces/{TRACE_C}")).await;
    assert_eq!(answer["trace"]["state"], "open");
    assert_eq!(answer["trace"]["root_name"], "GET /cart");
    refused(&app, &format!("/traces/{}", "f".repeat(32)), StatusCode::NOT_FOUND, "no trace").await;
    refused(&app, "/traces/xyz", StatusCode::BAD_REQUEST, "32 hex digits").await;
}

#[tokio::test]
async fn ids_and_severities_are_found_in_either_case() {
    let app = app(&fixture().await);
    let upper = TRACE_A.to_uppercase();
    assert_eq!(get(&app, &format!("/traces/{upper}")).await["trace"]["trace_id"], TRACE_A);
    assert_eq!(get(&app, &format!("/logs?trace_id={upper}")).await["matched"], 2);
    assert_eq!(get(&app, &format!("/logs?query=trace_id:{upper}")).await["matched"], 2);
    assert_eq!(get(&app, "/logs?query=span_id:00000000000000AB").await["matched"], 1);
    assert_eq!(get(&app, "/logs?severity=warn").await["matched"], 1);
}
