//! OTLP payloads for the tests.

use bytes::Bytes;
use daymark_model::{AgentId, Signal, Stamp, TenantId};
use daymark_wire::{BatchView, IngestRequest, Payload, content_hash, encode_batch};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

/// 2026-01-01T00:00:00Z in nanoseconds, aligned to every window.
pub const T0: u64 = 1_767_225_600_000_000_000;
pub const SECOND: u64 = 1_000_000_000;

/// A span in few words.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSpan {
    pub trace: u8,
    pub span: u32,
    pub parent: Option<u32>,
    pub service: &'static str,
    pub host: &'static str,
    /// OTLP's number.
    pub kind: i32,
    /// What it calls.
    pub peer: Option<&'static str>,
    pub start_ms: u64,
    pub duration_ms: u64,
    pub error: bool,
    pub correlation: Option<String>,
}

impl TestSpan {
    pub fn new(trace: u8, span: u32, parent: Option<u32>) -> TestSpan {
        let start_ms = u64::from(span);
        TestSpan {
            trace,
            span,
            parent,
            service: "shop",
            host: "h1",
            kind: 2,
            peer: None,
            start_ms,
            duration_ms: 5,
            error: false,
            correlation: None,
        }
    }
}

/// A log record in few words.
#[derive(Clone, Debug, PartialEq)]
pub struct TestLog {
    pub body: String,
    pub trace: Option<u8>,
    pub correlation: Option<String>,
}

pub fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

pub fn trace_id(trace: u8) -> Vec<u8> {
    let mut id = vec![0xaa; 16];
    id[15] = trace;
    id
}

pub fn span_id(span: u32) -> Vec<u8> {
    let mut id = vec![0xbb; 8];
    id[4..].copy_from_slice(&span.to_be_bytes());
    id
}

fn resource(service: &str, host: &str) -> Option<Resource> {
    let attributes = vec![text("service.name", service), text("host.name", host)];
    Some(Resource { attributes, ..Resource::default() })
}

pub fn traces(spans: &[TestSpan]) -> Bytes {
    let correlation = |span: &TestSpan| span.correlation.clone().into_iter().map(|value| text("request_id", &value));
    let of = |span: &TestSpan| Span {
        trace_id: trace_id(span.trace),
        span_id: span_id(span.span),
        parent_span_id: span.parent.map(span_id).unwrap_or_default(),
        name: format!("op-{}", span.span % 3),
        kind: span.kind,
        start_time_unix_nano: T0 + span.start_ms * 1_000_000,
        end_time_unix_nano: T0 + (span.start_ms + span.duration_ms) * 1_000_000,
        status: span.error.then(|| Status { code: 2, message: "boom".into() }),
        attributes: correlation(span).chain(span.peer.map(|peer| text("peer.service", peer))).collect(),
        ..Span::default()
    };
    let per_resource = |span: &TestSpan| ResourceSpans {
        resource: resource(span.service, span.host),
        scope_spans: vec![ScopeSpans { spans: vec![of(span)], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: spans.iter().map(per_resource).collect() }.encode_to_vec().into()
}

/// The second span has no trace id.
pub fn one_valid_span_of_two() -> Bytes {
    let both = traces(&[TestSpan::new(1, 1, None), TestSpan::new(1, 2, None)]);
    let mut request = ExportTraceServiceRequest::decode(both).unwrap();
    request.resource_spans[1].scope_spans[0].spans[0].trace_id.clear();
    request.encode_to_vec().into()
}

pub fn logs(records: &[TestLog]) -> Bytes {
    let of = |(at, log): (u64, &TestLog)| LogRecord {
        time_unix_nano: T0 + at,
        severity_number: 9,
        body: Some(AnyValue { value: Some(Value::StringValue(log.body.clone())) }),
        trace_id: log.trace.map(trace_id).unwrap_or_default(),
        attributes: log.correlation.iter().map(|value| text("correlation_id", value)).collect(),
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: (0..).zip(records).map(of).collect(), ..ScopeLogs::default() };
    let logs = ResourceLogs { resource: resource("shop", "h1"), scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec().into()
}

fn metrics(metric: Metric) -> Bytes {
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let metrics =
        ResourceMetrics { resource: resource("shop", "h1"), scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }.encode_to_vec().into()
}

/// A delta counter: one point a value, one second apart.
pub fn counter(name: &str, first_s: u64, values: &[i64]) -> Bytes {
    let point = |(at, value): (u64, &i64)| NumberDataPoint {
        start_time_unix_nano: T0 + (first_s + at) * SECOND,
        time_unix_nano: T0 + (first_s + at + 1) * SECOND,
        value: Some(number_data_point::Value::AsInt(*value)),
        ..NumberDataPoint::default()
    };
    let data_points = (0..).zip(values).map(point).collect();
    let sum = Sum { data_points, aggregation_temporality: 1, is_monotonic: true };
    metrics(Metric { name: name.into(), data: Some(metric::Data::Sum(sum)), ..Metric::default() })
}

/// What an agent derives from spans: durations in nanoseconds, as HDR in an exponential histogram of scale 8.
pub fn durations(window_s: u64, values: &[u64]) -> Bytes {
    let mut sketch = daymark_sketch::Sketch::new();
    values.iter().for_each(|value| sketch.record(*value));
    let exponential = sketch.to_exponential();
    let point = ExponentialHistogramDataPoint {
        start_time_unix_nano: T0 + window_s * SECOND,
        time_unix_nano: T0 + (window_s + 10) * SECOND,
        count: sketch.count(),
        sum: Some(sketch.sum() as f64),
        min: sketch.min().map(|v| v as f64),
        max: sketch.max().map(|v| v as f64),
        scale: exponential.scale,
        zero_count: exponential.zero_count,
        positive: Some(Buckets { offset: exponential.offset, bucket_counts: exponential.counts }),
        attributes: vec![text("span.name", "op-0"), text("status.code", "unset")],
        ..ExponentialHistogramDataPoint::default()
    };
    let histogram = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 };
    let two = AnyValue { value: Some(Value::IntValue(2)) };
    metrics(Metric {
        name: "traces.span.metrics.duration".into(),
        unit: "ns".into(),
        metadata: vec![KeyValue { key: "hdr.sigfig".into(), value: Some(two), ..KeyValue::default() }],
        data: Some(metric::Data::ExponentialHistogram(histogram)),
        ..Metric::default()
    })
}

pub fn request(signal: Signal, payload: Bytes) -> IngestRequest {
    IngestRequest {
        tenant: TenantId::default(),
        content_hash: content_hash(signal, &payload),
        payload: Payload::Signal(signal, payload),
        stamp: None,
        closed_until: None,
        checked: None,
    }
}

pub fn stamped(sequence: u64, traces: Option<&[u8]>, metrics: Option<&[u8]>) -> IngestRequest {
    let parts = BatchView { traces, metrics, ..BatchView::default() };
    batch_of(7, sequence, u128::from(sequence) + 1_000_000, &parts)
}

/// Batch `sequence` of an agent, made of the client's request whose bytes hash to `content_hash`.
pub fn batch_of(agent: u8, sequence: u64, content_hash: u128, parts: &BatchView<'_>) -> IngestRequest {
    IngestRequest {
        tenant: TenantId::default(),
        payload: Payload::Batch(encode_batch(parts)),
        stamp: Some(Stamp { agent: AgentId([agent; 16]), epoch: 1, sequence }),
        closed_until: None,
        content_hash,
        checked: None,
    }
}
