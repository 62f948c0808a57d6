//! Hostile telemetry: whatever one item holds, it is stored as it was sent, or rejected with a reason that the sender is
//! told and the ledger counts; the good items beside it are stored and found; memory and time stay bounded; every query
//! over what was stored still answers.

use std::time::{Duration, Instant};

use daymark_guard::{Clock, SystemClock};
use daymark_tests::{Ask, Role, System, SystemOptions};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use prost::Message;

mod logs;
mod metrics;
mod spans;

/// Text that becomes bytes which are not UTF-8, of the same length, on its way out.
const BROKEN: &str = "~~broken~~";
/// Colours, a bell, NUL, a line that pretends to be another, and text that runs backwards.
const NASTY: &str = "\u{1b}[31mred\u{1b}[0m\u{7}\0\r\nlevel=error \u{202e}drowssap\u{2066}<script>alert(1)</script>";
const LONG: usize = 200 << 10;
const KEYS: usize = 10_000;
/// What a debug build may take more at most for all of this, KiB.
const MAX_GROWTH_KIB: u64 = 512 << 10;
const MAX_TIME: Duration = Duration::from_secs(60);

/// Why it is rejected; `None` when it is stored.
type Verdict = Option<&'static str>;

fn now() -> u64 {
    SystemClock.now().0
}

fn value(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn attribute(key: &str, of: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value(of), ..KeyValue::default() }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, Value::StringValue(text.to_owned()))
}

fn keys(number: usize) -> Vec<KeyValue> {
    (0..number).map(|n| text(&format!("key.{n}"), &format!("value {n}"))).collect()
}

/// Arrays inside each other.
fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::BoolValue(true), |inside, _| {
        Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(inside) }] })
    })
}

/// The same key with a value of every type.
fn clashing(key: &str) -> Vec<KeyValue> {
    let values = [
        Value::StringValue("7".into()),
        Value::IntValue(7),
        Value::DoubleValue(7.0),
        Value::DoubleValue(f64::NAN),
        Value::DoubleValue(f64::NEG_INFINITY),
        Value::BoolValue(true),
        Value::BytesValue(vec![0xff, 0, 7]),
        nested(3),
    ];
    values.into_iter().map(|value| attribute(key, value)).collect()
}

/// What the sender is told of a request.
struct Told {
    rejected: u64,
    message: String,
}

struct Sender {
    http: reqwest::Client,
    base: String,
}

impl Sender {
    fn to(system: &System) -> Sender {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Sender { http, base: system.otlp_http() }
    }

    /// Sends what must be taken, at least in part.
    async fn send(&self, signal: &str, mut body: Vec<u8>) -> Told {
        while let Some(at) = body.windows(BROKEN.len()).position(|bytes| bytes == BROKEN.as_bytes()) {
            body[at..at + BROKEN.len()].fill(0xff);
        }
        let post = self.http.post(format!("{}/v1/{signal}", self.base)).body(body);
        let answer = post.header("content-type", "application/x-protobuf").send().await.unwrap();
        let status = answer.status();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(status, 200, "{signal}: {}", String::from_utf8_lossy(&bytes));
        // The answers of all signals have the same field numbers.
        let partial = ExportTraceServiceResponse::decode(bytes).unwrap().partial_success.unwrap_or_default();
        Told { rejected: partial.rejected_spans as u64, message: partial.error_message }
    }

    /// Sends items with their verdicts; answers how many are rejected.
    async fn judged(&self, signal: &str, verdicts: &[Verdict], body: Vec<u8>) -> u64 {
        let told = self.send(signal, body).await;
        let rejected = verdicts.iter().flatten().count() as u64;
        assert_eq!(told.rejected, rejected, "{signal}: {}", told.message);
        for reason in verdicts.iter().flatten() {
            assert!(told.message.contains(reason), "{signal}: {:?} does not say {reason:?}", told.message);
        }
        rejected
    }
}

fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A text column, sorted.
async fn column(ask: &Ask, query: &str) -> Vec<String> {
    let rows = ask.sql(query).await;
    let mut texts: Vec<String> = rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

/// What can be put into a URL, and the rest of it escaped.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_items_are_stored_as_sent_or_rejected_with_a_reason() {
    // Some rows published, some not: queries see both.
    let mut system = System::start(SystemOptions { seal_interval_ms: Some(1_500), ..SystemOptions::default() });
    let sender = Sender::to(&system);
    let before = peak_kib(system.pid(Role::Up));
    let begun = Instant::now();
    let rejected = [spans::send(&sender).await, logs::send(&sender).await, metrics::send(&sender).await];
    println!("rejected {rejected:?} in {:?}", begun.elapsed());
    let ask = system.ask();
    for round in ["unpublished", "published"] {
        spans::found(&ask).await;
        logs::found(&ask).await;
        metrics::found(&ask).await;
        println!("found {round} after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let took = begun.elapsed();
    assert!(took < MAX_TIME, "{took:?}");
    let grown = peak_kib(system.pid(Role::Up)).saturating_sub(before);
    println!("{} MiB more at most", grown >> 10);
    assert!(grown < MAX_GROWTH_KIB, "memory grew by {} MiB", grown >> 10);
    assert!(system.all_alive(), "{}", system.output(Role::Up));
    let ledger = ask.ledger_balances().await;
    for component in ledger["components"].as_array().unwrap() {
        let of = |signal: usize| -> u64 {
            let by_reason = component["rows"][signal]["rejected"].as_object().unwrap();
            by_reason.values().map(|count| count.as_u64().unwrap()).sum()
        };
        assert_eq!([of(0), of(1), of(2)], rejected, "{component}");
    }
    system.stop();
}
