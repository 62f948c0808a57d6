//! The API over a small store: what each route answers, and what its receipt says.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../../foundation/sql/tests/fixture/mod.rs"]
mod fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use daymark_guard::ManualClock;
use daymark_model::{ErrorClass, Receipt, Refusal, TenantId, UnixNanos};
use daymark_query::{QueryOptions, QueryParts, SqlAnswer, SqlEngine, SqlRequest, router};
use daymark_store::{Lost, TableName};
use fixture::{Fixture, START_S, TRACE_A, TRACE_B, TRACE_C, fixture};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

fn tenant_of(headers: &HeaderMap) -> Result<TenantId, Refusal> {
    match headers.get("x-daymark-key").map(|key| key.as_bytes()) {
        None => Ok(TenantId::default()),
        Some(b"acme-key") => Ok(TenantId::parse("acme").expect("valid")),
        Some(b"old-key") => Err(Refusal::reject("expired_key", "this key of tenant acme expired")),
        Some(b"sends-only") => Err(Refusal::reject("wrong_scope", "this needs scope `query`")),
        Some(_) => Err(Refusal::reject("unknown_key", "the key is not known")),
    }
}

struct Echo;

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

fn app_with(fixture: &Fixture, options: QueryOptions, sql: Option<Arc<dyn SqlEngine>>) -> Router {
    let parts = QueryParts {
        reader: Arc::clone(&fixture.reader),
        hot: Some(fixture.hot.clone()),
        sql,
        tenant_of: Arc::new(tenant_of),
        clock: Arc::new(ManualClock::at(UnixNanos::from_seconds(START_S + 300))),
    };
    router(options, parts)
}

fn app(fixture: &Fixture) -> Router {
    app_with(fixture, QueryOptions::default(), Some(Arc::new(Echo)))
}

async fn get_as(app: &Router, path: &str, key: Option<&str>) -> (StatusCode, Value) {
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

async fn get(app: &Router, path: &str) -> Value {
    let (status, body) = get_as(app, path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    assert_eq!(body["receipt"]["complete"], true, "{path}: {}", body["receipt"]);
    body
}

async fn refused(app: &Router, path: &str, expected: StatusCode, says: &str) {
    let (status, body) = get_as(app, path, None).await;
    assert_eq!(status, expected, "{path}: {body}");
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(says), "{path}: {message:?} does not say {says:?}");
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap_or("null")).collect()
}

#[tokio::test]
async fn services_come_from_spans_and_logs_hot_ones_included() {
    let app = app(&fixture().await);
    let answer = get(&app, "/services").await;
    assert_eq!(
        answer["services"],
        json!([
            { "name": "cart", "operations": ["load"] },
            { "name": "frontend", "operations": ["GET /", "GET /cart"] },
            { "name": "worker", "operations": [] },
        ])
    );
    assert_eq!(answer["receipt"]["hot_rows"], 3);
}

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
async fn the_service_graph_adds_up_fragments_and_takes_back_what_was_no_call() {
    let app = app(&fixture().await);
    let answer = get(&app, "/services/graph").await;
    assert_eq!(texts(&answer["edges"], "callee"), ["cart", "postgresql"], "the call to a name was taken back");
    let [cart, database] = [&answer["edges"][0], &answer["edges"][1]];
    assert_eq!((&cart["calls"], &cart["errors"], &cart["duration_p99_ns"]), (&json!(10), &json!(0), &json!(9_000_000)));
    assert_eq!((&database["connection"], &database["errors"]), (&json!("database"), &json!(1)));
    assert_eq!(answer["nodes"][2], json!({ "name": "postgresql", "kind": "peer" }));
    assert_eq!(answer["receipt"]["complete"], true);
    let of_cart = get(&app, "/services/graph?service=postgresql").await;
    assert_eq!(texts(&of_cart["edges"], "caller"), ["cart"]);
    let none = get(&app, "/services/graph?from=1600000000&to=1600000060").await;
    assert_eq!((&none["edges"], &none["start_time"]), (&json!([]), &json!("2020-09-13T12:26:00Z")));
    refused(&app, "/services/graph?from=1&start=1", StatusCode::BAD_REQUEST, "another name").await;
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
async fn log_search_matches_as_the_language_says() {
    let app = app(&fixture().await);
    for (query, bodies) in [
        (
            "payment",
            vec!["retry payment", "cart rendered, payment pending", "Payment failed: connection refused by 10.0.0.1"],
        ),
        ("payment+-retry", vec!["cart rendered, payment pending", "Payment failed: connection refused by 10.0.0.1"]),
        ("%22payment+failed%22", vec!["Payment failed: connection refused by 10.0.0.1"]),
        ("10.0.0.1", vec!["Payment failed: connection refused by 10.0.0.1"]),
        ("10.0.0.2", vec![]),
        ("ref*", vec!["Payment failed: connection refused by 10.0.0.1"]),
        ("payment+service:frontend", vec!["cart rendered, payment pending"]),
        ("severity:warn", vec!["retry payment"]),
        ("user.id:42", vec!["order placed"]),
        ("event:order*", vec!["order placed"]),
        ("heartbeat+7", vec!["heartbeat number 7"]),
        ("heartbeat+(7+OR+39)", vec!["heartbeat number 39", "heartbeat number 7"]),
        ("rendered+OR+user.id:*", vec!["order placed", "cart rendered, payment pending"]),
    ] {
        let answer = get(&app, &format!("/logs?query={query}")).await;
        assert_eq!(texts(&answer["logs"], "body"), bodies, "{query}");
        assert_eq!(answer["matched"], bodies.len(), "{query}");
        let in_bars: u64 = answer["volume"].as_array().unwrap().iter().map(|bar| bar["count"].as_u64().unwrap()).sum();
        assert_eq!(in_bars, bodies.len() as u64, "{query}");
    }
    refused(&app, "/logs?query=a+AND+%28b", StatusCode::BAD_REQUEST, "\")\" is missing").await;
}

#[tokio::test]
async fn facets_are_those_of_the_search() {
    let fixture = fixture().await;
    let app = app(&fixture);
    let all = get(&app, "/logs?query=").await;
    let answer = get(&app, "/logs/facets").await;
    assert_eq!((&answer["records"], &answer["complete"]), (&all["matched"], &json!(true)));
    let of = |answer: &Value, key: &str| {
        let facet = answer["facets"].as_array().unwrap().iter().find(|facet| facet["key"] == key).cloned();
        facet.unwrap_or_else(|| panic!("no {key}: {answer}"))
    };
    let services = of(&answer, "service");
    for value in services["values"].as_array().unwrap() {
        let name = value["value"].as_str().unwrap();
        let found = get(&app, &format!("/logs?query=service:{name}")).await;
        assert_eq!(value["records"], found["matched"], "{name}");
    }
    let one = get(&app, "/logs/facets?severity=warn&limit=1").await;
    assert_eq!((&one["records"], &one["complete"]), (&json!(1), &json!(false)));
    assert_eq!(of(&one, "severity")["values"], json!([{ "value": "WARN", "text": "WARN", "records": 1 }]));
    refused(&app, "/logs/facets?querry=x", StatusCode::BAD_REQUEST, "unknown parameter").await;
}

#[tokio::test]
async fn log_search_is_ordered_and_limited() {
    let app = app(&fixture().await);
    let newest = get(&app, "/logs?limit=2").await;
    assert_eq!(texts(&newest["logs"], "body"), ["heartbeat number 39", "heartbeat number 38"]);
    assert_eq!(newest["matched"], 44);
    let oldest = get(&app, "/logs?limit=2&order=asc").await;
    assert_eq!(
        texts(&oldest["logs"], "body"),
        ["Payment failed: connection refused by 10.0.0.1", "cart rendered, payment pending"]
    );
    let quick = get(&app, "/logs?limit=1&volume=false").await;
    assert_eq!((texts(&quick["logs"], "body"), &quick["matched"]), (vec!["heartbeat number 39"], &Value::Null));
    let of_trace = get(&app, &format!("/logs?trace_id={TRACE_A}")).await;
    assert_eq!(of_trace["matched"], 2);
    let errors: u64 = newest["volume"].as_array().unwrap().iter().map(|bar| bar["errors"].as_u64().unwrap()).sum();
    assert_eq!(errors, 1);
}

#[tokio::test]
async fn the_text_index_prunes_what_is_scanned() {
    let app = app(&fixture().await);
    let rare = get(&app, "/logs?query=refused").await;
    let every = get(&app, "/logs?query=").await;
    let scanned = |answer: &Value| answer["receipt"]["rows_scanned"].as_u64().unwrap();
    assert!(scanned(&rare) < scanned(&every) / 2, "{} of {} rows", scanned(&rare), scanned(&every));
}

#[tokio::test]
async fn metrics_are_listed_with_what_one_can_group_by() {
    let app = app(&fixture().await);
    let answer = get(&app, "/metrics").await;
    assert_eq!(texts(&answer["metrics"], "name"), ["http.size", "traces.span.metrics.duration"]);
    assert_eq!(answer["metrics"][1]["attribute_keys"], json!(["span.name", "status.code"]));
    assert_eq!(answer["metrics"][1]["services"], json!(["frontend"]));
}

#[tokio::test]
async fn metric_ranges_are_exact_in_both_resolutions() {
    let app = app(&fixture().await);
    let minute = START_S - START_S % 60;
    let range = format!("/metrics/range?metric=traces.span.metrics.duration&start={minute}&end={}", minute + 60);
    for (step, resolution) in [("10", "10s"), ("60", "1m")] {
        for (function, expected) in
            [("count", None), ("rate", Some(1.0)), ("error_ratio", Some(0.1)), ("min", Some(1e6)), ("max", Some(9e6))]
        {
            let answer = get(&app, &format!("{range}&fn={function}&step={step}")).await;
            assert_eq!(answer["resolution"], resolution);
            let steps: f64 = step.parse().unwrap();
            let expected = expected.unwrap_or(steps);
            for point in answer["series"][0]["points"].as_array().unwrap() {
                assert_eq!(point[1].as_f64(), Some(expected), "{function} in steps of {step} s");
            }
        }
        let answer = get(&app, &format!("{range}&fn=p50&step={step}")).await;
        let p50 = answer["series"][0]["points"][0][1].as_f64().unwrap();
        assert!((p50 / 1e6 - 1.0).abs() <= 0.0040, "{p50}");
        assert_eq!(answer["series"][0]["bucket_bound"], "hdr 0.39 %");
        assert_eq!(answer["series"][0]["exemplars"][0]["trace_id"], TRACE_A);
    }
    let grouped = get(&app, &format!("{range}&fn=count&step=60&group_by=status.code&group_by=service")).await;
    assert_eq!(
        grouped["series"].as_array().unwrap().iter().map(|line| &line["labels"]["status.code"]).collect::<Vec<_>>(),
        ["error", "ok"]
    );
    let one = get(&app, &format!("{range}&fn=count&step=60&attribute=status.code=error")).await;
    assert_eq!(one["series"][0]["points"][0][1], 6.0);
}

#[tokio::test]
async fn explicit_buckets_are_labelled_and_their_quantile_lies_in_its_bucket() {
    let app = app(&fixture().await);
    let minute = START_S - START_S % 60;
    let path = format!("/metrics/range?metric=http.size&fn=p90&step=60&start={minute}&end={}", minute + 60);
    let answer = get(&app, &path).await;
    assert_eq!(answer["series"][0]["bucket_bound"], "explicit");
    let p90 = answer["series"][0]["points"][0][1].as_f64().unwrap();
    assert!((10.0..=20.0).contains(&p90), "{p90}");
}

#[tokio::test]
async fn a_metric_nobody_sent_is_told_from_one_without_matches() {
    let app = app(&fixture().await);
    let unknown = get(&app, "/metrics/range?metric=http.sise").await;
    assert_eq!(unknown["series"], json!([]));
    let warnings = &unknown["receipt"]["warnings"];
    assert_eq!(*warnings, json!(["no metric named \"http.sise\" in this range; similar: http.size"]));
    let filtered = get(&app, "/metrics/range?metric=http.size&attribute=a=b").await;
    assert_eq!((&filtered["series"], &filtered["receipt"]["warnings"]), (&json!([]), &Value::Null));
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

#[tokio::test]
async fn storage_that_the_collector_does_not_tell_makes_the_answer_partial() {
    let (status, answer) = get_as(&app(&fixture().await), "/storage", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["tables"], &answer["full_in_hours"]), (&json!([]), &Value::Null));
    assert_eq!(answer["receipt"]["complete"], false);
}
