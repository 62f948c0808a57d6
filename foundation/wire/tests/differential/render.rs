//! What a request holds, as lines of text, by way of our walkers. `tree.rs` writes the same lines from prost's objects.

use std::fmt::Write;

use daymark_model::Signal;
use daymark_wire::DecodeError;
use daymark_wire::decode::{
    ExemplarView, KeyValues, LogView, LogVisitor, MetricKind, MetricView, MetricVisitor, PointValue, PointView,
    ResourceView, ScopeView, SpanView, TraceVisitor, Value, Walked, walk_logs, walk_metrics, walk_traces,
};
use daymark_wire::decode::{Number, Temporality};

/// What our walkers see.
pub(crate) fn by_walker(signal: Signal, bytes: &[u8]) -> Result<Vec<String>, DecodeError> {
    let mut seen = Lines::default();
    let walked = match signal {
        Signal::Traces => walk_traces(bytes, &mut seen)?,
        Signal::Logs => walk_logs(bytes, &mut seen)?,
        Signal::Metrics => walk_metrics(bytes, &mut seen)?,
    };
    let Walked { items, rejected, reasons } = walked;
    assert_eq!(reasons.total(), rejected);
    seen.0.push(format!("items {items} rejected {rejected}"));
    Ok(seen.0)
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn resource_line(&mut self, resource: &ResourceView<'_, '_>) {
        self.0.push(format!("resource {} {}", resource.service_name, attributes(&resource.attributes)));
    }

    fn scope_line(&mut self, scope: &ScopeView<'_, '_>) {
        self.0.push(format!("scope {:?} {:?} {}", scope.name, scope.version, attributes(&scope.attributes)));
    }
}

fn attributes(attributes: &KeyValues<'_, '_>) -> String {
    assert_eq!(attributes.len(), attributes.iter().count());
    attributes.iter().map(|(key, value)| format!("{key:?}={};", text(value))).collect()
}

/// A value by way of its iterators; doubles by their bits, so that NaN equals itself.
fn text(value: Value<'_>) -> String {
    match value {
        Value::Empty => "empty".into(),
        Value::Str(text) => format!("{text:?}"),
        Value::Bool(value) => format!("{value}"),
        Value::Int(value) => format!("{value}"),
        Value::Double(value) => format!("d{:x}", value.to_bits()),
        Value::Bytes(bytes) => format!("b{bytes:?}"),
        Value::Array(_) => format!("[{}]", value.items().map(|item| text(item) + ",").collect::<String>()),
        Value::KvList(_) => {
            let entries = value.entries().map(|(key, item)| format!("{key:?}:{},", text(item)));
            format!("{{{}}}", entries.collect::<String>())
        }
    }
}

fn id(id: Option<impl std::fmt::Display>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub(crate) fn bits(value: Option<f64>) -> String {
    value.map(|value| format!("{:x}", value.to_bits())).unwrap_or_default()
}

pub(crate) fn number(number: Option<Number>) -> String {
    match number {
        None => "none".into(),
        Some(Number::Int(value)) => format!("i{value}"),
        Some(Number::Double(value)) => format!("d{:x}", value.to_bits()),
    }
}

impl TraceVisitor for Lines {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.resource_line(resource);
    }

    fn scope(&mut self, scope: &ScopeView<'_, '_>) {
        self.scope_line(scope);
    }

    fn span(&mut self, span: &SpanView<'_, '_>) {
        let mut line = format!(
            "span {} {} {} {:?} kind {} {}..{} status {} {:?} {:?} flags {} dropped {} {} {} {}",
            span.trace_id,
            span.span_id,
            id(span.parent_span_id),
            span.name,
            span.kind,
            span.start.0,
            span.end.0,
            span.status_code,
            span.status_message,
            span.trace_state,
            span.flags,
            span.dropped_attributes_count,
            span.dropped_events_count,
            span.dropped_links_count,
            attributes(&span.attributes),
        );
        for event in span.events.iter() {
            let dropped = event.dropped_attributes_count;
            _ = write!(line, " event {} {:?} {dropped} {}", event.time.0, event.name, attributes(&event.attributes));
        }
        for link in span.links.iter() {
            let (trace_id, span_id) = (id(link.trace_id), id(link.span_id));
            let (state, dropped, flags) = (link.trace_state, link.dropped_attributes_count, link.flags);
            let attributes = attributes(&link.attributes);
            _ = write!(line, " link {trace_id} {span_id} {state:?} {dropped} {flags} {attributes}");
        }
        assert_eq!((span.events.len(), span.links.len()), (span.events.iter().len(), span.links.iter().len()));
        self.0.push(line);
    }
}

impl LogVisitor for Lines {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.resource_line(resource);
    }

    fn scope(&mut self, scope: &ScopeView<'_, '_>) {
        self.scope_line(scope);
    }

    fn log(&mut self, log: &LogView<'_, '_>) {
        self.0.push(format!(
            "log {} {} {} {:?} {} {} {} flags {} {:?} {} {}",
            log.time.0,
            log.observed_time.0,
            log.severity_number,
            log.severity_text,
            text(log.body),
            id(log.trace_id),
            id(log.span_id),
            log.flags,
            log.event_name,
            log.dropped_attributes_count,
            attributes(&log.attributes),
        ));
    }
}

impl MetricVisitor for Lines {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.resource_line(resource);
    }

    fn scope(&mut self, scope: &ScopeView<'_, '_>) {
        self.scope_line(scope);
    }

    fn metric(&mut self, metric: &MetricView<'_, '_>) {
        let temporal = |temporality: Temporality| temporality as i32;
        let kind = match metric.kind {
            MetricKind::Gauge => "gauge".into(),
            MetricKind::Sum { monotonic, temporality } => format!("sum {monotonic} {}", temporal(temporality)),
            MetricKind::Histogram { temporality } => format!("histogram {}", temporal(temporality)),
            MetricKind::ExponentialHistogram { temporality } => format!("exponential {}", temporal(temporality)),
            MetricKind::Summary => "summary".into(),
        };
        let metadata = attributes(&metric.metadata);
        self.0.push(format!("metric {:?} {:?} {:?} {kind} {metadata}", metric.name, metric.unit, metric.description));
    }

    fn point(&mut self, point: &PointView<'_, '_>) {
        let value = match point.value {
            PointValue::Number(value) => number(Some(value)),
            PointValue::Histogram(view) => {
                let bounds: Vec<u64> = view.bounds.iter().map(f64::to_bits).collect();
                let counts: Vec<u64> = view.counts.iter().collect();
                let stats = [view.sum, view.min, view.max].map(bits);
                format!("{} {stats:?} {bounds:?} {counts:?}", view.count)
            }
            PointValue::Exponential(view) => {
                let sides = [view.positive, view.negative].map(|side| {
                    assert_eq!(side.counts.len(), side.counts.iter().count());
                    (side.offset, side.counts.iter().collect::<Vec<u64>>())
                });
                let stats = [view.sum, view.min, view.max, Some(view.zero_threshold)].map(bits);
                format!("{} {} {} {stats:?} {sides:?}", view.count, view.scale, view.zero_count)
            }
            PointValue::Summary(view) => {
                let quantiles: Vec<_> = view.quantiles.iter().map(|(q, v)| (q.to_bits(), v.to_bits())).collect();
                format!("{} {} {quantiles:?}", view.count, bits(Some(view.sum)))
            }
        };
        let exemplars: String = point.exemplars.iter().map(exemplar_view).collect();
        self.0.push(format!(
            "point {}..{} {} {value} {} {exemplars}",
            point.start_time.0,
            point.time.0,
            point.flags,
            attributes(&point.attributes)
        ));
    }
}

fn exemplar_view(exemplar: ExemplarView<'_, '_>) -> String {
    let (time, value) = (exemplar.time.0, number(exemplar.value));
    let (trace_id, span_id) = (id(exemplar.trace_id), id(exemplar.span_id));
    format!(" exemplar {time} {value} {trace_id} {span_id} {}", attributes(&exemplar.filtered_attributes))
}
