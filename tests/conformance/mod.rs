//! Interoperation: the official OpenTelemetry SDK writes, independent Delta Lake readers read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use daymark_tests::{Ask, Client, System, SystemOptions, workspace_root};
use serde_json::{Value, json};

fn python(script: &str, arguments: &[String]) -> Value {
    let folder: PathBuf = workspace_root().join("tests/python");
    let program = folder.join(".venv/bin/python");
    assert!(program.exists(), "{} is missing: run `make test`, which installs it", program.display());
    let output =
        Command::new(program).arg(folder.join(script)).args(arguments).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_sdk_gets_back_exactly_what_it_sent() {
    let system = System::start(SystemOptions::default());
    let truth = python("send.py", &[system.otlp_grpc().to_string(), system.otlp_http()]);
    let ask = system.ask();
    for service in ["truth-grpc", "truth-http"] {
        spans_are_exact(&ask, service, &truth[service]["spans"]).await;
        logs_are_exact(&ask, service, &truth[service]["logs"]).await;
        metrics_are_exact(&ask, service, &truth[service]["metrics"]).await;
        quantiles_are_close(&ask, service, &truth[service]).await;
    }
    ask.ledger_balances().await;
    system.stop();
}

async fn spans_are_exact(ask: &Ask, service: &str, sent: &Value) {
    let stored = ask
        .sql(&format!(
            "select trace_id, span_id, name, start_time_unix_nano, duration_ns, status, attributes['whole'], \
             attributes['real'], attribute_types from spans where service_name = '{service}' order by span_id"
        ))
        .await;
    let mut sent: Vec<&Value> = sent.as_array().unwrap().iter().collect();
    sent.sort_by_key(|span| span["span_id"].as_str());
    assert_eq!(stored.len(), sent.len());
    for (row, span) in stored.iter().zip(sent) {
        assert_eq!((&row[0], &row[1], &row[2]), (&span["trace_id"], &span["span_id"], &span["name"]));
        assert_eq!(text(&row[3]), text(&span["start"]));
        assert_eq!(text(&row[4]), text(&span["duration"]));
        assert_eq!(row[5] == "error", span["error"] == true, "{row:?}");
        assert_eq!(text(&row[6]), text(&span["whole"]));
        let real: f64 = row[7].as_str().unwrap().parse().unwrap();
        assert_eq!(real.to_bits(), span["real"].as_f64().unwrap().to_bits(), "a double survives bit for bit");
        let mut types: Vec<char> = row[8].as_str().unwrap().chars().collect();
        types.sort_unstable();
        assert_eq!(types, ['b', 'd', 'i', 'j', 's'], "every attribute keeps its OTLP type");
    }
}

async fn logs_are_exact(ask: &Ask, service: &str, sent: &Value) {
    let stored = ask
        .sql(&format!(
            "select time_unix_nano, severity, body, attributes['order'] from logs where service_name = '{service}' \
             order by time_unix_nano"
        ))
        .await;
    let sent = sent.as_array().unwrap();
    assert_eq!(stored.len(), sent.len());
    for (row, log) in stored.iter().zip(sent) {
        assert_eq!(text(&row[0]), text(&log["time"]));
        assert_eq!((&row[1], &row[2]), (&log["severity"], &log["body"]));
        assert_eq!(text(&row[3]), text(&log["order"]));
    }
}

async fn range(ask: &Ask, query: &str) -> Value {
    ask.get(&format!("/api/v1/metrics/range?{query}&step=600")).await
}

/// All points of one series added up.
fn total(series: &Value) -> f64 {
    series["points"].as_array().unwrap().iter().filter_map(|point| point[1].as_f64()).sum()
}

async fn metrics_are_exact(ask: &Ask, service: &str, sent: &Value) {
    let orders = range(ask, &format!("metric=truth.orders&service={service}&fn=increase&group_by=shop")).await;
    let series = orders["series"].as_array().unwrap();
    assert_eq!(series.len(), 2, "{orders}");
    for one in series {
        let shop = one["labels"]["shop"].as_str().unwrap();
        assert_eq!(total(one), sent["orders"][shop].as_f64().unwrap(), "counter of {shop}: {orders}");
    }
    let depth = range(ask, &format!("metric=truth.depth&service={service}&fn=last")).await;
    let last = depth["series"][0]["points"].as_array().unwrap().iter().filter_map(|p| p[1].as_f64()).next_back();
    assert_eq!(last, sent["depth"].as_f64(), "gauge: {depth}");

    let buckets = ask
        .sql(&format!(
            "select hist_buckets(hist) from metrics_10s where metric = 'truth.size' and service_name = '{service}' \
             order by last_time_unix_nano desc limit 1"
        ))
        .await;
    let newest: Value = serde_json::from_str(buckets[0][0].as_str().unwrap()).unwrap();
    assert_eq!(newest["counts"], sent["buckets"], "bucket counts");
}

/// Span durations come from HDR histograms (0.4 %), sizes from explicit buckets (the bucket that holds the truth).
async fn quantiles_are_close(ask: &Ask, service: &str, sent: &Value) {
    for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let answer = range(ask, &format!("metric=traces.span.metrics.duration&service={service}&fn={name}")).await;
        let mut durations: Vec<u64> =
            sent["spans"].as_array().unwrap().iter().map(|span| span["duration"].as_u64().unwrap()).collect();
        durations.sort_unstable();
        let exact = durations[(q * durations.len() as f64).ceil() as usize - 1] as f64;
        let got = only_value(&answer);
        assert!((got - exact).abs() / exact <= 0.004, "{name}: {got} for {exact}");

        let answer = range(ask, &format!("metric=truth.size&service={service}&fn={name}")).await;
        let values = sent["metrics"]["values"].as_array().unwrap();
        let exact = values[(q * values.len() as f64).ceil() as usize - 1].as_f64().unwrap();
        let bounds: Vec<f64> = sent["metrics"]["bounds"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        let bucket = |value: f64| bounds.partition_point(|bound| *bound < value);
        assert_eq!(bucket(only_value(&answer)), bucket(exact), "{name}: {answer}");
        assert_eq!(answer["series"][0]["bucket_bound"], "explicit", "labelled as bounded by its buckets: {answer}");
    }
}

fn only_value(answer: &Value) -> f64 {
    let points = answer["series"][0]["points"].as_array().unwrap();
    let values: Vec<f64> = points.iter().filter_map(|point| point[1].as_f64()).collect();
    assert_eq!(values.len(), 1, "all data lies in one step, or the test ran over a boundary: {answer}");
    values[0]
}

fn text(cell: &Value) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltalake_polars_and_duckdb_read_all_tables_while_we_write_and_compact() {
    let arguments = ["--compact-interval-ms", "300", "--splice-bytes", "4096"].map(str::to_owned).into();
    let system = System::start(SystemOptions { seal_interval_ms: Some(500), arguments, ..SystemOptions::default() });
    let mut client = Client::new(system.otlp_http(), 11);
    let tenant_dir = system.data_dir().join("tables/default");
    let load = tokio::spawn(async move {
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_secs(12) {
            let (spans, logs) = (client.spans(200), client.logs(200));
            client.send(&spans).await;
            client.send(&logs).await;
        }
        client
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    let arguments = [tenant_dir.display().to_string()];
    for _ in 0..2 {
        let counts = tokio::task::block_in_place(|| python("read_tables.py", &arguments));
        for table in ["spans", "logs", "metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d", "series"] {
            let read = &counts[table];
            assert!(read["polars"].as_u64().unwrap_or(0) > 0, "{table}: {counts}");
            assert_eq!(read["polars"], read["deltalake"], "{table}: {counts}");
            assert_eq!(read["duckdb"], read["deltalake"], "{table}: {counts}");
            assert_eq!(read["duckdb_null_offsets"], 0, "{table}: {counts}");
        }
    }
    let client = load.await.unwrap();
    // After the last seal all readers find everything that was acknowledged.
    let expected = client.acknowledged;
    let started = std::time::Instant::now();
    loop {
        let counts = tokio::task::block_in_place(|| python("read_tables.py", &arguments));
        let (spans, logs) = (&counts["spans"], &counts["logs"]);
        if spans["polars"] == expected.spans && logs["deltalake"] == expected.logs {
            assert_eq!((&spans["duckdb"], &logs["duckdb"]), (&spans["polars"], &logs["polars"]), "{counts}");
            assert!(counts["traces"]["polars"].as_u64().unwrap() > 0, "{counts}");
            let of = |table: &Value, column: &str| table["attributes"][column].clone();
            let rows = |value: &Value| value["polars"].as_u64().unwrap();
            assert_eq!(of(spans, "attr_string:http.route"), json!(vec![rows(spans); 3]), "{counts}");
            // Of 200 records of a request 66 have this number of items.
            assert_eq!(of(logs, "attr_int:order.items"), json!(vec![rows(logs) / 200 * 66; 3]), "{counts}");
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(40), "{counts}, expected {expected:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(merged(&tenant_dir.join("logs")) > 0, "segments were merged meanwhile");
    system.ask().ledger_balances().await;
    system.stop();
}

/// Commits of the table that took segments out.
fn merged(table: &Path) -> usize {
    let commits = std::fs::read_dir(table.join("_delta_log")).unwrap().map(|entry| entry.unwrap().path());
    let commits = commits.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    commits.filter(|path| std::fs::read_to_string(path).unwrap().contains("\"remove\":{")).count()
}
