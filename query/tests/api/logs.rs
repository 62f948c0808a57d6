//! Search of logs, and its facets.

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::{app, get, refused, texts};
use crate::fixture::{TRACE_A, fixture};

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
