//! Two tenants share one Daymark and never see each other's data, before and after it was published.

use std::time::Duration;

use daymark_tests::{Client, Role, System, SystemOptions};
use serde_json::Value;

const KEYS: [(&str, &str); 2] = [("red", "key-of-red-0123456789abcdef"), ("blue", "key-of-blue-0123456789abcde")];

async fn send(base: &str, key: &str, client: &mut Client, items: u64) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    for request in [client.spans(items), client.logs(items)] {
        let post = http.post(format!("{base}/v1/{}", request.signal)).header("content-type", "application/x-protobuf");
        let answer = post.bearer_auth(key).body(request.body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
}

/// Ids and bodies a tenant can get at, by SQL and by the API.
async fn seen(system: &System, key: &str) -> (Vec<String>, Vec<String>) {
    let ask = system.ask().with_key(key);
    let mut traces: Vec<String> = column(&ask.sql("select trace_id from traces").await);
    let mut bodies: Vec<String> = column(&ask.sql("select body from logs").await);
    let found = ask.get("/api/v1/traces?limit=1000").await;
    let mut by_api: Vec<String> = ids(&found["traces"], "trace_id");
    for list in [&mut traces, &mut bodies, &mut by_api] {
        list.sort();
    }
    assert_eq!(traces, by_api, "SQL and the search agree");
    let found = ask.get("/api/v1/logs?query=order&limit=1000").await;
    let mut by_api = ids(&found["logs"], "body");
    by_api.sort();
    assert_eq!(bodies, by_api, "SQL and the search agree");
    (traces, bodies)
}

fn column(rows: &[Vec<Value>]) -> Vec<String> {
    rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

fn ids(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

async fn refused_without_a_key(system: &System) {
    let (status, text) = system.ask().raw("/api/v1/logs").await;
    assert_eq!(status, 401, "{text}");
    let (status, text) = system.ask().with_key("key-of-nobody-0123456789abc").raw("/api/v1/logs").await;
    assert_eq!(status, 401, "{text}");
    let http = reqwest::Client::new();
    let post = http.post(format!("{}/v1/logs", system.otlp_http())).header("content-type", "application/x-protobuf");
    assert_eq!(post.body(Vec::new()).send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_never_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("keys");
    let lines: Vec<String> = KEYS.iter().map(|(tenant, key)| format!("{tenant} {key}\n")).collect();
    std::fs::write(&key_file, lines.concat()).unwrap();
    let options = SystemOptions { key_file: Some(key_file), seal_interval_ms: Some(1_000), ..SystemOptions::default() };
    let mut system = System::start(options);
    refused_without_a_key(&system).await;

    let mut expected = Vec::new();
    for (seed, (_, key)) in KEYS.iter().enumerate() {
        let mut client = Client::new(system.otlp_http(), 31 + seed as u64);
        // Different sizes, so that a mix-up cannot cancel out; several requests, so that seals fall in between.
        let items = 20 + 10 * seed as u64;
        for _ in 0..4 {
            send(&system.otlp_http(), key, &mut client, items).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        expected.push((items as usize * 4 / 5, items as usize * 4));
    }
    let (red, blue) = (seen(&system, KEYS[0].1).await, seen(&system, KEYS[1].1).await);
    for ((traces, bodies), expected) in [&red, &blue].into_iter().zip(&expected) {
        assert_eq!((traces.len(), bodies.len()), *expected, "all of its own, and nothing else");
    }
    assert!(red.0.iter().all(|id| !blue.0.contains(id)), "no trace belongs to both");
    for id in &red.0[..3] {
        let (status, _) = system.ask().with_key(KEYS[1].1).raw(&format!("/api/v1/traces/{id}")).await;
        assert_eq!(status, 404, "blue asks for a trace of red");
    }
    for (tenant, key) in KEYS {
        assert!(system.data_dir().join("tables").join(tenant).is_dir(), "{tenant} has its own tables");
        assert!(!system.output(Role::Up).contains(key), "no key in the log");
    }
    system.ask().with_key(KEYS[0].1).ledger_balances().await;
    assert!(system.all_alive());
    system.stop();
}
