//! One fixed input of spans, log records and points of every kind, which can be sent in any order and split.

use bytes::Bytes;
use daymark_model::Signal;
use daymark_wire::{BatchView, IngestRequest, content_hash};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use crate::otlp::{self, SECOND, T0, TestSpan, batch_of, request, span_id, text, trace_id};

/// Spans of each of the traces.
const SPANS: u32 = 6;
const TRACES: u32 = 5;
const RECORDS: u32 = 24;
/// Points of each of the metrics.
const POINTS: u64 = 12;
/// Between two points of a series: some share a window of 10 s, most do not.
const EVERY_S: u64 = 7;

/// The metrics of the input.
pub const METRICS: [&str; 5] = ["orders", "bytes", "depth", "size", "traces.span.metrics.duration"];

/// What a request is made of.
#[derive(Clone, Debug)]
pub enum Item {
    Span(TestSpan),
    Record(LogRecord),
    Point(Box<Metric>),
}

/// The correlation value of a trace.
fn correlation(trace: u32) -> String {
    format!("order-{trace}")
}

/// Everything, in order.
pub fn items() -> Vec<Item> {
    let traces = (0..TRACES).flat_map(|trace| (0..SPANS).map(move |at| span(trace, at)));
    let records = (0..RECORDS).map(record);
    let points = (0..POINTS).flat_map(|at| METRICS.map(|metric| point(metric, at)));
    let all = traces.map(Item::Span).chain(records.map(Item::Record));
    all.chain(points.map(|point| Item::Point(Box::new(point)))).collect()
}

/// A root that starts first; two of its children, and a child of each of those, in three services.
fn span(trace: u32, at: u32) -> TestSpan {
    let number = trace * 100 + at;
    let parent = at.checked_sub(1).map(|before| trace * 100 + before / 2);
    TestSpan {
        service: ["shop", "cart", "payment"][at as usize % 3],
        start_ms: u64::from(trace * 20 + at),
        error: number.is_multiple_of(7),
        correlation: at.is_multiple_of(2).then(|| correlation(trace)),
        ..TestSpan::new(trace as u8, number, parent)
    }
}

/// A third has a trace of its own, a third the correlation value of one, a third nothing.
fn record(number: u32) -> LogRecord {
    let trace = number % TRACES;
    let body = AnyValue { value: Some(Value::StringValue(format!("record {number}"))) };
    let mut record = LogRecord {
        time_unix_nano: T0 + u64::from(number) * SECOND / 3,
        severity_number: 9 + (number as i32 % 3) * 4,
        body: Some(body),
        attributes: vec![text("user", &format!("u{}", number % 4))],
        ..LogRecord::default()
    };
    match number % 3 {
        0 => (record.trace_id, record.span_id) = (trace_id(trace as u8), span_id(trace * 100)),
        1 => record.attributes.push(text("correlation_id", &correlation(trace))),
        _ => {}
    }
    record
}

/// Two series a metric. The running total begins anew in the middle.
fn point(metric: &str, at: u64) -> Metric {
    let (start, time) = (T0 + at * EVERY_S * SECOND, T0 + (at + 1) * EVERY_S * SECOND);
    let attributes = vec![text("route", if at.is_multiple_of(2) { "/pay" } else { "/cart" })];
    let number = |start: u64, value: u64| NumberDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(number_data_point::Value::AsInt(value as i64)),
        attributes: attributes.clone(),
        ..NumberDataPoint::default()
    };
    let sum = |temporality: i32, point: NumberDataPoint| {
        metric::Data::Sum(Sum { data_points: vec![point], aggregation_temporality: temporality, is_monotonic: true })
    };
    let data = match metric {
        "orders" => sum(1, number(start, at + 1)),
        "bytes" => {
            let begun = if at < POINTS / 2 { 0 } else { POINTS / 2 };
            sum(2, number(T0 + begun * EVERY_S * SECOND, (at - begun + 1) * 100))
        }
        "depth" => metric::Data::Gauge(Gauge { data_points: vec![number(0, (at * 5) % 11)] }),
        "size" => metric::Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: at + 3,
                sum: Some((at * 9) as f64),
                min: Some(1.0),
                max: Some((at + 2) as f64),
                bucket_counts: vec![2, at, 1],
                explicit_bounds: vec![5.0, 10.0],
                attributes,
                ..HistogramDataPoint::default()
            }],
            aggregation_temporality: 1,
        }),
        _ => return derived(at),
    };
    Metric { name: metric.into(), unit: "1".into(), data: Some(data), ..Metric::default() }
}

/// Durations, as an agent of an older version sends them.
fn derived(at: u64) -> Metric {
    let bytes = otlp::durations(at * EVERY_S / 10 * 10, &[(at + 1) * 1_000_000, 777 * (at + 1), 3]);
    let mut request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    request.resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0)
}

fn resource() -> Option<Resource> {
    Some(Resource { attributes: vec![text("service.name", "shop"), text("host.name", "h1")], ..Resource::default() })
}

/// The payload of each signal that has items, in the order of [`Signal::ALL`].
fn payloads(items: &[Item]) -> [Option<Bytes>; 3] {
    let (mut spans, mut log_records, mut metrics) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Span(span) => spans.push(span.clone()),
            Item::Record(record) => log_records.push(record.clone()),
            Item::Point(metric) => metrics.push((**metric).clone()),
        }
    }
    let traces: Option<ExportTraceServiceRequest> =
        (!spans.is_empty()).then(|| ExportTraceServiceRequest::decode(otlp::traces(&spans)).unwrap());
    let logs = (!log_records.is_empty()).then(|| ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(),
            scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    });
    let points = (!metrics.is_empty()).then(|| ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    });
    let encoded = |message: Option<Vec<u8>>| message.map(Bytes::from);
    [
        encoded(traces.map(|traces| traces.encode_to_vec())),
        encoded(logs.map(|logs| logs.encode_to_vec())),
        encoded(points.map(|points| points.encode_to_vec())),
    ]
}

/// A request a signal, as clients without an agent send them.
pub fn plain(items: &[Item]) -> Vec<IngestRequest> {
    let signals = Signal::ALL.into_iter().zip(payloads(items));
    signals.filter_map(|(signal, payload)| Some(request(signal, payload?))).collect()
}

/// Batch `sequence` of an agent.
pub fn stamped(items: &[Item], sequence: u64) -> IngestRequest {
    let [traces, logs, metrics] = payloads(items);
    let all: Vec<u8> = [&traces, &logs, &metrics].into_iter().flatten().flatten().copied().collect();
    let parts = BatchView {
        traces: traces.as_deref(),
        logs: logs.as_deref(),
        metrics: metrics.as_deref(),
        ..BatchView::default()
    };
    batch_of(9, sequence, content_hash(Signal::Traces, &all), &parts)
}
