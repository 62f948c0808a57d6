//! Stitching: spans to traces, records to traces by correlation, whichever side comes first.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use daymark_model::{Signal, TenantId};
use daymark_store::{CompactOptions, TableName};

use crate::otlp::{self, TestLog, TestSpan, request};
use crate::world::{World, options, texts};

fn span(trace: u8, number: u32, parent: Option<u32>) -> TestSpan {
    TestSpan::new(trace, number, parent)
}

async fn send_spans(world: &World, spans: &[TestSpan]) {
    world.send(request(Signal::Traces, otlp::traces(spans))).await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_says_what_is_missing_and_late_spans_complete_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    send_spans(&world, &[span(1, 3, Some(2))]).await;
    assert_eq!(world.traces().await[&1], (1, 0, "missing_root".to_owned()));
    let mut root = span(1, 1, None);
    root.error = true;
    send_spans(&world, &[root]).await;
    assert_eq!(world.traces().await[&1], (2, 1, "missing_parents".to_owned()));
    world.advance(6).await;
    assert_eq!(world.traces().await[&1], (2, 1, "missing_parents".to_owned()), "emitted");
    send_spans(&world, &[span(1, 2, Some(1))]).await;
    assert_eq!(world.traces().await[&1], (3, 1, "complete".to_owned()), "late, from memory");
    world.stop().await;
    world = World::start(dir.path()).await;
    send_spans(&world, &[span(1, 4, Some(2))]).await;
    world.advance(1).await;
    assert_eq!(world.traces().await[&1], (4, 1, "complete".to_owned()), "late, from the store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_span_of_an_open_trace_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    send_spans(&world, &[span(1, 1, None), span(1, 2, Some(1))]).await;
    send_spans(&world, &[span(1, 2, Some(1)), span(1, 3, Some(1))]).await;
    assert_eq!(world.traces().await[&1].0, 3);
}

/// Scenario: memory for few traces only; late spans come for traces that were forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_traces_take_late_spans_from_their_stored_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut few = options(dir.path());
    few.max_traces = 8;
    let world = World::start_with(few).await;
    for trace in 0..60 {
        send_spans(&world, &[span(trace, u32::from(trace) + 1, None)]).await;
    }
    world.seal_all().await;
    let late: Vec<TestSpan> =
        (0..60).map(|trace| span(trace, 1_000 + u32::from(trace), Some(u32::from(trace) + 1))).collect();
    for few in late.chunks(7) {
        send_spans(&world, few).await;
    }
    world.seal_all().await;
    let traces = world.traces().await;
    assert_eq!(traces.len(), 60);
    assert!(traces.values().all(|trace| *trace == (2, 0, "complete".to_owned())), "{traces:?}");
}

/// Scenario: of three segments of traces the first and the last are merged, so that an old row of a trace lies in the segment
/// that ends last; then a restart, then a late span. Guarantees: it is added to the newest row, not to the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_span_finds_the_newest_row_among_merged_segments() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    for spans in [span(1, 1, None), span(1, 2, Some(1)), span(2, 3, None)] {
        send_spans(&world, &[spans]).await;
        world.seal_all().await;
    }
    let table = world.handle.store().table(&TenantId::default(), TableName::Traces);
    let segments = table.snapshot().await.unwrap().segments;
    assert_eq!(segments.len(), 3);
    let mut middle = HashSet::from([segments[1].path.clone()]);
    let merge = CompactOptions { fan_in: 2, ..CompactOptions::default() };
    assert_eq!(table.compact(&merge, &mut middle).await.unwrap().unwrap().segments, 2);
    world.stop().await;

    let world = World::start(dir.path()).await;
    send_spans(&world, &[span(1, 4, Some(1))]).await;
    world.seal_all().await;
    assert_eq!(world.traces().await[&1], (3, 0, "complete".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_join_a_trace_by_correlation_whichever_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let log = |body: &str, correlation: &str| TestLog {
        body: body.into(),
        trace: None,
        correlation: Some(correlation.into()),
    };
    let with = |number: u32, correlation: &str| TestSpan {
        correlation: Some(correlation.into()),
        ..span(number as u8, number, None)
    };
    send_spans(&world, &[with(1, "order-1")]).await;
    world.send(request(Signal::Logs, otlp::logs(&[log("span first", "order-1"), log("log first", "order-2")]))).await;
    world.send(request(Signal::Logs, otlp::logs(&[log("alone", "order-3")]))).await;
    let before = world.rows(&TenantId::default(), TableName::Logs).await;
    assert_eq!(joined(&before), [("alone", None), ("log first", None), ("span first", Some(1))].map(owned));
    send_spans(&world, &[with(2, "order-2")]).await;
    let expected = [("alone", None), ("log first", Some(2)), ("span first", Some(1))].map(owned);
    assert_eq!(joined(&world.rows(&TenantId::default(), TableName::Logs).await), expected, "hot");
    world.seal_all().await;
    assert_eq!(joined(&world.rows(&TenantId::default(), TableName::Logs).await), expected, "sealed");
    let traces = world.rows(&TenantId::default(), TableName::Traces).await;
    let ids: Vec<String> = traces.iter().flat_map(|b| texts_of_list(b["correlation_ids"].as_list::<i32>())).collect();
    assert!(ids.contains(&"order-1".to_owned()) && ids.contains(&"order-2".to_owned()), "{ids:?}");
    let spans = world.rows(&TenantId::default(), TableName::Spans).await;
    assert!(texts(&spans, "correlation_id").contains(&"order-1".to_owned()));
}

fn owned((body, trace): (&str, Option<u8>)) -> (String, Option<u8>) {
    (body.to_owned(), trace)
}

/// Body and trace of each record, sorted.
fn joined(batches: &[arrow::array::RecordBatch]) -> Vec<(String, Option<u8>)> {
    let traces = batches.iter().flat_map(|batch| {
        let ids = batch["trace_id"].as_fixed_size_binary();
        (0..ids.len()).map(|row| ids.is_valid(row).then(|| ids.value(row)[15])).collect::<Vec<_>>()
    });
    let mut rows: Vec<(String, Option<u8>)> = texts(batches, "body").into_iter().zip(traces).collect();
    rows.sort();
    rows
}

fn texts_of_list(list: &arrow::array::ListArray) -> Vec<String> {
    list.values().as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}
