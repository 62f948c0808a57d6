//! What agents derived from spans and events, on its way into the rollups: the same series, to the bit, as the points of
//! an exponential histogram would make (`docs/formats/derived-metrics.md`).
//!
//! Invariant: the names of a known series are hashed and compared with nothing else; nothing is allocated for it.

use std::sync::Arc;

use daymark_guard::fault::{self, Fault};
use daymark_model::{DERIVED_WINDOW_NS, EVENT_DURATION, SPAN_DURATION};
use daymark_sketch::Sketch;
use daymark_store::Resolution;
use daymark_store::series::Exemplar;
use daymark_wire::decode::Value;
use daymark_wire::{DerivedSource, DerivedView};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::open::{Extras, Open};
use super::series::{Metric, hash_attributes};
use super::{Catalogue, PointResource, Rollups};
use crate::columns::{encode, kind_name, status_name};

impl Rollups {
    /// Adds one derived series of one window; `sketch` holds its durations. As [`Rollups::add`] for the catalogue.
    pub(crate) fn add_derived(&mut self, view: &DerivedView<'_>, sketch: &Sketch, catalogue: Option<Catalogue<'_>>) {
        let slot = self.derived_slot(view);
        let window = view.window.window(Resolution::TenSeconds.window_ns());
        self.note(slot, window, catalogue);
        if !self.wanted.contains(&true) {
            return;
        }
        let exemplar = view.exemplar.and_then(|item| {
            Some(Exemplar { trace_id: item.trace_id?, span_id: item.span_id, value: item.value_ns as f64 })
        });
        let times = (view.window.0, view.window.plus(DERIVED_WINDOW_NS).0);
        let mut add = |open: &mut Open, extras: &mut Extras| {
            open.add_sketch(times, sketch, exemplar, extras);
            Ok(())
        };
        self.put(slot, window, &mut add);
        if fault::active(Fault::MergeRollupTwice) {
            self.put(slot, window, &mut add);
        }
    }

    fn derived_slot(&mut self, view: &DerivedView<'_>) -> u32 {
        let numbers = [view.source as u8, view.kind, view.status, u8::from(view.overflow)].map(u64::from);
        let numbers = numbers.iter().fold(0, |sum, number| sum << 8 | number);
        let service = xxh3_64_with_seed(view.service.as_bytes(), numbers);
        let key = xxh3_64_with_seed(view.name.as_bytes(), service);
        let known = self.derived.get(&key).copied();
        if let Some(slot) = known.and_then(|id| self.known_slot(id)) {
            return slot;
        }
        let metric = Metric::derived(match view.source {
            DerivedSource::Spans => SPAN_DURATION,
            DerivedSource::Events => EVENT_DURATION,
        });
        let service = || [("service.name", Value::Str(view.service))].into_iter();
        let hash = hash_attributes(service());
        if self.derived_from.len() >= self.limits.all {
            self.derived_from.clear();
        }
        let text = Arc::clone(self.derived_from.entry(hash).or_insert_with(|| Arc::new(encode(service()))));
        let resource = PointResource { service: view.service, text: &text, hash };
        let (slot, overflows) = self.slot(&metric, &resource, || attributes(view));
        if !overflows {
            if self.derived.len() >= self.limits.all {
                self.derived.clear();
            }
            self.derived.insert(key, self.slots[slot as usize].series.id);
        }
        slot
    }
}

/// The attributes of a derived point.
fn attributes<'a>(view: &DerivedView<'a>) -> impl Iterator<Item = (&'a str, Value<'a>)> {
    let spans = view.source == DerivedSource::Spans;
    let name = (if spans { "span.name" } else { "event.name" }, Value::Str(view.name));
    let kind = spans.then_some(("span.kind", Value::Str(kind_name(view.kind))));
    let status = ("status.code", Value::Str(status_name(view.status)));
    let overflow = view.overflow.then_some(("otel.metric.overflow", Value::Bool(true)));
    [Some(name), kind, Some(status), overflow].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use daymark_model::{LogOffset, MetricName, SpanId, TraceId, UnixNanos, metric_name};
    use daymark_wire::DerivedExemplar;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
    use opentelemetry_proto::tonic::metrics::v1::{
        Exemplar as OtlpExemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Metric as OtlpMetric,
        ResourceMetrics, ScopeMetrics, exemplar, metric::Data,
    };
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use proptest::prelude::*;

    use super::*;
    use crate::rollup::tests::{S, T0, feed, frozen, limits};

    fn view(source: DerivedSource, kind: u8, status: u8, overflow: bool) -> DerivedView<'static> {
        let (window, distribution) = (UnixNanos(T0), &[][..]);
        DerivedView {
            source,
            service: "shop",
            name: "GET /",
            kind,
            status,
            overflow,
            window,
            distribution,
            exemplar: None,
        }
    }

    fn attribute(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    /// The same series as a point of OTLP.
    fn otlp(view: &DerivedView<'_>, sketch: &Sketch) -> ResourceMetrics {
        let text = |key: &str, text: &str| attribute(key, any_value::Value::StringValue(text.into()));
        let all = attributes(view).map(|(key, value)| match value {
            Value::Str(value) => text(key, value),
            _ => attribute(key, any_value::Value::BoolValue(true)),
        });
        let buckets = sketch.to_exponential();
        let shown = view.exemplar.map(|item| OtlpExemplar {
            value: Some(exemplar::Value::AsDouble(item.value_ns as f64)),
            trace_id: item.trace_id.unwrap().0.into(),
            span_id: item.span_id.unwrap().0.into(),
            ..OtlpExemplar::default()
        });
        let point = ExponentialHistogramDataPoint {
            attributes: all.collect(),
            start_time_unix_nano: view.window.0,
            time_unix_nano: view.window.0 + DERIVED_WINDOW_NS,
            count: sketch.count(),
            sum: Some(sketch.sum() as f64),
            scale: buckets.scale,
            zero_count: buckets.zero_count,
            positive: Some(Buckets { offset: buckets.offset, bucket_counts: buckets.counts }),
            min: sketch.min().map(|value| value as f64),
            max: sketch.max().map(|value| value as f64),
            exemplars: shown.into_iter().collect(),
            ..ExponentialHistogramDataPoint::default()
        };
        let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 };
        let metric = OtlpMetric {
            name: if view.source == DerivedSource::Spans { SPAN_DURATION } else { EVENT_DURATION }.into(),
            unit: "ns".into(),
            metadata: vec![attribute("hdr.sigfig", any_value::Value::IntValue(2))],
            data: Some(Data::ExponentialHistogram(data)),
            ..OtlpMetric::default()
        };
        let resource = Resource { attributes: vec![text("service.name", view.service)], ..Resource::default() };
        let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
        ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope], ..ResourceMetrics::default() }
    }

    prop_compose! {
        fn any_series()(
            kind in 0..=5_u8, status in 0..=2_u8, spans: bool, overflow in prop::bool::weighted(0.1), window in 0..4_u64,
            values in prop::collection::vec(0..1_u64 << 40, 1..12), shown: bool,
        ) -> (DerivedView<'static>, Sketch) {
            let mut sketch = Sketch::new();
            values.iter().for_each(|value| sketch.record(*value));
            let exemplar = shown.then(|| DerivedExemplar {
                end: UnixNanos(T0 + 1),
                trace_id: Some(TraceId([kind + 1; 16])),
                span_id: Some(SpanId([status + 1; 8])),
                value_ns: values[0],
            });
            let source = if spans { DerivedSource::Spans } else { DerivedSource::Events };
            let window = UnixNanos(T0 + window * 10 * S);
            (DerivedView { window, exemplar, ..view(source, kind, status, overflow) }, sketch)
        }
    }

    proptest! {
        #[test]
        fn derived_series_are_those_of_otlp_points_to_the_bit(all in prop::collection::vec(any_series(), 1..30)) {
            let (mut derived, mut points) = (Rollups::new(limits(1_000)), Rollups::new(limits(1_000)));
            for (view, sketch) in &all {
                derived.add_derived(view, sketch, None);
                feed(&mut points, otlp(view, sketch));
            }
            prop_assert_eq!(frozen(&mut derived, LogOffset(1)), frozen(&mut points, LogOffset(1)));
        }
    }

    #[test]
    fn beyond_the_cap_of_series_nothing_is_lost_from_the_counts() {
        let mut rollups = Rollups::new(limits(2));
        let mut sketch = Sketch::new();
        sketch.record(7);
        for kind in (0..=5).chain(0..=5) {
            rollups.add_derived(&view(DerivedSource::Spans, kind, 0, false), &sketch, None);
        }
        let batch = frozen(&mut rollups, LogOffset(1))[0].take().unwrap();
        let counts = batch["count"].as_primitive::<arrow::datatypes::Int64Type>();
        let mut counts: Vec<i64> = counts.values().to_vec();
        counts.sort_unstable();
        assert_eq!(counts, [2, 2, 8]);
    }

    #[test]
    fn a_derived_series_has_no_attribute_and_value_that_the_catalogue_lacks() {
        for (source, metric) in [(DerivedSource::Spans, SPAN_DURATION), (DerivedSource::Events, EVENT_DURATION)] {
            let MetricName::Derived(known) = metric_name(metric) else { panic!("{metric}") };
            let all = (0..=5).flat_map(|kind| (0..=2).map(move |status| (kind, status)));
            for (kind, status) in all {
                for (key, value) in attributes(&view(source, kind, status, status == 1)) {
                    let text = if let Value::Str(text) = value { Some(text) } else { None };
                    assert_eq!(known.why_none_has(key, text), None);
                }
            }
        }
    }
}
