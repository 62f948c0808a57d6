//! Seal and publish: writes the rows of a table as a segment, as they came, and commits it with the log offset consumed.
//!
//! Where it sits: one thread behind the applier. It takes the seals in order, so offsets of a table never go back;
//! the applier waits while they hold `sealing_bytes`.
//!
//! Invariants:
//! - rows leave memory only after the commit that holds them is durable;
//! - a stop ends, also when the disk does not take a seal: after a few attempts the rows are left to the next start;
//! - the log is released only up to what every table of every tenant has committed, and only after the dedup window
//!   that its frames stand for is on disk.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::error::ArrowError;
use daymark_guard::fault::{self, Fault, Step};
use daymark_guard::{Backoff, BackoffOptions};
use daymark_model::{Classify, ErrorClass, LogOffset};
use daymark_store::{Commit, SegmentFile, SegmentOptions, StoreError, Table, TableName, write_segment_from};

use crate::columns::widen;
use crate::core::{Seal, Shared};
use crate::dedup_file::{self, Snapshot};
use crate::error::CollectorError;
use crate::hot_batch::HotBatch;
use crate::vitals::Failing;

/// Attempts for a seal that fails for another reason than a passing fault of the disk, or while the collector stops: the
/// log keeps the rows, so the next start publishes them.
const MAX_ATTEMPTS: u32 = 5;
/// Waits between attempts.
const WAITS: BackoffOptions = BackoffOptions { first_ms: 50, cap_ms: 5_000 };

/// Publishes seals until none will come any more. Runs on its own thread.
pub(crate) fn run(shared: &Shared) {
    let mut released = LogOffset(0);
    while let Some(seal) = shared.next_seal() {
        shared.vitals.sealing(true);
        fault::hang(Fault::StallSealer);
        let published = publish(shared, &seal);
        shared.vitals.sealing(false);
        if let Err(error) = published {
            // The rows stay in the log and are replayed by the next start.
            shared.fail(error);
            return;
        }
        let safe = shared.seal_published(&seal);
        if safe > released && release(shared, safe) {
            released = safe;
        }
    }
}

fn publish(shared: &Shared, seal: &Seal) -> Result<(), CollectorError> {
    let mut backoff = Backoff::new(WAITS);
    let mut attempts = 0;
    loop {
        attempts += 1;
        shared.vitals.sealing(true);
        let error = match shared.runtime.block_on(write(shared, seal)) {
            Ok(()) => {
                shared.vitals.seal_failing(None);
                return Ok(());
            }
            // An earlier attempt, whose outcome was not known, has arrived.
            Err(StoreError::AlreadyConsumed { .. }) if attempts > 1 => {
                shared.vitals.seal_failing(None);
                return Ok(());
            }
            Err(error) => error,
        };
        let stopping = shared.draining.load(Relaxed) || shared.failure.borrow().is_some();
        shared.vitals.seal_failing(Some(Failing { attempts, why: error.to_string() }));
        let passes = error.class() == ErrorClass::Retry && !stopping;
        tracing::warn!(tenant = %seal.tenant, table = %seal.table, attempts, %error, "seal is not published yet");
        if !passes && attempts >= MAX_ATTEMPTS {
            if stopping {
                tracing::warn!(
                    tenant = %seal.tenant, table = %seal.table, attempts,
                    "stopping without having published all rows: they stay in the ingest log, the next start publishes them"
                );
            }
            return Err(error.into());
        }
        std::thread::sleep(backoff.next_wait(None));
    }
}

async fn write(shared: &Shared, seal: &Seal) -> Result<(), StoreError> {
    let table = shared.store.table(&seal.tenant, seal.table);
    let mut segments = Vec::new();
    match seal.table {
        TableName::Series => {
            let built = seal.batches.iter().map(HotBatch::batch).collect::<Result<Vec<_>, _>>()?;
            let sorted = sorted_by_series(&built)?;
            segments.push(segment(&table, sorted.num_rows(), std::iter::once(Ok(sorted))).await?);
        }
        // Each is sorted by series, as a segment has to be; there is one as a rule.
        name if name.is_sorted_by_series() => {
            for rows in &seal.batches {
                segments.push(segment(&table, rows.count(), rows.batches()).await?);
            }
        }
        _ => {
            let rows = seal.batches.iter().map(HotBatch::count).sum();
            segments.push(segment(&table, rows, seal.batches.iter().flat_map(HotBatch::batches)).await?);
        }
    }
    fault::reach(Step::SealBeforeCommit);
    let after = Some(shared.held(seal));
    table.commit(Commit { after, ..Commit::publish(segments, seal.through) }).await?;
    fault::reach(Step::SealAfterCommit);
    Ok(())
}

/// Writes about `rows` rows, each batch spelled out only when it is its turn.
async fn segment(
    table: &Table,
    rows: usize,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<SegmentFile, StoreError> {
    let wide = batches.map(|batch| Ok(widen(&batch?)?));
    write_segment_from(table, rows, futures::stream::iter(wide), SegmentOptions::default()).await
}

fn sorted_by_series(batches: &[RecordBatch]) -> Result<RecordBatch, StoreError> {
    let all = concat_batches(&TableName::Series.schema(), batches)?;
    let by = ["metric", "series_id", "time_unix_nano"].into_iter().filter_map(|column| all.column_by_name(column));
    let columns: Vec<SortColumn> = by.map(|column| SortColumn { values: Arc::clone(column), options: None }).collect();
    let order = lexsort_to_indices(&columns, None)?;
    Ok(take_record_batch(&all, &order)?)
}

/// Lets the log go up to `safe`; false when the dedup window could not be saved, then the log is kept.
fn release(shared: &Shared, safe: LogOffset) -> bool {
    // During a replay `safe` lies behind what an earlier run had published.
    let published = LogOffset(shared.published.fetch_max(safe.0, Relaxed).max(safe.0));
    let snapshot = Snapshot { published, entries: shared.dedup.entries() };
    fault::reach(Step::TrimBeforeSnapshot);
    match dedup_file::write(&shared.options.data_dir, &snapshot) {
        Ok(()) => {
            fault::reach(Step::TrimAfterSnapshot);
            shared.log.release(safe);
            true
        }
        Err(error) => {
            tracing::warn!(%error, "dedup snapshot not written: the log keeps its segments");
            false
        }
    }
}

/// A thread that fails the collector when it panics, so that the process does not live on without it.
pub(crate) fn spawn(
    name: &'static str,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, CollectorError> {
    struct Watch(&'static str, Arc<Shared>);
    impl Drop for Watch {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.1.fail(CollectorError::Worker(self.0));
            }
        }
    }
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let watch = Watch(name, Arc::clone(&shared));
            work(&shared);
            drop(watch);
        })
        .map_err(|source| CollectorError::Io { path: format!("thread {name}"), source })
}
