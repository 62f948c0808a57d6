//! Data of earlier versions: today's is kept as a fixture, so that every later version proves that it can open it.
//!
//! `data-v1.tar.gz` is the data directory of a process that was killed: some rows in tables, some only in the ingest
//! log, agent identity, remembered requests and the alerts' journal. Log segments are files of 64 MiB, nearly all of it
//! zeros; the archive keeps those as holes, so that it is small and every byte is as the program left it. A change of
//! any format adds a fixture of its own beside this one, made with
//! `DAYMARK_WRITE_FIXTURE=1 cargo test -p daymark-tests --test e2e a_fixture_of_today`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use daymark_tests::{Client, Role, System, SystemOptions, binary, free_address, workspace_root};
use tempfile::TempDir;

/// In tables.
const SEALED: u64 = 60;
/// In the log alone.
const UNSEALED: u64 = 25;
const SPANS: u64 = SEALED + UNSEALED;
const SPANS_PER_TRACE: u64 = 5;
/// The first seed of a fixture's client.
const SEED: u64 = 41;
const MAX_BYTES: u64 = 128 << 10;

fn archive() -> PathBuf {
    workspace_root().join("tests/upgrade/data-v1.tar.gz")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The fixture, unpacked to be used up.
fn unpack() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("tar").arg("-xzf").arg(archive()).arg("-C").arg(dir.path()));
    dir
}

fn options(data_dir: &Path, seal_interval_ms: u64) -> SystemOptions {
    // The fixture grows old; its rows must not be dropped for that.
    let arguments = ["--retention-days", "36500", "--self-telemetry", "false"].map(str::to_owned).to_vec();
    SystemOptions {
        data_dir: Some(data_dir.to_owned()),
        seal_interval_ms: Some(seal_interval_ms),
        arguments,
        ..SystemOptions::default()
    }
}

async fn everything_is_there(system: &System, spans: u64, logs: u64) {
    let ask = system.ask();
    assert_eq!(ask.sql_count("select count(*) from spans").await, spans, "spans");
    assert_eq!(ask.sql_count("select count(distinct span_id) from spans").await, spans, "distinct spans");
    assert_eq!(ask.sql_count("select count(*) from logs").await, logs, "logs");
    assert_eq!(ask.sql_count("select count(distinct body) from logs").await, logs, "distinct logs");
    assert_eq!(ask.sql_count("select count(*) from traces").await, spans / SPANS_PER_TRACE, "traces");
    assert_eq!(ask.sql_count("select sum(span_count) from traces").await, spans, "spans in traces");
    for table in ["metrics_10s", "metrics_1m"] {
        let derived = format!("select sum(count) from {table} where metric = 'traces.span.metrics.duration'");
        assert_eq!(ask.sql_count(&derived).await, spans, "spans counted in {table}");
    }
    let ends = ask
        .sql("select min(start_time_unix_nano) / 1000000000, max(start_time_unix_nano) / 1000000000 from spans")
        .await;
    let second = |at: usize| ends[0][at].to_string().trim_matches('"').parse::<u64>().unwrap();
    let question = format!(
        "/api/v1/metrics/range?metric=traces.span.metrics.duration&fn=count&step=60&group_by=service&start={}&end={}",
        second(0) - 3_600,
        second(1) + 3_600
    );
    let answer = ask.get(&question).await;
    let lines = answer["series"].as_array().unwrap().iter().flat_map(|line| line["points"].as_array().unwrap());
    let counted: f64 = lines.filter_map(|point| point[1].as_f64()).sum();
    assert_eq!(counted as u64, spans, "spans counted by the metric: {answer}");
    let found = ask.sql("select count(*) from logs where match(body, 'accepted')").await;
    assert_eq!(found[0][0].to_string().trim_matches('"'), logs.to_string(), "found by the text index");
    for row in ask.sql("select trace_id from traces").await {
        let trace = ask.get(&format!("/api/v1/traces/{}", row[0].as_str().unwrap())).await;
        assert_eq!(trace["spans"].as_array().unwrap().len() as u64, SPANS_PER_TRACE, "{trace}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_version_1_is_complete_and_can_grow() {
    let size = std::fs::metadata(archive()).unwrap().len();
    assert!(size < MAX_BYTES, "the fixture has {size} bytes");
    let dir = unpack();
    let data_dir = dir.path().join("data");
    let mut system = System::start(options(&data_dir, 500));
    everything_is_there(&system, SPANS, SPANS).await;

    let mut client = Client::new(system.otlp_http(), SEED + 10);
    let (spans, logs) = (client.spans(15), client.logs(15));
    client.send(&spans).await;
    client.send(&logs).await;
    everything_is_there(&system, SPANS + 15, SPANS + 15).await;
    system.kill(Role::Up);
    system.start_role(Role::Up);
    everything_is_there(&system, SPANS + 15, SPANS + 15).await;
    system.ask().ledger_balances().await;
    system.stop();
}

/// `daymark up` on `data_dir`, which must refuse to start.
fn refused(data_dir: &Path) -> String {
    let mut command = Command::new("timeout");
    command.arg("60s").arg(binary("daymark")).arg("up").arg("--data-dir").arg(data_dir);
    for name in ["--otlp-grpc", "--otlp-http", "--http"] {
        command.args([name, &free_address().to_string()]);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

/// Every file below `dir` with its length and age, to see that nothing was touched.
fn listing(dir: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            found.extend(listing(&entry.path()));
        } else {
            found.push((entry.path(), meta.len(), meta.modified().unwrap()));
        }
    }
    found.sort();
    found
}

/// The message names the file, both versions and what to do, and the data is as it was.
fn named_and_untouched(dir: &Path, file: &Path, found: &str) {
    let (tables, log) = (dir.join("data/tables"), dir.join("data/log"));
    let before = (listing(&tables), listing(&log));
    let said = refused(&dir.join("data"));
    for part in [file.to_str().unwrap(), found, "reads", "version of daymark that wrote"] {
        assert!(said.to_lowercase().contains(&part.to_lowercase()), "the message does not say {part:?}: {said}");
    }
    assert!((listing(&tables), listing(&log)) == before, "a refused start changed the data");
}

#[test]
fn tables_of_an_unknown_version_are_refused_with_what_to_do() {
    let dir = unpack();
    let file = dir.path().join("data/tables/FORMAT");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("1"), "{text}");
    std::fs::write(&file, text.replace('1', "7")).unwrap();
    named_and_untouched(dir.path(), &file, "7");
}

#[test]
fn a_log_of_an_unknown_version_is_refused_with_what_to_do() {
    use std::io::{Seek, SeekFrom, Write};
    let dir = unpack();
    let segments = listing(&dir.path().join("data/log"));
    let newest = segments.iter().rev().find(|(path, ..)| path.extension().is_some_and(|e| e == "log"));
    let file = &newest.expect("a log segment").0;
    // docs/formats/log.md: the version is at byte 8 of both copies of the header.
    let mut segment = std::fs::File::options().write(true).open(file).unwrap();
    for copy in [0, 4096] {
        segment.seek(SeekFrom::Start(copy + 8)).unwrap();
        segment.write_all(&9_u32.to_le_bytes()).unwrap();
    }
    drop(segment);
    named_and_untouched(dir.path(), file, "9");
}

/// Segments of each table on disk.
fn sealed_tables(data_dir: &Path) -> usize {
    let tables = ["spans", "logs", "traces", "metrics_10s", "metrics_1m"];
    let has_segment = |table: &&&str| {
        let files = std::fs::read_dir(data_dir.join("tables/default").join(table));
        files.is_ok_and(|files| files.flatten().any(|file| file.path().extension().is_some_and(|e| e == "parquet")))
    };
    tables.iter().filter(has_segment).count()
}

/// With `DAYMARK_WRITE_FIXTURE` set, the archive replaces the committed one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixture_of_today_can_be_made_and_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    for (seed, items, seal_interval_ms) in [(SEED, SEALED, 500), (SEED + 1, UNSEALED, 3_600_000)] {
        let mut system = System::start(options(&data_dir, seal_interval_ms));
        let mut client = Client::new(system.otlp_http(), seed);
        let (spans, logs) = (client.spans(items), client.logs(items));
        client.send(&spans).await;
        client.send(&logs).await;
        let started = Instant::now();
        while sealed_tables(&data_dir) < 5 {
            assert!(started.elapsed() < Duration::from_secs(120), "not all tables were published within 120 s");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        system.kill(Role::Up);
    }
    for (file, ..) in listing(&data_dir.join("log")) {
        // Zeros for later, and a part of them when the kill came while they were written.
        if file.to_str().is_some_and(|file| file.contains(".spare")) {
            std::fs::remove_file(file).unwrap();
        }
    }
    let holes = dir.path().join("holes");
    std::fs::create_dir(&holes).unwrap();
    run(Command::new("cp").args(["-a", "--sparse=always"]).arg(&data_dir).arg(&holes));
    let mut tar = Command::new("tar");
    tar.args(["--sparse", "--owner=0", "--group=0", "--numeric-owner", "--sort=name"]);
    let made = dir.path().join("made.tar.gz");
    run(tar.arg("-czf").arg(&made).arg("-C").arg(&holes).arg("data"));
    let bytes = std::fs::metadata(&made).unwrap().len();
    assert!(bytes <= MAX_BYTES, "the archive of a small data directory has {bytes} bytes");
    if std::env::var_os("DAYMARK_WRITE_FIXTURE").is_some() {
        std::fs::copy(&made, archive()).unwrap();
        println!("{}: {bytes} bytes", archive().display());
    }
}
