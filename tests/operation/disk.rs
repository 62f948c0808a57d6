//! What the disk is used for, as operators see it.

use std::process::Command;
use std::time::{Duration, Instant};

use daymark_tests::{Client, System, SystemOptions, binary};
use serde_json::Value;

/// Guarantee: the API, the command line and `/metrics` tell the same tables, with growth and room left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tables_take_is_told_by_the_api_the_command_line_and_metrics() {
    let arguments = ["--self-telemetry", "false"].map(str::to_owned).into();
    let system = System::start(SystemOptions { seal_interval_ms: Some(200), arguments, ..SystemOptions::default() });
    let mut client = Client::new(system.otlp_http(), 41);
    let (spans, logs) = (client.spans(300), client.logs(300));
    client.send(&spans).await;
    client.send(&logs).await;
    let rows = |answer: &Value, table: &str| {
        let tables = answer["tables"].as_array().unwrap();
        tables.iter().find(|one| one["table"] == table).map_or(0, |one| one["rows"].as_u64().unwrap())
    };
    let begun = Instant::now();
    let told = loop {
        let told = system.ask().get("/api/v1/storage").await;
        if rows(&told, "spans") == 300 && rows(&told, "logs") == 300 {
            break told;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(told["receipt"]["complete"], true);
    assert!(told["disk"]["free_bytes"].as_u64().unwrap() > 0, "{told}");
    let logs = told["tables"].as_array().unwrap().iter().find(|table| table["table"] == "logs").unwrap();
    assert!(logs["index_bytes"].as_u64().unwrap() > 0 && logs["bytes_per_hour"].as_u64().unwrap() > 0, "{logs}");
    assert_eq!(logs["kept_hours"], 168);

    let data_dir = system.data_dir();
    let usage = |more: &[&str]| {
        let data_dir = data_dir.to_str().unwrap();
        let output = Command::new(binary("daymark"))
            .args(["store", "usage", "--data-dir", data_dir])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let shown: Value = serde_json::from_str(&usage(&["--json"])).unwrap();
    assert_eq!((rows(&shown, "spans"), rows(&shown, "logs")), (300, 300));
    assert!(usage(&[]).contains("bytes in these tables"));

    let (status, metrics) = system.ask().raw("/metrics").await;
    assert_eq!(status, 200);
    for name in ["daymark_table_bytes{table=\"spans\"}", "daymark_log_durable_offset", "daymark_disk_free_bytes"] {
        assert!(metrics.contains(name), "{name} in\n{metrics}");
    }
    system.stop();
}

/// Guarantee: no start with options that would take files from under a running query.
#[test]
fn files_are_kept_longer_than_a_query_takes() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.arg("60s").arg(binary("daymark")).arg("up").arg("--data-dir").arg(dir.path());
    command.args(["--keep-removed-s", "60", "--query-timeout-ms", "60000"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--keep-removed-s 60 is not longer than --query-timeout-ms 60000"), "{said}");
}
