//! Late spans of forgotten traces while the store is slow, damaged or away: intake goes on, no trace is called better than
//! it is, and nothing is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daymark_collector::CollectorOptions;
use daymark_guard::{Held, MemoryGate, MemoryOptions};
use daymark_model::{MemoryState, Signal, TenantId};
use daymark_store::TableName;

use crate::otlp::{self, TestSpan, request};
use crate::world::{World, long, options, spans};

async fn send(world: &World, trace: u8, number: u32, parent: Option<u32>) {
    let span = TestSpan::new(trace, number, parent);
    world.send(request(Signal::Traces, otlp::traces(&[span]))).await;
    world.settle().await;
}

/// The segments of a table.
fn segments(dir: &Path, table: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("tables")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let of_table = path.components().any(|part| part.as_os_str() == table);
            if path.is_dir() {
                folders.push(path);
            } else if of_table && path.extension().is_some_and(|end| end == "parquet") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no segments of {table}");
    found
}

/// The segments of a table are away until this is put back.
struct Away(Vec<PathBuf>);

impl Away {
    fn take(dir: &Path, table: &str) -> Away {
        let files = segments(dir, table);
        files.iter().for_each(|file| std::fs::rename(file, file.with_extension("away")).unwrap());
        Away(files)
    }

    fn put_back(self) {
        self.0.iter().for_each(|file| std::fs::rename(file.with_extension("away"), file).unwrap());
    }
}

/// A collector that has forgotten traces 1 and 2, of one span each, which are in the tables.
async fn forgotten(dir: &Path, change: impl Fn(&mut CollectorOptions)) -> World {
    let with = || {
        let mut options = options(dir);
        change(&mut options);
        options
    };
    let world = World::start_with(with()).await;
    for trace in [1, 2] {
        send(&world, trace, 1, None).await;
    }
    world.seal_all().await;
    world.stop().await;
    World::start_with(with()).await
}

/// The row of trace 1: spans, state.
async fn row(world: &World) -> (i64, String) {
    let (spans, _, state) = world.traces().await[&1].clone();
    (spans, state)
}

/// Waits until the row of trace 1 is `expected`.
async fn becomes(world: &World, expected: (i64, &str)) {
    let expected = (expected.0, expected.1.to_owned());
    let began = Instant::now();
    loop {
        let found = row(world).await;
        if found == expected {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{found:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rows of `traces` in the table, without hot ones.
async fn published(world: &World) -> u64 {
    let table = world.handle.store().table(&TenantId::default(), TableName::Traces);
    table.snapshot().await.unwrap().segments.iter().map(|segment| segment.rows).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_spans_wait_for_a_store_that_does_not_answer_and_intake_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let world = forgotten(dir.path(), |_| ()).await;
    let away = Away::take(dir.path(), "spans");
    let before = published(&world).await;
    send(&world, 1, 2, Some(1)).await;
    world.advance(1).await;
    assert_eq!(row(&world).await, (1, "complete".to_owned()), "the row that is in the table");
    let began = Instant::now();
    for number in 0..40 {
        send(&world, 3, 10 + number, None).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "intake stands still: {:?}", began.elapsed());
    assert_eq!(world.traces().await[&3].0, 40, "other traces are seen");
    world.advance(61).await;
    assert_eq!(published(&world).await, before, "no commit claims spans that no row counts");
    away.put_back();
    becomes(&world, (2, "complete")).await;
    world.seal_all().await;
    assert_eq!((row(&world).await, world.traces().await[&3].0), ((2, "complete".to_owned()), 40));
}

/// Scenario: as above, and the collector is killed while the trace waits. Guarantees: the next start finds the late span in
/// the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_span_that_waits_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let world = forgotten(dir.path(), |_| ()).await;
    let away = Away::take(dir.path(), "spans");
    send(&world, 1, 2, Some(1)).await;
    world.advance(61).await;
    let image = world.crash_image();
    away.put_back();
    Away(segments_away(image.path())).put_back();
    let world = World::start(image.path()).await;
    becomes(&world, (2, "complete")).await;
}

/// Takes 95 of 100 parts of the memory.
fn memory_taken(memory: &Arc<MemoryGate>) -> Held {
    let mut held = memory.admit(&TenantId::default()).unwrap();
    held.grow(memory.status().limit_bytes / 100 * 95).unwrap();
    assert_eq!(memory.status().state, MemoryState::Hard);
    held
}

/// Scenario: late spans come while requests hold nearly all of the memory. Guarantees: their trace's stored spans are not
/// read until there is room, everything else goes on, and the trace is whole afterwards; nothing stays counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_spans_wait_for_memory_and_intake_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let memory = MemoryGate::new(MemoryOptions::new(64 << 20));
    let world = forgotten(dir.path(), |options| options.memory = Arc::clone(&memory)).await;
    let held = memory_taken(&memory);
    send(&world, 1, 2, Some(1)).await;
    send(&world, 3, 1, None).await;
    world.advance(1).await;
    assert_eq!(row(&world).await, (1, "complete".to_owned()), "the row that is in the table");
    assert_eq!(world.traces().await[&3].0, 1, "other traces are seen");
    drop(held);
    becomes(&world, (2, "complete")).await;
    world.seal_all().await;
    world.advance(1).await;
    assert_eq!((row(&world).await, memory.status().used_bytes), ((2, "complete".to_owned()), 0));
}

/// Guarantee: what is read back is counted, and a trace for which there is no room within `late_spans_wait_ms` keeps its
/// counts and is truncated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_for_which_memory_has_no_room_in_time_is_truncated() {
    for (left_bytes, state) in [(100, "truncated"), (4 << 20, "complete")] {
        let dir = tempfile::tempdir().unwrap();
        // Neither soft nor hard, or it would not be tried at all.
        let (limit_bytes, soft_percent, hard_percent) = (64 << 20, 1_000, 1_000);
        let options = MemoryOptions { soft_percent, hard_percent, ..MemoryOptions::new(limit_bytes) };
        let memory = MemoryGate::new(options);
        let world = forgotten(dir.path(), |options| {
            options.memory = Arc::clone(&memory);
            options.late_spans_wait_ms = 2_000;
        })
        .await;
        let mut held = memory.admit(&TenantId::default()).unwrap();
        held.grow(limit_bytes - left_bytes).unwrap();
        for trace in [1, 2] {
            send(&world, trace, 2, Some(1)).await;
        }
        becomes(&world, (2, state)).await;
    }
}

fn segments_away(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("tables")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|end| end == "away") => found.push(path.with_extension("parquet")),
                _ => {}
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_whose_spans_cannot_be_read_in_time_keeps_its_counts_and_is_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let world = forgotten(dir.path(), |options| options.late_spans_wait_ms = 300).await;
    let away = Away::take(dir.path(), "spans");
    send(&world, 1, 2, Some(1)).await;
    becomes(&world, (2, "truncated")).await;
    // The rows of traces are sealed all the same.
    let before = published(&world).await;
    world.advance(61).await;
    let began = Instant::now();
    while published(&world).await == before {
        assert!(began.elapsed() < Duration::from_secs(20), "traces are not sealed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    away.put_back();
    world.seal_all().await;
    world.stop().await;
    let world = World::start(dir.path()).await;
    send(&world, 1, 3, Some(1)).await;
    becomes(&world, (3, "truncated")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_whose_row_cannot_be_read_in_time_is_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let world = forgotten(dir.path(), |options| options.late_spans_wait_ms = 300).await;
    let away = Away::take(dir.path(), "traces");
    send(&world, 1, 2, None).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    away.put_back();
    becomes(&world, (1, "truncated")).await;
}

/// Overwrites the segments of a table.
fn damage(dir: &Path, table: &str) {
    for file in segments(dir, table) {
        let length = std::fs::metadata(&file).unwrap().len() as usize;
        std::fs::write(&file, vec![0x55; length]).unwrap();
    }
}

/// A damaged segment costs what is in it, and never the start of a collector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_starts_beside_a_damaged_segment_of_traces() {
    let dir = tempfile::tempdir().unwrap();
    forgotten(dir.path(), |_| ()).await.stop().await;
    damage(dir.path(), "traces");
    let world = World::start(dir.path()).await;
    send(&world, 3, 1, None).await;
    assert_eq!(spans(&world.rows(&TenantId::default(), TableName::Spans).await), [1, 1, 1]);
}

/// Damage does not pass, so nothing waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_with_spans_in_a_damaged_segment_is_truncated_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = forgotten(dir.path(), |options| options.late_spans_wait_ms = 120_000).await;
    damage(dir.path(), "spans");
    send(&world, 1, 2, Some(1)).await;
    becomes(&world, (2, "truncated")).await;
}

/// Scenario: late spans for two traces whose spans together are more than one look may read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_spans_are_read_within_a_budget_and_traces_beyond_it_are_truncated() {
    for (bytes, state) in [(1, "truncated"), (32 << 20, "complete")] {
        let dir = tempfile::tempdir().unwrap();
        let world = forgotten(dir.path(), |options| options.late_spans_bytes = bytes).await;
        for trace in [1, 2] {
            send(&world, trace, 2, Some(1)).await;
        }
        becomes(&world, (2, state)).await;
        world.seal_all().await;
        let traces = world.traces().await;
        assert!(traces.values().all(|trace| *trace == (2, 0, state.to_owned())), "{traces:?}");
        let batches = world.rows(&TenantId::default(), TableName::Traces).await;
        let analysed = batches.iter().flat_map(|batch| long(batch, "analysed_spans").to_vec()).max();
        assert_eq!(analysed, Some(if bytes == 1 { 1 } else { 2 }));
    }
}
