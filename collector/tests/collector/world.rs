//! A collector in a temporary directory, with a clock set by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use daymark_collector::{Collector, CollectorHandle, CollectorOptions};
use daymark_guard::{Clock, Drain, ManualClock};
use daymark_log::LogOptions;
use daymark_model::{LogOffset, TenantId, TimeRange, UnixNanos};
use daymark_store::{HotSource, ReadSpec, Reader, TableName};
use daymark_wire::{Ingest, IngestRequest};

use crate::otlp::T0;

pub struct World {
    pub dir: PathBuf,
    pub clock: Arc<ManualClock>,
    pub handle: CollectorHandle,
    drain: Drain,
}

pub fn options(dir: &Path) -> CollectorOptions {
    let log = LogOptions { min_free_bytes: 0, segment_bytes: 1 << 20, ..LogOptions::new(dir.join("log")) };
    CollectorOptions::new(dir.to_owned(), log)
}

impl World {
    pub async fn start(dir: &Path) -> World {
        World::start_with(options(dir)).await
    }

    pub async fn start_with(options: CollectorOptions) -> World {
        let clock = Arc::new(ManualClock::at(UnixNanos(T0)));
        let drain = Drain::new();
        let dir = options.data_dir.clone();
        let as_clock: Arc<dyn Clock> = clock.clone();
        let handle = Collector::start(options, as_clock, drain.clone()).await.unwrap();
        World { dir, clock, handle, drain }
    }

    pub async fn stop(self) {
        self.drain.begin();
        assert!(self.drain.finished(Duration::from_secs(30)).await, "the collector did not stop");
    }

    /// What a crash now would leave on disk: the log first, so that the tables are never behind what it released.
    pub fn crash_image(&self) -> tempfile::TempDir {
        let image = tempfile::tempdir().unwrap();
        for part in ["log", "dedup.snapshot", "tables"] {
            copy(&self.dir.join(part), &image.path().join(part));
        }
        image
    }

    pub async fn send(&self, request: IngestRequest) {
        self.handle.ingest(request).await.unwrap();
    }

    pub async fn advance(&self, seconds: u64) {
        self.clock.set(self.clock.now().plus(seconds * 1_000_000_000));
        // Upkeep runs at least every 200 ms of real time.
        tokio::time::sleep(Duration::from_millis(450)).await;
    }

    /// Lets everything be sealed and waits until it is published.
    pub async fn seal_all(&self) {
        self.settle().await;
        self.advance(61).await;
        for _ in 0..2_000 {
            if self.handle.status().await.unwrap().hot_rows == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("rows are not published");
    }

    /// Waits until everything durable can be read.
    pub async fn settle(&self) {
        for _ in 0..1_000 {
            let status = self.handle.status().await.unwrap();
            if status.applied >= status.durable {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the applier does not catch up");
    }

    pub fn reader(&self) -> Reader {
        Reader::new(self.handle.store(), Some(Arc::new(self.handle.clone())))
    }

    /// All rows of a table, published and hot.
    pub async fn rows(&self, tenant: &TenantId, table: TableName) -> Vec<RecordBatch> {
        self.settle().await;
        self.view(tenant, table).await.1
    }

    pub async fn view(&self, tenant: &TenantId, table: TableName) -> (LogOffset, Vec<RecordBatch>) {
        let mut view = self.reader().view(tenant, table, TimeRange::ALL).await.unwrap();
        let rows = view.read(&ReadSpec::default()).await.unwrap();
        assert!(view.receipt.complete, "{:?}", view.receipt);
        (view.through, rows)
    }

    /// The newest row of every trace: trace id -> (spans, errors, state).
    pub async fn traces(&self) -> BTreeMap<u8, (i64, i64, String)> {
        let batches = self.rows(&TenantId::default(), TableName::Traces).await;
        let mut newest: BTreeMap<u8, (i64, (i64, i64, String))> = BTreeMap::new();
        for batch in &batches {
            let ids = batch["trace_id"].as_fixed_size_binary();
            for row in 0..batch.num_rows() {
                let summary = (
                    long(batch, "span_count")[row],
                    long(batch, "error_count")[row],
                    batch["state"].as_string::<i32>().value(row).to_owned(),
                );
                let version = long(batch, "version")[row];
                let known = newest.entry(ids.value(row)[15]).or_insert((version, summary.clone()));
                if version >= known.0 {
                    *known = (version, summary);
                }
            }
        }
        newest.into_iter().map(|(id, (_, summary))| (id, summary)).collect()
    }

    /// (metric, window start in seconds after T0) -> (count, sum).
    pub async fn rollups(&self, table: TableName) -> BTreeMap<(String, u64), (i64, f64)> {
        let mut merged: BTreeMap<(String, u64), (i64, f64)> = BTreeMap::new();
        for batch in self.rows(&TenantId::default(), table).await {
            let sums = batch["sum"].as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let metric = batch["metric"].as_string::<i32>().value(row).to_owned();
                let at = (long(&batch, "time_unix_nano")[row] as u64 - T0) / 1_000_000_000;
                let entry = merged.entry((metric, at)).or_default();
                entry.0 += long(&batch, "count")[row];
                entry.1 += sums.value(row);
            }
        }
        merged
    }
}

pub fn long<'b>(batch: &'b RecordBatch, column: &str) -> &'b [i64] {
    batch[column].as_primitive::<Int64Type>().values()
}

/// Values of a text column, nulls as "-".
pub fn texts(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let of = |batch: &RecordBatch| -> Vec<String> {
        let column = batch[column].as_string::<i32>();
        column.iter().map(|value| value.unwrap_or("-").to_owned()).collect()
    };
    batches.iter().flat_map(of).collect()
}

/// The numbers of the spans in `batches`, sorted.
pub fn spans(batches: &[RecordBatch]) -> Vec<u32> {
    let of = |batch: &RecordBatch| -> Vec<u32> {
        let ids = batch["span_id"].as_fixed_size_binary();
        (0..ids.len()).map(|row| u32::from_be_bytes(ids.value(row)[4..].try_into().unwrap())).collect()
    };
    let mut spans: Vec<u32> = batches.iter().flat_map(of).collect();
    spans.sort_unstable();
    spans
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else if from.exists() {
        std::fs::copy(from, to).unwrap();
    }
}
