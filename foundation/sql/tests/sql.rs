//! SQL over a small store: data-driven cases, and what pruning, metadata, limits and receipts promise.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod fixture;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use daymark_model::TenantId;
use daymark_sql::{Answer, Format, SqlEngine, SqlError, SqlOptions};
use daymark_store::TableName;
use fixture::{Fixture, fixture};

fn engine_with(fixture: &Fixture, options: SqlOptions) -> SqlEngine {
    SqlEngine::new(options, Arc::clone(&fixture.reader)).unwrap()
}

fn engine(fixture: &Fixture) -> SqlEngine {
    engine_with(fixture, SqlOptions::default())
}

async fn csv(engine: &SqlEngine, statement: &str) -> Result<(String, Answer), SqlError> {
    let answer = engine.run(&TenantId::default(), statement, Format::Csv).await?;
    Ok((String::from_utf8(answer.text.clone()).unwrap(), answer))
}

/// Runs the cases of one file. A line `*` in an expected answer stands for any further lines.
async fn check(file: &str) {
    let fixture = fixture().await;
    let engine = engine(&fixture);
    let path = format!("{}/tests/cases/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut failures = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, kind)) = lines.next() {
        if kind.trim().is_empty() || kind.starts_with('#') {
            continue;
        }
        let statement: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "----").collect();
        let mut expected = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            expected.push(line);
        }
        let got = csv(&engine, &statement.join("\n")).await;
        let holds = match (kind, &got) {
            ("query", Ok((text, _))) => {
                let got: Vec<&str> = text.lines().collect();
                match expected.iter().position(|line| *line == "*") {
                    Some(known) => got.len() > known && got[..known] == expected[..known],
                    None => got == expected,
                }
            }
            ("error", Err(error)) => error.to_string().to_lowercase().contains(&expected[0].to_lowercase()),
            _ => false,
        };
        if !holds {
            let got = got.map_or_else(|error| format!("error: {error}"), |(text, _)| text);
            failures.push(format!("{file}:{}\n{}\n---- got\n{got}", number + 1, statement.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test]
async fn tables_show_what_is_stored() {
    check("tables.slt").await;
}

#[tokio::test]
async fn filters_prune_and_never_change_an_answer() {
    check("filters.slt").await;
}

#[tokio::test]
async fn functions_answer_as_documented() {
    check("functions.slt").await;
}

#[tokio::test]
async fn only_single_reads_are_run() {
    check("read_only.slt").await;
}

#[tokio::test]
async fn counting_all_rows_reads_no_segment() {
    let fixture = fixture().await;
    let (_, answer) = csv(&engine(&fixture), "select count(*) from logs").await.unwrap();
    assert_eq!((answer.receipt.segments_total, answer.receipt.segments_read), (2, 0));
    assert_eq!((answer.receipt.rows_scanned, answer.receipt.hot_rows), (0, 1));
}

#[tokio::test]
async fn trace_ids_times_services_and_words_leave_segments_out() {
    let fixture = fixture().await;
    let engine = engine(&fixture);
    for (statement, segments, at_most_rows) in [
        ("select name from spans where trace_id = '000000000000000000000000000000ff'", 0, 0),
        ("select name from spans where trace_id = 'no id'", 0, 0),
        ("select body from logs where time < '2023-11-14T22:13:40Z'", 1, 8),
        ("select body from logs where time_unix_nano >= 1800000000000000000", 0, 0),
        ("select body from logs where service_name = 'zzz'", 0, 0),
        ("select body from logs where match(body, 'refused')", 1, 8),
        ("select body from logs where match(body, 'nonexistent')", 0, 0),
    ] {
        let (_, answer) = csv(&engine, statement).await.unwrap();
        assert_eq!(answer.receipt.segments_read, segments, "{statement}");
        assert!(answer.receipt.rows_scanned <= at_most_rows, "{statement}: {:?}", answer.receipt);
    }
}

#[tokio::test]
async fn an_unreachable_collector_makes_the_receipt_partial() {
    let fixture = fixture().await;
    fixture.hot.unreachable.store(true, Relaxed);
    let (text, answer) = csv(&engine(&fixture), "select count(*) as n from logs").await.unwrap();
    assert_eq!(text, "n\n43\n");
    assert!(!answer.receipt.complete);
    assert!(answer.receipt.missing[0].contains("connection refused"), "{:?}", answer.receipt.missing);
}

#[tokio::test]
async fn damaged_segments_cost_themselves_and_are_named() {
    let fixture = fixture().await;
    fixture.hot.damage(TableName::Logs);
    let (text, answer) = csv(&engine(&fixture), "select body from logs").await.unwrap();
    assert_eq!(text, "body\nretry payment\n");
    assert!(!answer.receipt.complete && answer.receipt.missing.len() == 2, "{:?}", answer.receipt);
}

#[tokio::test]
async fn a_tenant_sees_only_its_own_rows() {
    let fixture = fixture().await;
    let engine = engine(&fixture);
    let acme = TenantId::parse("acme").unwrap();
    let theirs = engine.run(&acme, "select body from logs", Format::Csv).await.unwrap();
    assert_eq!(theirs.text, b"body\nsecret of acme\n");
    let spans = engine.run(&acme, "select count(*) as n from spans", Format::Csv).await.unwrap();
    assert_eq!(spans.text, b"n\n0\n");
    let (ours, _) = csv(&engine, "select count(*) as n from logs where match(body, 'secret')").await.unwrap();
    assert_eq!(ours, "n\n0\n");
}

#[tokio::test]
async fn every_limit_is_a_clear_error() {
    let fixture = fixture().await;
    for (change, statement, option) in [
        ((|o| o.max_rows = 10) as fn(&mut SqlOptions), "select body from logs", "sql.max_rows"),
        (|o| o.max_answer_bytes = 500, "select body from logs", "sql.max_answer_bytes"),
        (|o| o.max_query_bytes = 10, "select body from logs", "sql.max_query_bytes"),
        (
            |o| o.timeout_ms = 1,
            "select sum(a.v * b.v) from generate_series(1, 100000) a(v), generate_series(1, 100000) b(v)",
            "sql.timeout_ms",
        ),
        (|o| o.memory_bytes = 1_000, "select body, count(*) from logs group by body order by 2", "sql.memory_bytes"),
    ] {
        let mut options = SqlOptions::default();
        change(&mut options);
        let error = csv(&engine_with(&fixture, options), statement).await.map(|(text, _)| text).unwrap_err();
        assert!(error.to_string().contains(option), "{statement}: {error}");
    }
}

#[tokio::test]
async fn answers_come_as_json_and_as_a_table() {
    let fixture = fixture().await;
    let engine = engine(&fixture);
    let statement = "select name, duration_ns, start_time, start_time_unix_nano, parent_span_id, attributes \
                     from spans where trace_id = '0000000000000000000000000000000b'";
    let json = engine.run(&TenantId::default(), statement, Format::Json).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.text).unwrap();
    assert_eq!(json["columns"][0], serde_json::json!({ "name": "name", "type": "Utf8" }));
    let row = serde_json::json!(["GET /", 20_000_000, "2023-11-14T22:13:50Z", "1700000030000000000", null, {}]);
    assert_eq!(json["rows"], serde_json::json!([row]));
    assert_eq!(json["receipt"]["complete"], true);
    let table = engine.run(&TenantId::default(), "select 1 as one", Format::Table).await.unwrap();
    assert_eq!(String::from_utf8(table.text).unwrap(), "+-----+\n| one |\n+-----+\n| 1   |\n+-----+\n");
    let nothing = engine.run(&TenantId::default(), "select name from spans where false", Format::Csv).await.unwrap();
    assert_eq!(nothing.text, b"name\n");
}
