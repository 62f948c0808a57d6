use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use daymark_sketch::{Histogram, Sketch};
use daymark_store::series::{FragmentRows, fragments_of};
use daymark_wire::decode::{MetricView, MetricVisitor, ResourceView};
use daymark_wire::walk_metrics;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram as OtlpHistogram, HistogramDataPoint,
    Metric as OtlpMetric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
};
use prost::Message;

use super::*;
use crate::resources::{Resource, Resources};
use crate::stitch::Names;

pub(super) const S: u64 = 1_000_000_000;
pub(super) const T0: u64 = 1_767_225_600 * S;

struct Walk<'r> {
    rollups: &'r mut Rollups,
    series: &'r mut SeriesColumns,
    resources: Resources,
    resource: Option<Arc<Resource>>,
    metric: Metric,
}

impl MetricVisitor for Walk<'_> {
    fn resource(&mut self, view: &ResourceView<'_, '_>) {
        self.resource = Some(self.resources.get(view, &mut Names::new()));
    }

    fn metric(&mut self, view: &MetricView<'_, '_>) {
        self.metric.set(view);
    }

    fn point(&mut self, point: &PointView<'_, '_>) {
        let resource = self.resource.clone().unwrap();
        let from = PointResource { service: &resource.service, text: &resource.text, hash: resource.hash };
        self.rollups.add(
            &self.metric,
            &from,
            point,
            Some(Catalogue { columns: &mut *self.series, offset: LogOffset(1) }),
        );
    }
}

pub(super) fn add(rollups: &mut Rollups, name: &str, unit: &str, data: Data) {
    drop(add_new(rollups, name, unit, data));
}

/// Adds points; the answer is what the catalogue learned.
fn add_new(rollups: &mut Rollups, name: &str, unit: &str, data: Data) -> SeriesColumns {
    let metric = OtlpMetric { name: name.into(), unit: unit.into(), data: Some(data), ..OtlpMetric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let metrics = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    feed(rollups, metrics)
}

pub(super) fn feed(rollups: &mut Rollups, metrics: ResourceMetrics) -> SeriesColumns {
    let bytes = ExportMetricsServiceRequest { resource_metrics: vec![metrics] }.encode_to_vec();
    let mut series = SeriesColumns::new();
    let mut walk = Walk {
        rollups,
        series: &mut series,
        resources: Resources::default(),
        resource: None,
        metric: Metric::default(),
    };
    walk_metrics(&bytes, &mut walk).unwrap();
    series
}

fn number(start_s: u64, at_s: u64, value: f64, label: &str) -> NumberDataPoint {
    let label = AnyValue { value: Some(any_value::Value::StringValue(label.into())) };
    NumberDataPoint {
        start_time_unix_nano: T0 + start_s * S,
        time_unix_nano: T0 + at_s * S,
        attributes: vec![KeyValue { key: "label".into(), value: Some(label), ..KeyValue::default() }],
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

pub(super) fn sum(points: Vec<NumberDataPoint>, temporality: i32) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic: true })
}

pub(super) fn limits(all: usize) -> SeriesLimits {
    SeriesLimits { all, per_metric: all }
}

/// The rows of all resolutions, taken.
pub(super) fn frozen(rollups: &mut Rollups, through: LogOffset) -> [Option<RecordBatch>; LEVELS] {
    let mut rows: [Option<RecordBatch>; LEVELS] = Default::default();
    if let Some(frozen) = rollups.freeze(through) {
        frozen.levels().for_each(|level| rows[level] = Some(frozen.batch(level).unwrap()));
    }
    rows
}

fn rows_of(rollups: &Rollups, level: usize) -> Option<RecordBatch> {
    rollups.fold([true; LEVELS], LogOffset(1)).unwrap()[level].take()
}

/// (window s, count, sum, last) of the 10 s rows, in their order.
fn rows(rollups: &Rollups) -> Vec<(i64, u64, f64, Option<f64>)> {
    let Some(batch) = rows_of(rollups, 0) else { return Vec::new() };
    let rows = FragmentRows::of(&batch).unwrap();
    let row = |row| {
        let fragment = rows.fragment(row).unwrap();
        let window = (fragment.window.0 as i64 - T0 as i64) / S as i64;
        (window, fragment.count, fragment.sum, fragment.last)
    };
    (0..rows.len()).map(row).collect()
}

fn hists(rollups: &Rollups) -> Vec<Option<Histogram>> {
    let batch = rows_of(rollups, 0).unwrap();
    let column = batch["hist"].as_binary::<i32>();
    (0..column.len()).map(|row| column.is_valid(row).then(|| Histogram::decode(column.value(row)).unwrap())).collect()
}

#[test]
fn deltas_sum_gauges_keep_extremes_and_totals_keep_the_newest() {
    let mut deltas = Rollups::new(limits(100));
    add(&mut deltas, "m", "1", sum(vec![number(0, 5, 2.0, "a"), number(5, 10, 3.0, "a"), number(10, 11, 4.0, "a")], 1));
    assert_eq!(
        rows(&deltas),
        [(0, 2, 5.0, Some(3.0)), (10, 1, 4.0, Some(4.0))],
        "a delta ending on an edge lies before it"
    );

    let mut totals = Rollups::new(limits(100));
    add(&mut totals, "m", "1", sum(vec![number(0, 7, 9.0, "a"), number(0, 5, 2.0, "a"), number(0, 10, 12.0, "a")], 2));
    assert_eq!(rows(&totals), [(0, 2, 0.0, Some(9.0)), (10, 1, 0.0, Some(12.0))]);

    let mut gauges = Rollups::new(limits(100));
    let points = vec![number(0, 5, 4.0, "a"), number(0, 3, 7.0, "a"), number(0, 4, 1.0, "b")];
    add(&mut gauges, "m", "1", Data::Gauge(Gauge { data_points: points }));
    let mut seen = rows(&gauges);
    seen.sort_by_key(|row| row.1);
    assert_eq!(seen, [(0, 1, 1.0, Some(1.0)), (0, 2, 11.0, Some(4.0))]);
}

#[test]
fn series_beyond_the_cap_share_one_that_says_so() {
    let mut rollups = Rollups::new(limits(3));
    let points = (0..50).map(|n| number(0, 5, 1.0, &n.to_string())).collect();
    let batch = add_new(&mut rollups, "m", "1", sum(points, 1)).finish().unwrap().0;
    assert_eq!(batch.num_rows(), 4);
    assert_eq!(rows(&rollups).len(), 4);
    assert_eq!(rows(&rollups).iter().map(|row| row.2).sum::<f64>(), 50.0, "nothing is lost");
    let keys = batch["attributes"].as_map().keys().as_string::<i32>().clone();
    assert_eq!(keys.iter().flatten().filter(|key| *key == "otel.metric.overflow").count(), 1);
}

#[test]
fn one_metric_with_too_many_series_leaves_room_for_the_others() {
    let mut rollups = Rollups::new(SeriesLimits { all: 100, per_metric: 3 });
    let points = |n: u64| (0..n).map(|n| number(0, 5, 1.0, &n.to_string())).collect();
    add(&mut rollups, "exploded", "1", sum(points(50), 1));
    let good = add_new(&mut rollups, "good", "1", sum(points(3), 1));
    assert_eq!((rows(&rollups).len(), good.rows()), (3 + 1 + 3, 3));
    assert_eq!(rows(&rollups).iter().map(|row| row.2).sum::<f64>(), 53.0, "nothing is lost");
}

fn explicit(at_s: u64, bounds: &[f64], counts: &[u64]) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: T0,
        time_unix_nano: T0 + at_s * S,
        count: counts.iter().sum(),
        sum: Some(10.0),
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        ..HistogramDataPoint::default()
    }
}

#[test]
fn explicit_buckets_stay_native_and_other_bounds_get_a_fragment_of_their_own() {
    let mut rollups = Rollups::new(limits(100));
    let points = vec![
        explicit(5, &[1.0, 2.0], &[1, 2, 3]),
        explicit(6, &[1.0, 2.0], &[1, 0, 1]),
        explicit(7, &[1.0, 5.0], &[4, 0, 0]),
    ];
    let data = OtlpHistogram { data_points: points, aggregation_temporality: 1 };
    add(&mut rollups, "m", "s", Data::Histogram(data));
    let mut counts: Vec<Vec<u64>> = hists(&rollups)
        .into_iter()
        .map(|hist| match hist.unwrap() {
            Histogram::Explicit(explicit) => explicit.counts,
            Histogram::Hdr(_) => panic!("explicit buckets became HDR"),
        })
        .collect();
    counts.sort();
    assert_eq!(counts, [vec![2, 2, 4], vec![4, 0, 0]]);
    assert_eq!(rows(&rollups).iter().map(|row| row.1).sum::<u64>(), 12);
}

pub(super) fn exponential(sketch: &Sketch, unit: f64) -> Data {
    let exponential = sketch.to_exponential();
    let point = ExponentialHistogramDataPoint {
        start_time_unix_nano: T0 + 10 * S,
        time_unix_nano: T0 + 20 * S,
        count: sketch.count(),
        sum: Some(sketch.sum() as f64 * unit),
        min: sketch.min().map(|value| value as f64 * unit),
        max: sketch.max().map(|value| value as f64 * unit),
        scale: exponential.scale,
        zero_count: exponential.zero_count,
        positive: Some(Buckets { offset: exponential.offset, bucket_counts: exponential.counts }),
        ..ExponentialHistogramDataPoint::default()
    };
    Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 })
}

#[test]
fn foreign_exponential_durations_become_nanoseconds_with_a_stated_error() {
    let mut sketch = Sketch::new();
    (1..=1_000).for_each(|value| sketch.record(value));
    let mut rollups = Rollups::new(limits(100));
    add(&mut rollups, "m", "us", exponential(&sketch, 1.0));
    assert_eq!(rows(&rollups), [(10, 1_000, 500_500e3, None)]);
    let batch = rows_of(&rollups, 0).unwrap();
    assert_eq!(batch["unit"].as_string::<i32>().value(0), "ns");
    let double = |name: &str| batch[name].as_primitive::<Float64Type>().value(0);
    let Some(Histogram::Hdr(hist)) = &hists(&rollups)[0] else { panic!("no distribution") };
    let median = hist.quantile(0.5).unwrap() as f64;
    assert!((median / 500e3 - 1.0).abs() < 0.01, "{median}");
    assert!((0.003..0.02).contains(&double("err_bound")), "{}", double("err_bound"));
}

#[test]
fn a_seal_takes_every_resolution_at_once() {
    let mut rollups = Rollups::new(limits(100));
    add(&mut rollups, "m", "1", sum(vec![number(0, 5, 2.0, "a"), number(30, 35, 3.0, "a")], 1));
    let frozen = frozen(&mut rollups, LogOffset(7)).map(Option::unwrap);
    assert_eq!(frozen.each_ref().map(RecordBatch::num_rows), [2, 1, 1, 1]);
    let sums = frozen.map(|batch| fragments_of(&batch).unwrap().into_values().flatten().map(|f| f.sum).sum::<f64>());
    assert_eq!(sums, [5.0; 4]);
    assert!(rollups.rows() == 0 && rollups.freeze(LogOffset(7)).is_none());
}

#[test]
fn rows_that_are_written_in_pieces_are_those_that_a_reader_gets() {
    let points = |label: u64| {
        let of_window = move |window: u64| number(0, window * 10 + 5, (label + window) as f64, &format!("{label}"));
        (0..4).map(of_window)
    };
    for wanted in [[true; LEVELS], [false, true, false, true]] {
        let mut rollups = Rollups::new(limits(10_000));
        rollups.want(wanted);
        add(&mut rollups, "m", "1", sum((0..5_000).flat_map(points).collect(), 2));
        let frozen = rollups.freeze(LogOffset(7)).unwrap();
        for level in frozen.levels() {
            let pieces: Vec<RecordBatch> = frozen.batches(level).collect::<Result<_, _>>().unwrap();
            let is_finest = frozen.levels().next() == Some(level);
            assert_eq!(pieces.len() > 1, is_finest && level == 0, "level {level}");
            let written = arrow::compute::concat_batches(&pieces[0].schema(), &pieces).unwrap();
            assert_eq!(frozen.coarse_rows(level).is_some(), !is_finest, "coarse rows come with the finest");
            assert_eq!(written, frozen.batch(level).unwrap(), "level {level}");
        }
    }
}

#[test]
fn only_tables_that_lack_the_points_get_them() {
    let mut rollups = Rollups::new(limits(100));
    rollups.want([false, true, false, true]);
    add(&mut rollups, "m", "1", sum(vec![number(0, 5, 2.0, "a")], 1));
    let frozen = frozen(&mut rollups, LogOffset(7));
    assert_eq!(frozen.map(|rows| rows.is_some()), [false, true, false, true]);
}

#[test]
fn a_total_that_was_reset_keeps_what_it_had_reached() {
    let mut rollups = Rollups::new(limits(100));
    // A restart with a new start time, and one without.
    let points = vec![number(0, 2, 10.0, "a"), number(3, 5, 4.0, "a"), number(0, 1, 7.0, "a"), number(3, 9, 1.0, "a")];
    add(&mut rollups, "m", "1", sum(points, 2));
    assert_eq!(rows(&rollups), [(0, 2, 0.0, Some(10.0)), (0, 1, 0.0, Some(4.0)), (0, 1, 0.0, Some(1.0))]);
    for level in 1..LEVELS {
        assert_eq!(rows_of(&rollups, level).unwrap().num_rows(), 3, "level {level}");
    }
}

#[test]
fn the_catalogue_has_a_series_once_a_day() {
    let day = 86_400;
    let mut rollups = Rollups::new(limits(100));
    let mut learned = |at_s: u64, label: &str| {
        let new = add_new(&mut rollups, "m", "1", sum(vec![number(0, at_s, 1.0, label)], 1));
        rollups.freeze(LogOffset(1)).unwrap();
        new.rows()
    };
    assert_eq!([learned(5, "a"), learned(9, "a"), learned(9, "b"), learned(20, "b")], [1, 0, 1, 0]);
    // A delta that ends at midnight is of the day before. Late points do not make it learn the same day again and again.
    assert_eq!([learned(day, "a"), learned(day + 1, "a"), learned(7, "a"), learned(day + 2, "a")], [0, 1, 0, 0]);
}
