//! A quota through real processes: what the collector says reaches the clients of an agent, and the key file is followed.

use std::time::Duration;

use daymark_tests::{Client, System, SystemOptions};

const KEYS: &str = "version: 1
keys:
  - { tenant: default, key: key-of-operators }
  - { tenant: small, key: key-of-small-tenant }
";

/// Scenario: an agent and a collector apart; a tenant sends more items than its quota, then the quota is raised in the key
/// file. Guarantee: the agent's client is told 429 with tenant, quota and a time to wait; after the raise it gets in without
/// a restart; the ledger explains all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_reaches_an_agents_client_and_can_be_raised() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("keys.yaml");
    let quota = |items: u64| format!("{KEYS}quotas:\n  tenants:\n    small: {{ items_per_second: {items} }}\n");
    std::fs::write(&key_file, quota(2)).unwrap();
    let arguments = vec!["--key-reload-interval-ms".to_owned(), "100".to_owned()];
    let options =
        SystemOptions { apart: true, key_file: Some(key_file.clone()), arguments, ..SystemOptions::default() };
    let mut system = System::start(options);
    let mut client = Client::new(system.otlp_http(), 77);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let url = format!("{}/v1/logs", system.otlp_http());
    let send = async |body: Vec<u8>| {
        let post = http.post(&url).header("content-type", "application/x-protobuf").bearer_auth("key-of-small-tenant");
        post.body(body).send().await.unwrap()
    };
    assert_eq!(send(client.logs(15).body).await.status(), 200);
    let more = client.logs(15).body;
    let answer = send(more.clone()).await;
    assert_eq!(answer.status(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait} s");
    let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
    assert!(text.contains("tenant small may send 2 items per second, 20 items in 10 s"), "{text}");
    assert!(text.contains("QUOTA_ITEMS"), "{text}");

    std::fs::write(&key_file, quota(1_000)).unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while send(more.clone()).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the raised quota counts");
    system.ask().with_key("key-of-operators").ledger_balances().await;
    assert!(system.all_alive());
    system.stop();
}
