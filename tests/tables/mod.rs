//! `daymark store` against real tables, beside the process that writes them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use daymark_guard::fault::Fault;
use daymark_tests::{Acknowledged, Client, System, SystemOptions, binary};
use serde_json::Value;

/// Exit code and what was printed, errors last.
fn store(data_dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(binary("daymark")).arg("store").args(arguments).arg("--data-dir").arg(data_dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn options() -> SystemOptions {
    let arguments = ["--compact-interval-ms", "300", "--self-telemetry", "false"].map(str::to_owned).into();
    SystemOptions { seal_interval_ms: Some(300), arguments, ..SystemOptions::default() }
}

/// Scenario: tables are checked while they are written and compacted, after a stop, and after one bit has flipped.
/// Guarantees: sound tables have no finding, also in the middle of it; the bit's file is named; a folder without tables
/// is wrong usage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_verify_beside_their_writer_and_damage_is_named() {
    let mut system = System::start(options());
    let mut client = Client::new(system.otlp_http(), 51);
    let data_dir = system.data_dir();
    for round in 0..6 {
        let (spans, logs, points) = (client.spans(100), client.logs(100), client.points(40));
        for request in [spans, logs, points] {
            client.send(&request).await;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        if round % 2 == 1 {
            let (code, said) = tokio::task::block_in_place(|| store(&data_dir, &["verify"]));
            assert_eq!(code, Some(0), "{said}");
            assert!(said.contains("default/logs: version ") && !said.contains("DAMAGE"), "{said}");
        }
    }
    let sent = client.acknowledged;
    system.ask().sql_count_becomes("select count(*) from logs", sent.logs, Duration::from_secs(20)).await;
    let (code, said) = store(&data_dir, &["log", "--table", "logs"]);
    assert!(code == Some(0) && said.contains("default/logs version 0 at 20"), "{said}");
    system.ask().ledger_balances().await;
    let collector = system.otlp_http();
    let (code, said) = tokio::task::block_in_place(|| store(&data_dir, &["verify", "--collector", &collector]));
    let those =
        |table: &str, rows: u64| format!("{table}: the {rows} rows that came since the collector's start are those");
    assert!(code == Some(0) && said.contains(&those("spans", sent.spans)), "{said}");
    assert!(said.contains(&those("logs", sent.logs)), "{said}");
    metrics_are_held(&said, sent);
    system.stop_role(daymark_tests::Role::Up);

    let (code, said) = store(&data_dir, &["verify", "--json"]);
    let report: Value = serde_json::from_str(&said).expect(&said);
    assert_eq!((code, &report["sound"]), (Some(0), &Value::Bool(true)), "{said}");
    let rows = |name: &str| {
        let tables = report["tables"].as_array().unwrap();
        tables.iter().find(|table| table["table"] == format!("default/{name}")).unwrap()["rows"].as_u64()
    };
    assert_eq!((rows("spans"), rows("logs")), (Some(sent.spans), Some(sent.logs)), "{said}");

    let folder = data_dir.join("tables/default/spans");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    // The newest is live.
    let file = files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).max().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let (code, said) = store(&data_dir, &["verify", "--table", "spans"]);
    let name = format!("default/spans/{}", file.file_name().unwrap().to_string_lossy());
    assert!(code == Some(1) && said.contains(&format!("DAMAGE {name} at byte 0")), "{said}");
    let (code, said) = store(&data_dir.join("nowhere"), &["verify"]);
    assert!(code == Some(2) && said.contains("holds no tables"), "{said}");
    assert!(!data_dir.join("nowhere").exists());
}

/// Of 40 points each, ten are gauges, ten deltas, ten running totals, and ten histograms of three values. Spans come with
/// one value each, and so do log records that are events.
pub(super) fn metrics_are_held(said: &str, sent: Acknowledged) {
    let (values, totals) = (sent.points / 4 * 5 + sent.spans, sent.points / 4);
    for table in ["metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d"] {
        let line = format!(
            "{table}: of what came since the collector's start, replays included, {values} values and {totals} running totals are \
             there"
        );
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert!(said.contains("data points that the ledger has stored since the collector's start were applied"), "{said}");
}

/// Scenario: metric windows are folded twice, as a mistake in the rollups would. Guarantee: the tables are told not to be
/// what the ledger has stored, table by table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_points_that_are_there_twice_are_damage() {
    let fault = ("DAYMARK_FAULT".to_owned(), Fault::MergeRollupTwice.name().to_owned());
    let system = System::start(SystemOptions { env: vec![fault], ..options() });
    let mut client = Client::new(system.otlp_http(), 53);
    let points = client.points(40);
    client.send(&points).await;
    let (collector, data_dir) = (system.otlp_http(), system.data_dir());
    let (code, said) = tokio::task::block_in_place(|| store(&data_dir, &["verify", "--collector", &collector]));
    assert_eq!(code, Some(1), "{said}");
    for table in ["metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d"] {
        let line = format!("DAMAGE default/{table}: holds 50 values more than the collector gave it since its start");
        assert!(said.contains(&line), "{line}\n{said}");
    }
    system.stop();
}

/// Scenario: one service's rows are deleted while the collector runs, some of them not yet published.
/// Guarantees: none of them is found any more, also after a restart; all others are there; the tables verify, and what is
/// missing of what the ledger has stored is not taken for a loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_deleted_beside_a_running_collector() {
    let mut system = System::start(options());
    let mut client = Client::new(system.otlp_http(), 52);
    for _ in 0..4 {
        let (spans, logs) = (client.spans(100), client.logs(50));
        client.send(&spans).await;
        client.send(&logs).await;
    }
    let (collector, data_dir) = (system.otlp_http(), system.data_dir());
    let count = async |system: &System, table: &str, which: &str| {
        let query = format!("select count(*) from {table} where service_name {which} 'payment'");
        system.ask().sql_count(&query).await
    };
    let sent = client.acknowledged;
    system.ask().sql_count_becomes("select count(*) from spans", sent.spans, Duration::from_secs(20)).await;
    system.ask().sql_count_becomes("select count(*) from logs", sent.logs, Duration::from_secs(20)).await;
    let others = (count(&system, "spans", "<>").await, count(&system, "logs", "<>").await);
    let arguments =
        ["delete", "--tenant", "default", "--where", "service_name=payment", "--collector", collector.as_str()];
    let (code, said) = tokio::task::block_in_place(|| store(&data_dir, &arguments));
    assert_eq!(code, Some(0), "{said}");
    let deleted = format!("default/spans: {} rows deleted", sent.spans - others.0);
    assert!(said.contains(&deleted) && said.contains("older versions"), "{said}");
    let (code, said) = tokio::task::block_in_place(|| store(&data_dir, &["verify", "--collector", &collector]));
    assert!(code == Some(0) && said.contains("`daymark store delete` took rows away meanwhile"), "{said}");
    for restarted in [false, true] {
        if restarted {
            system.kill(daymark_tests::Role::Up);
            system.start_role(daymark_tests::Role::Up);
        }
        assert_eq!((count(&system, "spans", "=").await, count(&system, "logs", "=").await), (0, 0));
        assert_eq!((count(&system, "spans", "<>").await, count(&system, "logs", "<>").await), others);
    }
    let (code, said) = tokio::task::block_in_place(|| store(&data_dir, &["verify"]));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = store(&data_dir, &["delete", "--tenant", "default"]);
    assert!(code == Some(2) && said.contains("--where"), "{said}");
    system.stop();
}
