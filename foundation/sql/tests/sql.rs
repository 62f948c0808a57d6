//! SQL over a small store: data-driven cases, and what pruning, metadata, limits and receipts promise.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod fixture;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

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
async fn functions_that_grow_are_refused_before_they_run() {
    let fixture = fixture().await;
    let engine = engine(&fixture);
    for (expression, option) in [
        ("repeat('x', 2000000000)", "max_cell_bytes"),
        ("repeat(repeat('x', 100000), 100000)", "max_c"),
        ("repeat(body, 2000000)", "max_cell_bytes"),
        ("repeat(repeat(body, 10000), 10000)", "max_cell_bytes"),
        ("lpad('x', 2000000000)", "max_cell_bytes"),
        ("rpad(body, 2000000000, 'ab')", "max_cell_bytes"),
        ("length(repeat('x', 2000000000))", "max_cell_bytes"),
        ("array_repeat(1, 2000000000)", "max_cell_bytes"),
        ("levenshtein(repeat(body, 1000), repeat(body, 1000))", "max_cell_bytes"),
        ("range(1, 9000000000)", "max_cell_bytes"),
        ("generate_series(timestamp '2000-01-01', timestamp '2030-01-01', interval '1 second')", "max_cell_bytes"),
        ("replace(repeat('x', 60000), 'x', repeat('y', 2000))", "max_cell_bytes"),
        ("regexp_replace(repeat(body, 10000), '.', repeat('y', 1000), 'g')", "max_cell_bytes"),
        ("repeat('x', 60000) || repeat('y', 60000)", "max_constant_bytes"),
        ("concat(repeat(body, 10000), repeat(body, 10000), repeat(body, 10000))", "max_cell_bytes"),
        ("repeat(body, 10000) || repeat(body, 10000) || repeat(body, 10000)", "max_cell_bytes"),
        ("repeat('x', 100000)", "max_constant_bytes"),
        ("string_agg(repeat(body, 20000), '')", "max_cell_bytes"),
        ("array_agg(repeat(body, 20000))", "max_cell_bytes"),
    ] {
        let statement = format!("select {expression} from logs where match(body, 'payment')");
        let error = csv(&engine, &statement).await.map(|(text, _)| text.len()).unwrap_err();
        assert!(error.to_string().contains(option), "{statement}: {error}");
    }
    let few = SqlOptions { memory_bytes: 4 << 20, ..SqlOptions::default() };
    let statement = "select sum(length(repeat(body, 20000))) from logs";
    let error = csv(&engine_with(&fixture, few), statement).await.map(|(text, _)| text).unwrap_err();
    assert!(error.to_string().contains("sql.memory_bytes"), "{error}");
}

#[tokio::test]
async fn what_functions_made_is_given_back() {
    let fixture = fixture().await;
    let engine = engine_with(&fixture, SqlOptions { memory_bytes: 8 << 20, ..SqlOptions::default() });
    // 44 bodies, each 2 kB: more than the memory in all rounds together, little in each.
    for _ in 0..100 {
        let (text, _) = csv(&engine, "select max(length(repeat(body, 100))) as n from logs").await.unwrap();
        assert_eq!(text, "n\n4600\n");
    }
}

#[tokio::test]
async fn a_long_chain_of_operators_ends_no_process() {
    let fixture = fixture().await;
    let engine = engine(&fixture);
    let max_operators = SqlOptions::default().max_operators;
    for (first, rest) in [
        ("select 1", " + 1"),
        ("select true", " or true"),
        ("select ''", " || ''"),
        ("select 1", "::int"),
        ("select 1", " union all select 1"),
    ] {
        let statement = |operators: usize| format!("{first}{}", rest.repeat(operators));
        let most = csv(&engine, &statement(max_operators)).await;
        assert!(most.is_ok(), "{rest}: {most:?}");
        let error = csv(&engine, &statement(max_operators + 1)).await.map(|(text, _)| text).unwrap_err();
        assert!(error.to_string().contains("sql.max_operators"), "{rest}: {error}");
    }
    let tables: Vec<String> = (0..101).map(|at| format!("logs l{at}")).collect();
    let error = csv(&engine, &format!("select 1 from {}", tables.join(", "))).await.map(|(text, _)| text).unwrap_err();
    assert!(error.to_string().contains("sql.max_tables"), "{error}");
}

#[tokio::test]
async fn a_statement_nobody_waits_for_is_stopped() {
    let fixture = fixture().await;
    let engine = engine_with(&fixture, SqlOptions { threads: 1, timeout_ms: 600_000, ..SqlOptions::default() });
    let rows = "generate_series(1, 2000000)";
    for statement in [
        format!("select sum(a.v * b.v) from {rows} a(v), {rows} b(v)"),
        format!("select count(*) from {rows} a(v), {rows} b(v) where a.v * b.v < 0"),
        format!("select count(*) from {rows} a(v) join {rows} b(v) on a.v % 2 = b.v % 2 and a.v + b.v < 0"),
        format!("select count(*) from {rows} a(v), (select unnest(range(1, 5000)) as w) b where a.v = -b.w * a.v"),
        "select count(*) from generate_series(1, 100000000000) a(v)".to_owned(),
        "select count(length(concat(uuid(), a.v))) from generate_series(1, 100000000000) a(v)".to_owned(),
    ] {
        let tenant = TenantId::default();
        let waiting = engine.run(&tenant, &statement, Format::Csv);
        // Long enough for the statement to be in the midst of its work: each would take minutes.
        assert!(tokio::time::timeout(Duration::from_millis(1_500), waiting).await.is_err(), "{statement}");
        // The one thread of the engine is free again only when the statement has ended.
        assert_eq!(csv(&engine, "select 1 as n").await.unwrap().0, "n\n1\n", "{statement}");
    }
}

#[tokio::test]
async fn a_busy_statement_leaves_the_callers_threads_alone() {
    let fixture = fixture().await;
    let engine = engine_with(&fixture, SqlOptions { threads: 1, timeout_ms: 50, ..SqlOptions::default() });
    // This test has one thread: were the statement planned or run on it, its time-out could not come.
    let statement = "select max(levenshtein(repeat('a', 1000), repeat(a.v::varchar, 100))) \
                     from generate_series(100000, 100000000) a(v)";
    let error = csv(&engine, statement).await.map(|(text, _)| text).unwrap_err();
    assert!(matches!(error, SqlError::Timeout { timeout_ms: 50 }), "{error}");
}

#[tokio::test]
async fn a_table_that_pads_too_much_is_refused() {
    let fixture = fixture().await;
    let options = SqlOptions { max_answer_bytes: 300_000, ..SqlOptions::default() };
    let engine = engine_with(&fixture, options);
    let statement = "select case when body like 'Payment%' then repeat(body, 400) else body end as b from logs";
    assert!(engine.run(&TenantId::default(), statement, Format::Csv).await.is_ok());
    let error = engine.run(&TenantId::default(), statement, Format::Table).await.map(|answer| answer.text).unwrap_err();
    assert!(error.to_string().contains("sql.max_answer_bytes"), "{error}");
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
