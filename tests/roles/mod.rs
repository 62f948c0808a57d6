//! The same path with all roles in one process and with each in its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use daymark_tests::{Client, System, SystemOptions, workspace_root};

async fn the_whole_path_works(apart: bool) {
    let definitions = Some(workspace_root().join("demo/definitions"));
    let system = System::start(SystemOptions { apart, definitions, ..SystemOptions::default() });
    let ask = system.ask();
    let mut client = Client::new(system.otlp_http(), 7);
    for _ in 0..4 {
        let (spans, logs) = (client.spans(500), client.logs(500));
        client.send(&spans).await;
        client.send(&logs).await;
    }

    // Queryable within 2 s of the acknowledgement.
    ask.sql_count_becomes("select count(*) from spans", 2_000, Duration::from_secs(2)).await;
    ask.sql_count_becomes("select count(*) from logs", 2_000, Duration::from_secs(2)).await;

    let found = ask.get("/api/v1/traces?service=payment&limit=5").await;
    let trace_id = found["traces"][0]["trace_id"].as_str().expect("a trace with payment").to_owned();
    let trace = ask.get(&format!("/api/v1/traces/{trace_id}")).await;
    assert_eq!(trace["spans"].as_array().unwrap().len(), 5, "{trace}");
    let logs = ask.get("/api/v1/logs?query=accepted&limit=3").await;
    assert_eq!(logs["logs"].as_array().unwrap().len(), 3, "{logs}");
    let rate = ask.get("/api/v1/metrics/range?metric=traces.span.metrics.duration&fn=count&step=10").await;
    let counted: f64 = rate["series"][0]["points"].as_array().unwrap().iter().filter_map(|p| p[1].as_f64()).sum();
    assert!((counted - 2_000.0).abs() < 1e-6, "{rate}");
    let slos = ask.get("/api/v1/slos").await;
    assert!(!slos["slos"].as_array().unwrap().is_empty(), "{slos}");
    let dashboards = ask.get("/api/v1/dashboards").await;
    assert!(!dashboards["dashboards"].as_array().unwrap().is_empty(), "{dashboards}");
    ask.ledger_balances().await;
    system.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_path_works_in_one_process() {
    the_whole_path_works(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_path_works_with_each_role_apart() {
    the_whole_path_works(true).await;
}

/// Own telemetry is read by tenant `daymark`, with the key in the data directory.
async fn daymark_watches_itself(apart: bool, services: &[&str]) {
    let definitions = Some(workspace_root().join("demo/definitions"));
    let env = vec![("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), "1000".to_owned())];
    let system = System::start(SystemOptions { apart, definitions, env, ..SystemOptions::default() });
    let key = std::fs::read_to_string(system.data_dir().join("telemetry.key")).unwrap();
    let own = system.ask().with_key(&key);
    let expected: BTreeSet<String> = services.iter().map(|service| (*service).to_owned()).collect();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let rows = own.sql("select distinct service_name from logs").await;
        let logging: BTreeSet<String> = rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect();
        let metrics = own.get("/api/v1/metrics").await.to_string();
        if logging == expected && metrics.contains("daymark.ledger.items") {
            break;
        }
        assert!(Instant::now() < deadline, "{logging:?} of {expected:?} log; metrics {metrics}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let users = system.ask().sql_count("select count(*) from logs").await;
    assert_eq!(users, 0, "own telemetry is not among the users'");
    system.ask().ledger_balances().await;
    system.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daymark_watches_itself_in_one_process() {
    daymark_watches_itself(false, &["daymark"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daymark_watches_itself_with_each_role_apart() {
    let services = ["daymark-agent", "daymark-alerts", "daymark-collector", "daymark-query"];
    daymark_watches_itself(true, &services).await;
}
