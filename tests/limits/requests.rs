//! Requests that cannot be taken are refused with their reason, and harm nothing else.

use std::time::{Duration, Instant};

use daymark_tests::{Ask, Client, Request, Role, System, SystemOptions};
use serde_json::{Value, json};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// The agent's `max_request_bytes`.
const MAX_REQUEST_BYTES: usize = 16 << 20;

struct Sender {
    http: reqwest::Client,
    base: String,
}

impl Sender {
    /// Posts and answers status and body as text.
    async fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> (u16, String) {
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", content_type).body(body);
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: no answer at all: {error:?}"));
        let status = answer.status().as_u16();
        (status, String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned())
    }

    /// Posts what must be refused with `status` and a text that holds each of `reasons`.
    async fn refused(&self, path: &str, content_type: &str, body: Vec<u8>, status: u16, reasons: &[&str]) {
        let (got, text) = self.post(path, content_type, body).await;
        assert_eq!(got, status, "{path} {content_type}: {text}");
        for reason in reasons {
            assert!(text.contains(reason), "{path} {content_type}: {text:?} does not say {reason:?}");
        }
    }
}

/// Each kind of broken request. Answers how many were refused.
async fn break_everything(sender: &Sender, good: &Request) -> u64 {
    let mut refused = 0;
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        sender.refused(path, PROTOBUF, b"this is no protobuf".to_vec(), 400, &[]).await;
        sender.refused(path, PROTOBUF, vec![0xff; 64], 400, &[]).await;
        sender.refused(path, "text/plain", b"hello".to_vec(), 415, &["text/plain", PROTOBUF, JSON]).await;
        sender.refused(path, JSON, b"{\"resourceSpans\": [".to_vec(), 400, &[]).await;
        refused += 4;
    }
    // Broken off at 16 places, none of which is the end of a message.
    let step = good.body.len() / 16;
    for length in (step..good.body.len()).step_by(step) {
        let (status, text) = sender.post("/v1/traces", PROTOBUF, good.body[..length].to_vec()).await;
        assert_eq!(status, 400, "{length} of {} bytes: {text}", good.body.len());
        refused += 1;
    }
    let snake = json!({"resource_spans": [{"scope_spans": []}]});
    sender.refused("/v1/traces", JSON, bytes(&snake), 400, &["resource_spans", "resourceSpans"]).await;
    let inner =
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1", "severity_number": 9}]}]}]});
    sender.refused("/v1/logs", JSON, bytes(&inner), 400, &["severity_number", "severityNumber"]).await;
    let unknown = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"nome": "x"}]}]}]});
    sender.refused("/v1/metrics", JSON, bytes(&unknown), 400, &["nome"]).await;
    let id = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz", "spanId": "0011223344556677"}]}]}]});
    sender.refused("/v1/traces", JSON, bytes(&id), 400, &["traceId"]).await;
    sender.refused("/v1/traces", PROTOBUF, vec![0; MAX_REQUEST_BYTES + 1], 413, &["16777216", "smaller"]).await;
    refused + 5
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_requests_are_refused_with_the_reason_and_nothing_else_is_lost() {
    let mut system = System::start(SystemOptions::default());
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let sender = Sender { http, base: system.otlp_http() };
    let mut client = Client::new(system.otlp_http(), 21);

    let (spans, logs) = (client.spans(100), client.logs(100));
    client.send(&spans).await;
    let refused = break_everything(&sender, &spans).await;
    client.send(&logs).await;

    assert!(system.all_alive(), "{}", system.output(Role::Up));
    let ask = system.ask();
    for (query, expected) in [("select count(*) from spans", 100), ("select count(*) from logs", 100)] {
        assert_eq!(ask.sql_count(query).await, expected, "{query}");
    }
    all_refused_are_in_the_ledger(&ask, refused).await;
    ask.ledger_balances().await;
    system.stop();
}

/// The agent tells its ledger once a second.
async fn all_refused_are_in_the_ledger(ask: &Ask, refused: u64) {
    let started = Instant::now();
    loop {
        let ledger = ask.get("/api/v1/ledger").await;
        let agents = ledger["components"].as_array().unwrap().iter().filter(|one| one["component"] == "agent");
        let rows = agents.flat_map(|agent| agent["rows"].as_array().unwrap());
        let rejected: u64 = rows.map(|row| number(&row["rejected"])).sum();
        if rejected == refused {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "{refused} requests were refused, the ledger: {ledger}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A count, or the sum of a count by reason.
fn number(value: &Value) -> u64 {
    match value {
        Value::Object(by_reason) => by_reason.values().map(number).sum(),
        other => other.as_u64().unwrap_or(0),
    }
}
