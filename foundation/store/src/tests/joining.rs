//! Compaction of the metric tables: fragments of one window become one row, and every reader sees the same as before.

use std::collections::{BTreeMap, HashSet};

use arrow::array::RecordBatch;
use daymark_model::{LogOffset, SpanId, TraceId, UnixNanos};
use daymark_sketch::{ExplicitHistogram, Histogram, Sketch};
use proptest::prelude::*;

use super::samples::{START, Scene, catalogue, long_column, publish};
use crate::reader::Segment;
use crate::series::{Adding, Exemplar, Fragment, FragmentColumns, Point, SeriesHead, fragments_of, merge};
use crate::{CompactOptions, ReadSpec, Table, TableName};

const WINDOW_NS: u64 = 10_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Shape {
    Gauge,
    Delta,
    Total,
    Hdr,
    Explicit,
}

const SHAPES: [Shape; 5] = [Shape::Gauge, Shape::Delta, Shape::Total, Shape::Hdr, Shape::Explicit];

/// Some values of one series in one window.
#[derive(Clone, Debug)]
struct Part {
    series: usize,
    window: u64,
    /// Later parts of a total are larger.
    step: u64,
    value: u64,
}

fn head(series: usize) -> SeriesHead<'static> {
    let (metric, kind, temporality) = match SHAPES[series] {
        Shape::Gauge => ("a.gauge", "gauge", "none"),
        Shape::Delta => ("b.delta", "counter", "delta"),
        Shape::Total => ("b.total", "counter", "cumulative"),
        Shape::Hdr => ("c.hdr", "histogram", "delta"),
        Shape::Explicit => ("c.explicit", "histogram", "delta"),
    };
    SeriesHead { id: 40 - series as i64, metric, kind, temporality, unit: "1", service: "shop" }
}

fn fragment(part: &Part) -> Fragment<'static> {
    let window = START.plus(part.window * WINDOW_NS);
    let value = part.value as f64;
    let plain = Fragment {
        window,
        start: 0,
        last_time: window.0 + part.step,
        count: 1,
        sum: value,
        min: Some(value),
        max: Some(value),
        last: None,
        hist: None,
        err_bound: 0.0,
        exemplar: Some(Exemplar { trace_id: TraceId([1; 16]), span_id: Some(SpanId([2; 8])), value }),
    };
    let hist = |hist| Some(std::borrow::Cow::Owned(hist));
    match SHAPES[part.series] {
        Shape::Gauge | Shape::Delta => Fragment { last: Some(value), ..plain },
        Shape::Total => {
            let total = (part.window * 1_000 + part.step) as f64;
            Fragment { start: START.0, sum: 0.0, min: None, max: None, last: Some(total), ..plain }
        }
        Shape::Hdr => {
            let mut sketch = Sketch::new();
            sketch.record(part.value);
            Fragment { hist: hist(Histogram::Hdr(sketch)), ..plain }
        }
        Shape::Explicit => {
            // Now and then other bounds, which cannot be joined.
            let bound = if part.step.is_multiple_of(7) { 5.0 } else { 50.0 };
            let counts = vec![u64::from(value <= bound), u64::from(value > bound)];
            let explicit = ExplicitHistogram::new(vec![bound], counts, value, None, None).unwrap();
            Fragment { hist: hist(Histogram::Explicit(explicit)), ..plain }
        }
    }
}

fn batch(parts: &[Part], offset: u64) -> RecordBatch {
    let mut rows: Vec<(SeriesHead<'_>, Fragment<'_>)> =
        parts.iter().map(|part| (head(part.series), fragment(part))).collect();
    rows.sort_by_key(|(head, row)| (head.metric, head.id, row.window, row.last_time));
    let mut columns = FragmentColumns::default();
    for (head, row) in rows {
        columns.push(head, &row, LogOffset(offset)).unwrap();
    }
    columns.finish().unwrap()
}

async fn rows(table: &Table) -> Vec<RecordBatch> {
    let mut rows = Vec::new();
    for meta in table.snapshot().await.unwrap().segments.iter() {
        rows.extend(Segment::new(table.clone(), meta.clone()).read(&ReadSpec::default()).await.unwrap());
    }
    rows
}

fn points(rows: &[RecordBatch]) -> BTreeMap<i64, (Vec<Point>, u64)> {
    let mut fragments: BTreeMap<i64, Vec<Fragment<'static>>> = BTreeMap::new();
    for batch in rows {
        for (id, more) in fragments_of(batch).unwrap() {
            fragments.entry(id).or_default().extend(more);
        }
    }
    let cumulative = |id: i64| Adding::of(head((40 - id) as usize).kind, head((40 - id) as usize).temporality);
    let merged = |(id, all)| (id, merge(all, cumulative(id) == Adding::Cumulative, UnixNanos(0)));
    fragments.into_iter().map(merged).collect()
}

fn parts() -> impl Strategy<Value = Vec<Vec<Part>>> {
    let part = (0..SHAPES.len(), 0..4_u64, 1..100_u64, 0..200_u64).prop_map(|(series, window, step, value)| Part {
        series,
        window,
        step,
        value,
    });
    prop::collection::vec(prop::collection::vec(part, 1..25), 2..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn joined_windows_are_the_fragments_they_were_made_of(segments in parts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::new();
            let table = scene.table(TableName::Metrics10s);
            for (parts, offset) in segments.iter().zip(1..) {
                publish(&table, batch(parts, offset), offset).await;
            }
            let before = rows(&table).await;
            let options = CompactOptions { fan_in: 2, ..CompactOptions::default() };
            let done = table.compact(&options, &mut HashSet::new()).await.unwrap().unwrap();
            let after = rows(&table).await;
            assert_eq!(points(&before), points(&after));
            let count = |rows: &[RecordBatch]| rows.iter().map(RecordBatch::num_rows).sum::<usize>() as u64;
            assert_eq!((done.rows, done.rows_after), (count(&before), count(&after)));

            let all = arrow::compute::concat_batches(&TableName::Metrics10s.schema(), &after).unwrap();
            let keys = crate::series::FragmentRows::of(&all).unwrap();
            let key = |row| (keys.head(row).metric, keys.head(row).id, keys.fragment(row).unwrap().window);
            let keys: Vec<_> = (0..all.num_rows()).map(key).collect();
            assert!(keys.is_sorted(), "rows are sorted by metric, series and time");
            // Only other bucket bounds stay apart.
            let twice = keys.windows(2).filter(|pair| pair[0] == pair[1] && pair[0].0 != "c.explicit").count();
            assert_eq!(twice, 0);
            let newest = long_column(&all, "log_offset").into_iter().max().unwrap();
            assert_eq!(newest, segments.len() as u64, "the newest offset of what was joined");
        });
    }
}

/// Scenario: a series written into the catalogue by several seals. Guarantee: one row of it is left a day.
#[tokio::test]
async fn the_catalogue_keeps_one_row_a_series() {
    let scene = Scene::new();
    let table = scene.table(TableName::Series);
    for (offset, series) in [(1, vec![1, 2]), (2, vec![2, 3]), (3, vec![1, 2, 9])] {
        publish(&table, catalogue(offset, &series), offset).await;
    }
    let options = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    let done = table.compact(&options, &mut HashSet::new()).await.unwrap().unwrap();
    assert_eq!((done.rows, done.rows_after), (7, 4));
    let left = rows(&table).await;
    assert_eq!(long_column(&left[0], "series_id"), [1, 2, 3, 9]);
    assert_eq!(long_column(&left[0], "log_offset"), [3, 3, 2, 3]);
}
