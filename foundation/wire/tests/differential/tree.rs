//! Lines from prost's objects, with the documented rules (which items are rejected, what unknown enumeration numbers
//! become) applied independently of the walkers.

use std::fmt::Write;

use daymark_model::Signal;
use daymark_wire::decode::Number;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProstValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint, exemplar,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::render::{bits, number};

/// What prost sees.
pub(crate) fn by_prost(signal: Signal, bytes: &[u8]) -> Result<Vec<String>, prost::DecodeError> {
    let mut lines = Tree::default();
    match signal {
        Signal::Traces => {
            for group in ExportTraceServiceRequest::decode(bytes)?.resource_spans {
                lines.resource(group.resource);
                for group in group.scope_spans {
                    lines.scope(group.scope);
                    group.spans.iter().for_each(|item| lines.item(span(item)));
                }
            }
        }
        Signal::Logs => {
            for group in ExportLogsServiceRequest::decode(bytes)?.resource_logs {
                lines.resource(group.resource);
                for group in group.scope_logs {
                    lines.scope(group.scope);
                    group.log_records.iter().for_each(|item| lines.item(log(item)));
                }
            }
        }
        Signal::Metrics => {
            for group in ExportMetricsServiceRequest::decode(bytes)?.resource_metrics {
                lines.resource(group.resource);
                for group in group.scope_metrics {
                    lines.scope(group.scope);
                    group.metrics.iter().for_each(|item| lines.metric(item));
                }
            }
        }
    }
    lines.lines.push(format!("items {} rejected {}", lines.items, lines.rejected));
    Ok(lines.lines)
}

/// Lines from prost's objects. An item is `None` when the rules reject it.
#[derive(Default)]
struct Tree {
    lines: Vec<String>,
    items: u64,
    rejected: u64,
}

impl Tree {
    fn resource(&mut self, resource: Option<Resource>) {
        let attributes = resource.unwrap_or_default().attributes;
        let service = attributes.iter().find(|attribute| attribute.key == "service.name");
        let service = match service.and_then(|service| service.value.clone()).and_then(|value| value.value) {
            Some(ProstValue::StringValue(name)) if !name.is_empty() => name,
            _ => "unknown_service".into(),
        };
        self.lines.push(format!("resource {service} {}", key_values(&attributes)));
    }

    fn scope(&mut self, scope: Option<InstrumentationScope>) {
        let scope = scope.unwrap_or_default();
        self.lines.push(format!("scope {:?} {:?} {}", scope.name, scope.version, key_values(&scope.attributes)));
    }

    fn item(&mut self, line: Option<String>) {
        self.items += 1;
        match line {
            Some(line) => self.lines.push(line),
            None => self.rejected += 1,
        }
    }

    fn metric(&mut self, metric: &Metric) {
        let Some(data) = &metric.data else { return };
        let kind = match data {
            Data::Gauge(_) => "gauge".into(),
            Data::Sum(sum) => format!("sum {} {}", sum.is_monotonic, enumeration(sum.aggregation_temporality, 2)),
            Data::Histogram(it) => format!("histogram {}", enumeration(it.aggregation_temporality, 2)),
            Data::ExponentialHistogram(it) => format!("exponential {}", enumeration(it.aggregation_temporality, 2)),
            Data::Summary(_) => "summary".into(),
        };
        let metadata = key_values(&metric.metadata);
        self.lines
            .push(format!("metric {:?} {:?} {:?} {kind} {metadata}", metric.name, metric.unit, metric.description));
        match data {
            Data::Gauge(gauge) => gauge.data_points.iter().for_each(|it| self.item(number_point(it))),
            Data::Sum(sum) => {
                let adds_up = enumeration(sum.aggregation_temporality, 2) != 0;
                sum.data_points.iter().for_each(|it| self.item(number_point(it).filter(|_| adds_up)));
            }
            Data::Histogram(histogram) => {
                let adds_up = enumeration(histogram.aggregation_temporality, 2) != 0;
                histogram.data_points.iter().for_each(|it| self.item(histogram_point(it).filter(|_| adds_up)));
            }
            Data::ExponentialHistogram(exponential) => {
                let adds_up = enumeration(exponential.aggregation_temporality, 2) != 0;
                exponential.data_points.iter().for_each(|it| self.item(exponential_point(it).filter(|_| adds_up)));
            }
            Data::Summary(summary) => summary.data_points.iter().for_each(|it| self.item(summary_point(it))),
        }
    }
}

fn key_values(attributes: &[KeyValue]) -> String {
    attributes.iter().map(|attribute| format!("{:?}={};", attribute.key, any_value(&attribute.value))).collect()
}

fn any_value(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        None | Some(ProstValue::StringValueStrindex(_)) => "empty".into(),
        Some(ProstValue::StringValue(text)) => format!("{text:?}"),
        Some(ProstValue::BoolValue(value)) => format!("{value}"),
        Some(ProstValue::IntValue(value)) => format!("{value}"),
        Some(ProstValue::DoubleValue(value)) => format!("d{:x}", value.to_bits()),
        Some(ProstValue::BytesValue(bytes)) => format!("b{bytes:?}"),
        Some(ProstValue::ArrayValue(array)) => {
            let items = array.values.iter().map(|item| any_value(&Some(item.clone())) + ",");
            format!("[{}]", items.collect::<String>())
        }
        Some(ProstValue::KvlistValue(list)) => {
            let entries = list.values.iter().map(|entry| format!("{:?}:{},", entry.key, any_value(&entry.value)));
            format!("{{{}}}", entries.collect::<String>())
        }
    }
}

fn enumeration(number: i32, max: i32) -> i32 {
    if (0..=max).contains(&number) { number } else { 0 }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hex of an id of `length` bytes; empty when it is none.
fn valid_id(bytes: &[u8], length: usize) -> String {
    if bytes.len() == length && bytes.iter().any(|byte| *byte != 0) { hex(bytes) } else { String::new() }
}

fn storable(time: u64) -> bool {
    time <= i64::MAX as u64
}

fn span(span: &Span) -> Option<String> {
    let (trace_id, span_id) = (valid_id(&span.trace_id, 16), valid_id(&span.span_id, 8));
    let times = [span.start_time_unix_nano, span.end_time_unix_nano];
    let parent_ok = [0, 8].contains(&span.parent_span_id.len());
    if trace_id.is_empty()
        || span_id.is_empty()
        || !parent_ok
        || times.iter().any(|time| *time == 0 || !storable(*time))
        || times[1] < times[0]
    {
        return None;
    }
    let status = span.status.clone().unwrap_or_default();
    let mut line = format!(
        "span {trace_id} {span_id} {} {:?} kind {} {}..{} status {} {:?} {:?} flags {} dropped {} {} {} {}",
        valid_id(&span.parent_span_id, 8),
        span.name,
        enumeration(span.kind, 5),
        times[0],
        times[1],
        enumeration(status.code, 2),
        status.message,
        span.trace_state,
        span.flags,
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
        key_values(&span.attributes),
    );
    for event in &span.events {
        let (time, dropped) = (event.time_unix_nano, event.dropped_attributes_count);
        _ = write!(line, " event {time} {:?} {dropped} {}", event.name, key_values(&event.attributes));
    }
    for link in &span.links {
        let (trace_id, span_id) = (valid_id(&link.trace_id, 16), valid_id(&link.span_id, 8));
        let (dropped, flags) = (link.dropped_attributes_count, link.flags);
        let attributes = key_values(&link.attributes);
        _ = write!(line, " link {trace_id} {span_id} {:?} {dropped} {flags} {attributes}", link.trace_state);
    }
    Some(line)
}

fn log(log: &LogRecord) -> Option<String> {
    if !storable(log.time_unix_nano) || !storable(log.observed_time_unix_nano) {
        return None;
    }
    Some(format!(
        "log {} {} {} {:?} {} {} {} flags {} {:?} {} {}",
        log.time_unix_nano,
        log.observed_time_unix_nano,
        enumeration(log.severity_number, 24),
        log.severity_text,
        any_value(&log.body),
        valid_id(&log.trace_id, 16),
        valid_id(&log.span_id, 8),
        log.flags,
        log.event_name,
        log.dropped_attributes_count,
        key_values(&log.attributes),
    ))
}

/// A line for a point with these fields, unless its times are invalid or it says that there was nothing to record.
fn point(
    times: (u64, u64),
    flags: u32,
    value: &str,
    attributes: &[KeyValue],
    exemplars: &[Exemplar],
) -> Option<String> {
    let (start, time) = times;
    let exemplars: String = exemplars.iter().map(exemplar_line).collect();
    let line = format!("point {start}..{time} {flags} {value} {} {exemplars}", key_values(attributes));
    (time != 0 && storable(time) && storable(start) && flags & 1 == 0).then_some(line)
}

fn exemplar_line(exemplar: &Exemplar) -> String {
    let value = match exemplar.value {
        None => number(None),
        Some(exemplar::Value::AsInt(value)) => number(Some(Number::Int(value))),
        Some(exemplar::Value::AsDouble(value)) => number(Some(Number::Double(value))),
    };
    let (trace_id, span_id) = (valid_id(&exemplar.trace_id, 16), valid_id(&exemplar.span_id, 8));
    let attributes = key_values(&exemplar.filtered_attributes);
    format!(" exemplar {} {value} {trace_id} {span_id} {attributes}", exemplar.time_unix_nano)
}

fn number_point(it: &NumberDataPoint) -> Option<String> {
    let value = match it.value {
        None => return None,
        Some(number_data_point::Value::AsInt(value)) => number(Some(Number::Int(value))),
        Some(number_data_point::Value::AsDouble(value)) if !value.is_finite() => return None,
        Some(number_data_point::Value::AsDouble(value)) => number(Some(Number::Double(value))),
    };
    point((it.start_time_unix_nano, it.time_unix_nano), it.flags, &value, &it.attributes, &it.exemplars)
}

fn histogram_point(it: &HistogramDataPoint) -> Option<String> {
    let (counts, bounds) = (&it.bucket_counts, &it.explicit_bounds);
    let total = counts.iter().map(|count| u128::from(*count)).sum::<u128>();
    let fits = counts.len() == bounds.len() + 1 && total == u128::from(it.count);
    let none = counts.is_empty() && bounds.is_empty();
    let increases = bounds.windows(2).all(|pair| pair[0] < pair[1]) && !bounds.iter().any(|bound| bound.is_nan());
    if !(fits || none) || !increases || !is_finite(it.sum) || !holds(it.count) {
        return None;
    }
    let stats = [it.sum, it.min, it.max].map(bits);
    let bounds: Vec<u64> = bounds.iter().map(|bound| bound.to_bits()).collect();
    let value = format!("{} {stats:?} {bounds:?} {counts:?}", it.count);
    point((it.start_time_unix_nano, it.time_unix_nano), it.flags, &value, &it.attributes, &it.exemplars)
}

fn exponential_point(it: &ExponentialHistogramDataPoint) -> Option<String> {
    let sides = [&it.positive, &it.negative].map(|side| side.clone().unwrap_or_default());
    let counts = sides.iter().flat_map(|side| &side.bucket_counts).map(|count| u128::from(*count));
    if counts.sum::<u128>() + u128::from(it.zero_count) != u128::from(it.count)
        || !is_finite(it.sum)
        || !holds(it.count)
    {
        return None;
    }
    let sides = sides.map(|side| (side.offset, side.bucket_counts));
    let stats = [it.sum, it.min, it.max, Some(it.zero_threshold)].map(bits);
    let value = format!("{} {} {} {stats:?} {sides:?}", it.count, it.scale, it.zero_count);
    point((it.start_time_unix_nano, it.time_unix_nano), it.flags, &value, &it.attributes, &it.exemplars)
}

fn summary_point(it: &SummaryDataPoint) -> Option<String> {
    let quantiles: Vec<_> = it.quantile_values.iter().map(|it| (it.quantile.to_bits(), it.value.to_bits())).collect();
    let value = format!("{} {} {quantiles:?}", it.count, bits(Some(it.sum)));
    let line = point((it.start_time_unix_nano, it.time_unix_nano), it.flags, &value, &it.attributes, &[]);
    line.filter(|_| it.sum.is_finite() && holds(it.count))
}

fn holds(count: u64) -> bool {
    i64::try_from(count).is_ok()
}

fn is_finite(sum: Option<f64>) -> bool {
    sum.is_none_or(f64::is_finite)
}
