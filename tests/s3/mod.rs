//! The whole path with its tables in an S3 bucket: what was acknowledged is there exactly once (G1, G2), whatever the bucket
//! does meanwhile, and answers say when they lack something (G6).

mod bucket;
mod proxy;

use std::process::Command;
use std::time::{Duration, Instant};

use daymark_tests::{Acknowledged, Client, Program, Role, System, SystemOptions, binary, free_address};
use serde_json::{Value, json};

use crate::tables::metrics_are_held;
use bucket::{Bucket, SECRET, environment};
use proxy::{Faults, Moment, Proxy};

fn arguments(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Seals and merges all the time.
fn busy(proxy: &Proxy) -> SystemOptions {
    SystemOptions {
        seal_interval_ms: Some(300),
        env: environment(proxy.address),
        arguments: arguments(&["--compact-interval-ms", "300", "--splice-bytes", "0", "--self-telemetry", "false"]),
        ..SystemOptions::default()
    }
}

async fn send(client: &mut Client, rounds: usize) {
    for _ in 0..rounds {
        let (spans, logs) = (client.spans(40), client.logs(40));
        client.send(&spans).await;
        client.send(&logs).await;
    }
}

/// The bucket holds what was acknowledged, once, as an independent reader counts it.
fn holds(bucket: &Bucket, tenant: &str, sent: Acknowledged) {
    let expected = json!({
        "spans": [sent.spans, sent.spans], "logs": [sent.logs, sent.logs], "traced": sent.spans,
    });
    assert_eq!(bucket.counted(tenant), expected);
}

/// The number of log records that an answer counts, and its receipt.
async fn logs_of(system: &System) -> (u64, Value) {
    let mut answer = system.ask().raw("/api/v1/logs?limit=0").await;
    // Just started: the routes may come a moment after the readiness.
    while answer.0 == 503 && answer.1.contains("starting") {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = system.ask().raw("/api/v1/logs?limit=0").await;
    }
    assert_eq!(answer.0, 200, "{}", answer.1);
    let answer: Value = serde_json::from_str(&answer.1).unwrap();
    (answer["matched"].as_u64().unwrap(), answer["receipt"].clone())
}

async fn metric(base: &str, name: &str) -> u64 {
    let text = reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn acknowledged_data_is_in_the_bucket_exactly_once_whatever_happens_to_commits() {
    let bucket = Bucket::start().await;
    let proxy = Proxy::start(bucket.address, 7).await;
    let mut system = System::start(busy(&proxy));
    let mut client = Client::new(system.otlp_http(), 7);
    proxy.set(Faults { latency_ms: 10, slow_down: 40, lost_answer: 30 });
    let moments = [Moment::Before, Moment::After, Moment::Late];
    for moment in moments.into_iter().chain(moments) {
        let reached = proxy.stop_commit(moment);
        let killing = async {
            tokio::time::timeout(Duration::from_secs(30), reached).await.expect("a commit comes").unwrap();
            system.kill(Role::Up);
            system.start_role(Role::Up);
        };
        tokio::join!(send(&mut client, 6), killing);
    }
    let sent = client.acknowledged;
    let started = Instant::now();
    loop {
        let (logs, receipt) = logs_of(&system).await;
        if receipt["complete"] == true {
            assert_eq!(logs, sent.logs);
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{receipt}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    proxy.set(Faults::default());
    let said = system.output(Role::Up);
    assert!(!said.contains(SECRET), "a secret is in the log:\n{said}");
    system.stop();
    holds(&bucket, "default", sent);
}

/// Scenario: two collectors share a bucket; one of them was restarted. Guarantee: tables in a bucket are held against the
/// ledger of the collector that writes them, metrics included, and sound ones have no finding.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_in_a_bucket_verify_against_the_ledger_of_their_collector() {
    let bucket = Bucket::start().await;
    let proxy = Proxy::start(bucket.address, 6).await;
    let mut system = System::start(busy(&proxy));
    let mut client = Client::new(system.otlp_http(), 6);
    send(&mut client, 2).await;
    let points = client.points(40);
    client.send(&points).await;
    // Published, so that nothing of it is replayed.
    tokio::time::sleep(Duration::from_secs(2)).await;
    system.kill(Role::Up);
    system.start_role(Role::Up);
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "acme acme-key\n").unwrap();
    let other = System::start(SystemOptions { key_file: Some(keys.path().to_owned()), ..busy(&proxy) });
    send(&mut Client::new(other.otlp_http(), 5).with_key("acme-key"), 3).await;
    let before = client.acknowledged;
    for _ in 0..4 {
        send(&mut client, 1).await;
        let points = client.points(40);
        client.send(&points).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    system.ask().ledger_balances().await;
    let verify = || {
        let mut command = Command::new(binary("daymark"));
        command.envs(environment(proxy.address)).args(["store", "verify", "--collector", &system.otlp_http()]);
        let output = command.arg("--data-dir").arg(system.data_dir()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = tokio::task::block_in_place(verify);
    assert_eq!(code, Some(0), "{said}");
    let all = client.acknowledged;
    let since = Acknowledged {
        spans: all.spans - before.spans,
        logs: all.logs - before.logs,
        points: all.points - before.points,
    };
    let logs = format!("logs: the {} rows that came since the collector's start are those", since.logs);
    assert!(said.contains(&logs) && said.contains("acme/spans: version"), "{logs}\n{said}");
    metrics_are_held(&said, since);
    system.stop();
    other.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_bucket_is_away_data_is_taken_and_answers_are_partial_and_then_all_is_there() {
    let bucket = Bucket::start().await;
    let proxy = Proxy::start(bucket.address, 8).await;
    let mut system = System::start(busy(&proxy));
    let mut client = Client::new(system.otlp_http(), 8);
    send(&mut client, 4).await;
    proxy.away(true);
    send(&mut client, 10).await;
    let (_, receipt) = logs_of(&system).await;
    assert_eq!(receipt["complete"], false, "{receipt}");
    assert!(receipt["missing"][0].as_str().unwrap().contains("rows of logs published after version"), "{receipt}");
    assert!(system.all_alive());
    proxy.away(false);
    let started = Instant::now();
    loop {
        let (logs, receipt) = logs_of(&system).await;
        if receipt["complete"] == true && logs == client.acknowledged.logs {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{logs} of {:?}: {receipt}", client.acknowledged);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    system.stop();
    holds(&bucket, "default", client.acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_query_service_on_another_machine_reads_the_bucket_and_keeps_what_it_read() {
    let bucket = Bucket::start().await;
    let proxy = Proxy::start(bucket.address, 9).await;
    let system = System::start(SystemOptions { apart: true, ..busy(&proxy) });
    let mut client = Client::new(system.otlp_http(), 9);
    send(&mut client, 10).await;
    // Its data directory shares only the key that the operator has copied.
    let (elsewhere, http) = (tempfile::tempdir().unwrap(), free_address());
    std::fs::copy(system.data_dir().join("internal.key"), elsewhere.path().join("internal.key")).unwrap();
    let start = || {
        let mut command = Command::new(binary("daymark"));
        command.envs(environment(proxy.address)).args(["query", "--self-telemetry", "false"]);
        command.args(["--data-dir", elsewhere.path().to_str().unwrap(), "--http", &http.to_string()]);
        command.args(["--collector", &system.collector_http()]);
        Program::start("query elsewhere", command, elsewhere.path().join("query.log"))
    };
    let base = format!("http://{http}");
    let count = async || {
        let started = Instant::now();
        loop {
            // A word makes it read the text index and the bodies, not only statistics.
            if let Ok(answer) = reqwest::get(format!("{base}/api/v1/logs?limit=0&query=order")).await {
                let answer: Value = answer.json().await.unwrap();
                if answer["matched"] == client.acknowledged.logs && answer["receipt"]["segments_read"] != 0 {
                    assert_eq!(answer["receipt"]["complete"], true, "{answer}");
                    return;
                }
                assert!(started.elapsed() < Duration::from_secs(30), "{answer}");
            }
            assert!(started.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let program = start();
    tokio::time::sleep(Duration::from_secs(2)).await;
    count().await;
    assert!(metric(&base, "daymark_cache_fetches_total ").await > 0);
    program.stop();
    let program = start();
    count().await;
    assert!(metric(&base, "daymark_cache_hits_total ").await > 0, "the cache survives a restart");
    program.stop();
    system.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_collectors_share_a_bucket_and_neither_touches_the_tenants_of_the_other() {
    let bucket = Bucket::start().await;
    let proxy = Proxy::start(bucket.address, 10).await;
    let mut first = System::start(busy(&proxy));
    let mut of_first = Client::new(first.otlp_http(), 10);
    send(&mut of_first, 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "acme acme-key\ndefault default-key\n").unwrap();
    let second = System::start(SystemOptions { key_file: Some(keys.path().to_owned()), ..busy(&proxy) });
    let mut of_second = Client::new(second.otlp_http(), 11).with_key("acme-key");
    proxy.set(Faults { latency_ms: 5, slow_down: 20, lost_answer: 20 });
    tokio::join!(send(&mut of_first, 12), send(&mut of_second, 12));
    // What belongs to the first one is not taken by the second, and not lost: the sender is told to come again.
    let mut stray = Client::new(second.otlp_http(), 12).with_key("default-key");
    let request = stray.logs(1);
    assert!(!stray.send_once(&request).await);
    proxy.set(Faults::default());
    assert!(first.all_alive());
    first.stop();
    second.stop();
    holds(&bucket, "default", of_first.acknowledged);
    holds(&bucket, "acme", of_second.acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_used_is_told_at_start_without_secrets() {
    let check = |store: &str, endpoint: &str, expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(binary("daymark"))
            .args(["collector", "--s3-retries", "0", "--data-dir", dir.path().to_str().unwrap()])
            .args(["--otlp-grpc", &free_address().to_string(), "--otlp-http", &free_address().to_string()])
            .args(["--store", store, "--s3-endpoint", endpoint, "--self-telemetry", "false"])
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{store}: {said}");
        assert!(!said.contains(SECRET), "{said}");
    };
    let nobody = format!("http://{}", free_address());
    check("s3://telemetry/eu", &nobody, "check the address, --s3-endpoint, --s3-region and the AWS_* credentials");
    check(&format!("s3://me:{SECRET}@telemetry"), &nobody, "credentials do not belong in the address");
    let bucket = Bucket::start().await;
    let there = format!("http://{}", bucket.address);
    tokio::task::block_in_place(|| check("s3://no-such-bucket/eu", &there, "store s3://no-such-bucket/eu"));
}
