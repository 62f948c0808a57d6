//! What the browser test looks at: 70 minutes of a small shop whose payments began to fail a few minutes ago.
//!
//! Enough history for the one-hour window of page-fast and its coverage rule, enough bad requests for the tier to fire
//! at the first look.

use std::time::Duration;

use daymark_guard::{Clock, SystemClock};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const HISTORY_S: u64 = 70 * 60;
const ORDER_EVERY_S: u64 = 2;
/// Payments fail in this last part.
const FAULT_S: u64 = 6 * 60;
/// Orders have logs in this last part.
const LOGS_S: u64 = 20 * 60;
const ORDERS_PER_REQUEST: usize = 300;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// The services of an order, each called by the one before, with the milliseconds it works before the next call.
const CHAIN: [(&str, &str, u64); 3] =
    [("frontend", "POST /buy", 4), ("checkout", "POST /checkout", 6), ("payment", "POST /charge", 22)];
/// Runs of the nightly report, which asks an archive that asks a database.
const REPORTS: u64 = 40;
/// How long the slow order waits at the payment.
const SLOW_MS: u64 = 2_600;
/// How far the clock of the payment is behind in the slow order.
const BEHIND_MS: u64 = 400;

/// What was sent and is worth looking for.
pub struct Seeded {
    /// The one trace above two seconds.
    pub slow_trace: String,
    /// Log lines of that trace.
    pub slow_trace_logs: u64,
}

#[derive(Default)]
struct Items {
    spans: Vec<Vec<Span>>,
    logs: Vec<Vec<LogRecord>>,
}

impl Items {
    fn new() -> Items {
        Items { spans: vec![Vec::new(); CHAIN.len()], logs: vec![Vec::new(); CHAIN.len()] }
    }
}

/// Sends everything to the agent at `base` and waits for its acknowledgements.
pub async fn seed(base: &str) -> Seeded {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let mut random = StdRng::seed_from_u64(3);
    let now = SystemClock.now().0;
    let orders = HISTORY_S / ORDER_EVERY_S;
    // Inside the fault, late enough to be on the first page of any list.
    let slow = orders - 40;
    let mut seeded = Seeded { slow_trace: String::new(), slow_trace_logs: 0 };
    let mut items = Items::new();
    for order in 0..orders {
        let age_s = HISTORY_S - order * ORDER_EVERY_S;
        let trace_id: [u8; 16] = random.random();
        let lines = place_order(&mut random, trace_id, now - age_s * SECOND, age_s, order == slow, &mut items);
        if order == slow {
            seeded.slow_trace = trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            seeded.slow_trace_logs = lines;
        }
        if items.spans[0].len() == ORDERS_PER_REQUEST || order + 1 == orders {
            let full = std::mem::replace(&mut items, Items::new());
            post(&http, base, "traces", traces(full.spans).encode_to_vec()).await;
            post(&http, base, "logs", logs(full.logs).encode_to_vec()).await;
        }
    }
    post(&http, base, "traces", reports(&mut random, now).encode_to_vec()).await;
    post(&http, base, "metrics", queue_depth(&mut random, now).encode_to_vec()).await;
    seeded
}

/// Adds the spans and logs of one order; answers how many log lines it has.
fn place_order(random: &mut StdRng, trace_id: [u8; 16], start: u64, age_s: u64, slow: bool, items: &mut Items) -> u64 {
    let failed = age_s < FAULT_S && !slow && random.random_range(0..2) == 0;
    let mut parent = Vec::new();
    let (mut begin, mut lines) = (start, 0);
    let pay_ms = if slow { SLOW_MS } else { CHAIN[2].2 + random.random_range(0..12) };
    // Each caller waits for the ones behind it.
    let ends = [start + (pay_ms + 14) * MS, start + (pay_ms + 12) * MS, start + (pay_ms + 10) * MS];
    for (at, (_, name, work_ms)) in CHAIN.iter().enumerate() {
        let span_id: [u8; 8] = random.random();
        let behind = if slow && at == 2 { BEHIND_MS * MS } else { 0 };
        let (from, to) = (begin - behind, ends[at] - behind);
        let outcome = failed.then(|| Status { code: 2, message: "the card network did not answer".into() });
        items.spans[at].push(Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            parent_span_id: std::mem::replace(&mut parent, span_id.to_vec()),
            name: (*name).to_owned(),
            kind: 2,
            start_time_unix_nano: from,
            end_time_unix_nano: to,
            attributes: vec![
                text("http.request.method", "POST"),
                text("http.route", name.trim_start_matches("POST ")),
                integer("http.response.status_code", if failed { 502 } else { 200 }),
            ],
            events: if failed && at == 2 { vec![exception(to)] } else { Vec::new() },
            status: outcome,
            ..Span::default()
        });
        if age_s < LOGS_S {
            let (severity, line) = match (at, failed, slow) {
                (2, true, _) => (17, "payment failed: the card network did not answer".to_owned()),
                (2, _, true) => (13, format!("the card network took {SLOW_MS} ms")),
                _ => (9, format!("{name} of order {:08x}", random.random::<u32>())),
            };
            items.logs[at].push(log(trace_id, span_id, to, severity, line));
            lines += 1;
        }
        begin += work_ms * MS;
    }
    lines
}

fn log(trace_id: [u8; 16], span_id: [u8; 8], at: u64, severity: i32, line: String) -> LogRecord {
    LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at,
        severity_number: severity,
        severity_text: match severity {
            17 => "ERROR".into(),
            13 => "WARN".into(),
            _ => "INFO".into(),
        },
        body: Some(AnyValue { value: Some(Value::StringValue(line)) }),
        attributes: vec![text("shop", "main street"), integer("attempt", 1)],
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_vec(),
        ..LogRecord::default()
    }
}

fn exception(at: u64) -> Event {
    Event {
        time_unix_nano: at,
        name: "exception".into(),
        attributes: vec![
            text("exception.type", "CardNetworkTimeout"),
            text("exception.message", "no answer within 30 ms"),
        ],
        ..Event::default()
    }
}

fn traces(by_service: Vec<Vec<Span>>) -> ExportTraceServiceRequest {
    let resource_spans = by_service.into_iter().zip(CHAIN).map(|(spans, (service, ..))| ResourceSpans {
        resource: Some(resource(service)),
        scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn logs(by_service: Vec<Vec<LogRecord>>) -> ExportLogsServiceRequest {
    let resource_logs = by_service.into_iter().zip(CHAIN).map(|(log_records, (service, ..))| ResourceLogs {
        resource: Some(resource(service)),
        scope_logs: vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    });
    ExportLogsServiceRequest { resource_logs: resource_logs.collect() }
}

/// Calls with both sides, and calls of a database that sends no spans: edges of the service graph. A tenth fails.
fn reports(random: &mut StdRng, now: u64) -> ExportTraceServiceRequest {
    let services = ["reports", "archive"];
    let mut spans: [Vec<Span>; 2] = [Vec::new(), Vec::new()];
    for run in 0..REPORTS {
        let (trace_id, start): ([u8; 16], u64) = (random.random(), now - (run + 2) * 20 * SECOND);
        let mut parent = Vec::new();
        for (of, name, kind, ms) in [(0, "GET /orders", 3, 60), (1, "GET /orders", 2, 50), (1, "SELECT orders", 3, 40)]
        {
            let span_id: [u8; 8] = random.random();
            let database = (of, kind) == (1, 3);
            let failed = run % 10 == 0 && !database;
            spans[of].push(Span {
                trace_id: trace_id.to_vec(),
                span_id: span_id.to_vec(),
                parent_span_id: std::mem::replace(&mut parent, span_id.to_vec()),
                name: name.to_owned(),
                kind,
                start_time_unix_nano: start,
                end_time_unix_nano: start + ms * MS,
                attributes: if database { vec![text("db.system.name", "postgresql")] } else { Vec::new() },
                status: failed.then(|| Status { code: 2, message: "no such table".into() }),
                ..Span::default()
            });
        }
    }
    let resource_spans = spans.into_iter().zip(services).map(|(spans, service)| ResourceSpans {
        resource: Some(resource(service)),
        scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

/// A gauge, so that the metrics page has more than what was derived from spans.
fn queue_depth(random: &mut StdRng, now: u64) -> ExportMetricsServiceRequest {
    let points = (0..60).map(|minute| NumberDataPoint {
        time_unix_nano: now - (60 - minute) * 60 * SECOND,
        value: Some(number_data_point::Value::AsInt(random.random_range(0..8) + if minute > 54 { 40 } else { 0 })),
        ..NumberDataPoint::default()
    });
    let metric = Metric {
        name: "shop.queue.depth".into(),
        unit: "{order}".into(),
        data: Some(Data::Gauge(Gauge { data_points: points.collect() })),
        ..Metric::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource("checkout")),
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
}

async fn post(http: &reqwest::Client, base: &str, signal: &str, body: Vec<u8>) {
    for _ in 0..60 {
        let request = http.post(format!("{base}/v1/{signal}")).header("content-type", "application/x-protobuf");
        let answer = request.body(body.clone()).send().await.unwrap_or_else(|error| panic!("{signal}: {error:?}"));
        let status = answer.status();
        if status.is_success() {
            return;
        }
        assert!(status.is_server_error() || status == 429, "{signal}: {status} {}", answer.text().await.unwrap());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{signal} were not acknowledged within 30 s");
}

fn resource(service: &str) -> Resource {
    let attributes =
        vec![text("service.name", service), text("service.version", "1.4.2"), text("deployment.environment", "test")];
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "shop".into(), ..InstrumentationScope::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
