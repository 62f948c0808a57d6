//! An OTLP client that knows what was acknowledged: requests with unique ids, repeated byte for byte until answered,
//! as the OpenTelemetry SDKs do.

use std::time::Duration;

use daymark_guard::{Clock, SystemClock};
use daymark_model::UnixNanos;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SERVICES: [&str; 4] = ["frontend", "checkout", "payment", "cart"];
const OPERATIONS: [&str; 5] = ["GET /", "POST /pay", "GET /cart", "SELECT orders", "publish"];

/// One request, ready to be sent any number of times.
#[derive(Clone)]
pub struct Request {
    /// `traces`, `logs` or `metrics`.
    pub signal: &'static str,
    /// Items inside.
    pub items: u64,
    /// Protobuf.
    pub body: Vec<u8>,
}

/// What the client knows to be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Data points.
    pub points: u64,
}

/// Makes and sends requests.
pub struct Client {
    base: String,
    http: reqwest::Client,
    random: StdRng,
    key: Option<String>,
    /// When its items happen; now unless it is set.
    pub at: Option<UnixNanos>,
    /// Acknowledged so far.
    pub acknowledged: Acknowledged,
}

impl Client {
    /// A client of the agent at `base`; its requests depend on `seed` and the time only, see [`Client::at`].
    pub fn new(base: String, seed: u64) -> Client {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let random = StdRng::seed_from_u64(seed);
        Client { base, http, random, key: None, at: None, acknowledged: Acknowledged::default() }
    }

    /// The same client with an API key.
    pub fn with_key(mut self, key: &str) -> Client {
        self.key = Some(key.to_owned());
        self
    }

    fn now(&self) -> u64 {
        self.at.unwrap_or_else(|| SystemClock.now()).0
    }

    /// A request with `items` spans in a few traces of a few services.
    pub fn spans(&mut self, items: u64) -> Request {
        let now = self.now();
        let mut by_service: Vec<Vec<Span>> = vec![Vec::new(); SERVICES.len()];
        let mut trace_id: [u8; 16] = self.random.random();
        let mut parent: Vec<u8> = Vec::new();
        for i in 0..items {
            if i % 5 == 0 {
                trace_id = self.random.random();
                parent.clear();
            }
            let span_id: [u8; 8] = self.random.random();
            let duration = self.random.random_range(1_000..900_000_000);
            let failed = self.random.random_range(0..20) == 0;
            by_service[self.random.random_range(0..SERVICES.len())].push(Span {
                trace_id: trace_id.to_vec(),
                span_id: span_id.to_vec(),
                parent_span_id: parent.clone(),
                name: OPERATIONS[self.random.random_range(0..OPERATIONS.len())].to_owned(),
                kind: 2,
                start_time_unix_nano: now - duration,
                end_time_unix_nano: now,
                attributes: vec![text("http.route", "/pay")],
                status: failed.then(|| Status { code: 2, message: "failed".into() }),
                ..Span::default()
            });
            parent = span_id.to_vec();
        }
        let resource_spans = by_service.into_iter().zip(SERVICES).filter(|(spans, _)| !spans.is_empty());
        let request = ExportTraceServiceRequest {
            resource_spans: resource_spans
                .map(|(spans, service)| ResourceSpans {
                    resource: Some(resource(service)),
                    scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                    ..ResourceSpans::default()
                })
                .collect(),
        };
        Request { signal: "traces", items, body: request.encode_to_vec() }
    }

    /// A request with `items` log records, each with a unique body.
    pub fn logs(&mut self, items: u64) -> Request {
        let now = self.now();
        let records = (0..items)
            .map(|i| LogRecord {
                time_unix_nano: now + i,
                observed_time_unix_nano: now + i,
                severity_number: 9,
                severity_text: "INFO".into(),
                body: Some(AnyValue {
                    value: Some(Value::StringValue(format!("order {:032x} accepted", self.random.random::<u128>()))),
                }),
                attributes: vec![
                    attribute("order.items", Value::IntValue(i as i64 % 3)),
                    attribute("order.total", Value::DoubleValue(i as f64 / 4.0)),
                    attribute("order.paid", Value::BoolValue(i % 2 == 0)),
                ],
                ..LogRecord::default()
            })
            .collect();
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(resource(SERVICES[self.random.random_range(0..SERVICES.len())])),
                scope_logs: vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }],
                ..ResourceLogs::default()
            }],
        };
        Request { signal: "logs", items, body: request.encode_to_vec() }
    }

    /// A request with `items` data points of gauges, deltas, running totals and histograms.
    pub fn points(&mut self, items: u64) -> Request {
        let (now, run) = (self.now(), self.random.random_range(0..u64::MAX >> 1));
        let route = |at: u64| vec![text("route", ["/pay", "/cart"][at as usize % 2])];
        let number = |at: u64, start: u64, value: u64| NumberDataPoint {
            start_time_unix_nano: start,
            time_unix_nano: now + at,
            value: Some(number_data_point::Value::AsInt(value as i64)),
            attributes: route(at),
            ..NumberDataPoint::default()
        };
        let sum = |temporality: i32, point| {
            let data_points = vec![point];
            metric::Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic: true })
        };
        let data = |at: u64| match at % 4 {
            0 => metric::Data::Gauge(Gauge { data_points: vec![number(at, 0, (at ^ run) % 100)] }),
            1 => sum(1, number(at, now - 1, at)),
            2 => sum(2, number(at, now - 1, at)),
            _ => metric::Data::Histogram(Histogram {
                data_points: vec![HistogramDataPoint {
                    start_time_unix_nano: now - 1,
                    time_unix_nano: now + at,
                    count: 3,
                    sum: Some(9.0),
                    bucket_counts: vec![2, 1],
                    explicit_bounds: vec![5.0],
                    attributes: route(at),
                    ..HistogramDataPoint::default()
                }],
                aggregation_temporality: 1,
            }),
        };
        let names = ["depth", "orders", "bytes", "size"];
        let named = |at: u64| Metric {
            name: names[at as usize % 4].to_owned(),
            unit: "1".into(),
            data: Some(data(at)),
            ..Metric::default()
        };
        let metrics = (0..items).map(named).collect();
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource(SERVICES[0])),
                scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }],
        };
        Request { signal: "metrics", items, body: request.encode_to_vec() }
    }

    /// Sends once. True when acknowledged, and counted then.
    pub async fn send_once(&mut self, request: &Request) -> bool {
        let mut post = self
            .http
            .post(format!("{}/v1/{}", self.base, request.signal))
            .header("content-type", "application/x-protobuf")
            .body(request.body.clone());
        if let Some(key) = &self.key {
            post = post.bearer_auth(key);
        }
        let sent = post.send().await;
        let acknowledged = match sent {
            Ok(answer) => {
                let status = answer.status();
                // An answer that breaks off is no answer.
                let whole = answer.bytes().await.is_ok();
                assert!(!status.is_client_error(), "refused for good: {status}");
                status.is_success() && whole
            }
            Err(_) => false,
        };
        if acknowledged {
            match request.signal {
                "traces" => self.acknowledged.spans += request.items,
                "logs" => self.acknowledged.logs += request.items,
                _ => self.acknowledged.points += request.items,
            }
        }
        acknowledged
    }

    /// Sends the same bytes until they are acknowledged.
    pub async fn send(&mut self, request: &Request) {
        for _ in 0..600 {
            if self.send_once(request).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not acknowledged after 600 attempts");
    }
}

fn resource(service: &str) -> Resource {
    Resource { attributes: vec![text("service.name", service)], ..Resource::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
