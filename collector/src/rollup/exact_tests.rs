//! Whatever the order of points, and wherever seals and restarts cut them: the windows of every resolution, merged, are
//! those computed straight from the points.

use std::collections::BTreeMap;

use daymark_sketch::{Histogram, Sketch};
use daymark_store::series::{Fragment, Point, fragments_of, merge};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram as OtlpHistogram, HistogramDataPoint,
    NumberDataPoint, metric::Data, number_data_point,
};
use proptest::prelude::*;

use super::tests::{S, T0, add, frozen, limits, sum};
use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Gauge,
    Delta,
    /// A running total; the value is what was added since the point before.
    Total,
    Explicit,
    Hdr,
}

/// One data point: seconds since [`T0`], and a value.
#[derive(Clone, Debug)]
struct Sent {
    at_s: u64,
    value: u64,
    /// When the series began, for totals.
    start_s: u64,
    total: u64,
}

fn label() -> Vec<KeyValue> {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue("a".into())) });
    vec![KeyValue { key: "label".into(), value, ..KeyValue::default() }]
}

fn data(shape: Shape, sent: &Sent) -> Data {
    let (start, time) = (T0 + sent.start_s * S, T0 + sent.at_s * S);
    let number = |value: u64, start| NumberDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: time,
        attributes: label(),
        value: Some(number_data_point::Value::AsInt(value as i64)),
        ..NumberDataPoint::default()
    };
    match shape {
        Shape::Gauge => Data::Gauge(Gauge { data_points: vec![number(sent.value, 0)] }),
        Shape::Delta => sum(vec![number(sent.value, 0)], 1),
        Shape::Total => sum(vec![number(sent.total, start)], 2),
        Shape::Explicit => {
            let point = HistogramDataPoint {
                time_unix_nano: time,
                attributes: label(),
                count: 1,
                sum: Some(sent.value as f64),
                explicit_bounds: vec![100.0],
                bucket_counts: vec![u64::from(sent.value <= 100), u64::from(sent.value > 100)],
                ..HistogramDataPoint::default()
            };
            Data::Histogram(OtlpHistogram { data_points: vec![point], aggregation_temporality: 1 })
        }
        Shape::Hdr => hdr(sent.value, time),
    }
}

fn hdr(value: u64, time: u64) -> Data {
    let mut sketch = Sketch::new();
    sketch.record(value);
    let exponential = sketch.to_exponential();
    let point = ExponentialHistogramDataPoint {
        time_unix_nano: time,
        attributes: label(),
        count: 1,
        sum: Some(value as f64),
        min: Some(value as f64),
        max: Some(value as f64),
        scale: exponential.scale,
        zero_count: exponential.zero_count,
        positive: Some(Buckets { offset: exponential.offset, bucket_counts: exponential.counts }),
        ..ExponentialHistogramDataPoint::default()
    };
    Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 })
}

/// Count, sum, smallest, largest, newest value of every window; of totals only the increase.
type Windows = BTreeMap<u64, (u64, f64, Option<f64>, Option<f64>, Option<f64>)>;

fn expected(shape: Shape, sent: &[Sent], width_s: u64) -> Windows {
    let mut windows: BTreeMap<u64, Vec<&Sent>> = BTreeMap::new();
    let mut in_time: Vec<&Sent> = sent.iter().collect();
    in_time.sort_by_key(|sent| (sent.at_s, sent.value));
    for sent in in_time {
        windows.entry(sent.at_s / width_s * width_s).or_default().push(sent);
    }
    let of = |inside: Vec<&Sent>| {
        let values = || inside.iter().map(|sent| sent.value as f64);
        let total = values().sum::<f64>();
        if shape == Shape::Total {
            return (0, total, None, None, None);
        }
        let last = inside.last().map(|sent| sent.value as f64).filter(|_| matches!(shape, Shape::Gauge | Shape::Delta));
        let extremes =
            (shape != Shape::Explicit).then(|| (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max)));
        (inside.len() as u64, total, extremes.map(|pair| pair.0), extremes.map(|pair| pair.1), last)
    };
    windows.into_iter().map(|(window, inside)| (window, of(inside))).collect()
}

fn got(shape: Shape, points: &[Point]) -> Windows {
    let of = |point: &Point| match shape {
        Shape::Total => (0, point.sum, None, None, None),
        _ => (point.count, point.sum, point.min, point.max, point.last),
    };
    points.iter().map(|point| ((point.time.0 - T0) / S, of(point))).collect()
}

/// Gives every point of a running total its start and its value: a restart begins a new total.
fn with_totals(mut sent: Vec<Sent>, restarts: &[bool]) -> Vec<Sent> {
    sent.sort_by_key(|sent| sent.at_s);
    sent.dedup_by_key(|sent| sent.at_s);
    let (mut start_s, mut total) = (1, 0);
    for (at, sent) in sent.iter_mut().enumerate() {
        if restarts.get(at).copied().unwrap_or(false) {
            (start_s, total) = (sent.at_s, 0);
        }
        total += sent.value;
        (sent.start_s, sent.total) = (start_s, total);
    }
    sent
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    // Within two hours on either side of a midnight, some within one window.
    let at_s = prop_oneof![82_800..90_000_u64, 86_380..86_420_u64];
    let one = (at_s, 0..1_000_u64).prop_map(|(at_s, value)| Sent { at_s, value, start_s: 0, total: 0 });
    prop::collection::vec(one, 1..60)
}

fn shape() -> impl Strategy<Value = Shape> {
    prop::sample::select(vec![Shape::Gauge, Shape::Delta, Shape::Total, Shape::Explicit, Shape::Hdr])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_resolution_holds_what_was_sent(
        shape in shape(),
        sent in sent(),
        restarts in prop::collection::vec(prop::bool::weighted(0.1), 60),
        keys in prop::collection::vec(any::<u32>(), 60),
        seals in prop::collection::vec(prop::bool::weighted(0.1), 60),
    ) {
        let sent = with_totals(sent, &restarts);
        let mut order: Vec<usize> = (0..sent.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        let mut rollups = Rollups::new(limits(10));
        let mut rows: [Vec<Fragment<'static>>; LEVELS] = Default::default();
        for (step, at) in order.into_iter().enumerate() {
            let unit = if shape == Shape::Hdr { "ns" } else { "1" };
            add(&mut rollups, "m", unit, data(shape, &sent[at]));
            if seals[step] || step + 1 == sent.len() {
                for (rows, frozen) in rows.iter_mut().zip(frozen(&mut rollups, LogOffset(1))) {
                    rows.extend(fragments_of(&frozen.unwrap()).unwrap().into_values().flatten());
                }
            }
        }
        for (rows, resolution) in rows.into_iter().zip(Resolution::ALL) {
            let width_s = resolution.window_ns() / S;
            let (points, unmergeable) = merge(rows, shape == Shape::Total, UnixNanos(0));
            prop_assert_eq!(got(shape, &points), expected(shape, &sent, width_s), "{:?}", resolution);
            prop_assert_eq!(unmergeable, 0);
            for point in &points {
                let window = (point.time.0 - T0) / S;
                let inside = sent.iter().filter(|sent| sent.at_s / width_s * width_s == window);
                match &point.hist {
                    Some(Histogram::Hdr(hist)) => {
                        let mut direct = Sketch::new();
                        inside.for_each(|sent| direct.record(sent.value));
                        prop_assert_eq!(hist, &direct);
                    }
                    Some(Histogram::Explicit(hist)) => {
                        let small = inside.filter(|sent| sent.value <= 100).count() as u64;
                        prop_assert_eq!(&hist.counts, &vec![small, point.count - small]);
                    }
                    None => prop_assert!(!matches!(shape, Shape::Explicit | Shape::Hdr)),
                }
            }
        }
    }
}
