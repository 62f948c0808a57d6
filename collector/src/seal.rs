//! Seal and publish: sorts the rows of a table, writes them as a segment, commits it with the log offset consumed.
//!
//! Where it sits: one thread behind the applier. It takes the seals in order, so offsets of a table never go back;
//! the applier waits when `seals_in_flight` of them are under way.
//!
//! Invariants:
//! - rows leave memory only after the commit that holds them is durable;
//! - the log is released only up to what every table of every tenant has committed, and only after the dedup window
//!   that its frames stand for is on disk.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use daymark_guard::{Backoff, BackoffOptions};
use daymark_model::{Classify, ErrorClass, LogOffset};
use daymark_store::{Commit, SegmentOptions, StoreError, TableName, write_segment};

use crate::core::{Seal, Shared};
use crate::dedup_file;
use crate::error::CollectorError;

/// Attempts for a seal that fails for another reason than a passing fault of the disk.
const MAX_ATTEMPTS: u32 = 5;
/// Waits between attempts.
const WAITS: BackoffOptions = BackoffOptions { first_ms: 50, cap_ms: 5_000 };

/// Publishes seals until none will come any more. Runs on its own thread.
pub(crate) fn run(shared: &Shared) {
    let mut released = LogOffset(0);
    while let Some(seal) = shared.next_seal() {
        if let Err(error) = publish(shared, &seal) {
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
    let sorted = sort(seal)?;
    let mut backoff = Backoff::new(WAITS);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match shared.runtime.block_on(write(shared, seal, &sorted)) {
            Ok(()) => return Ok(()),
            // An earlier attempt, whose outcome was not known, has arrived.
            Err(StoreError::AlreadyConsumed { .. }) if attempts > 1 => return Ok(()),
            Err(error) => error,
        };
        let passes = error.class() == ErrorClass::Retry && shared.failure.borrow().is_none();
        tracing::warn!(tenant = %seal.tenant, table = %seal.table, attempts, %error, "seal is not published yet");
        if !passes && attempts >= MAX_ATTEMPTS {
            return Err(error.into());
        }
        std::thread::sleep(backoff.next_wait(None));
    }
}

async fn write(shared: &Shared, seal: &Seal, rows: &RecordBatch) -> Result<(), StoreError> {
    let table = shared.store.table(&seal.tenant, seal.table);
    let segment = write_segment(&table, vec![rows.clone()], SegmentOptions::default()).await?;
    table.commit(Commit::publish(vec![segment], seal.through)).await?;
    Ok(())
}

/// Lets the log go up to `safe`; false when the dedup window could not be saved, then the log is kept.
fn release(shared: &Shared, safe: LogOffset) -> bool {
    match dedup_file::write(&shared.options.data_dir, &shared.dedup.entries()) {
        Ok(()) => {
            shared.log.release(safe);
            true
        }
        Err(error) => {
            tracing::warn!(%error, "dedup snapshot not written: the log keeps its segments");
            false
        }
    }
}

/// The rows of a seal in the order of their table: spans by service, name and time; logs and traces by time, equal
/// times as they arrived; metric fragments come sorted.
fn sort(seal: &Seal) -> Result<RecordBatch, ArrowError> {
    let schema = seal.table.schema();
    let rows = match seal.batches.as_slice() {
        [one] => one.clone(),
        many => concat_batches(&schema, many)?,
    };
    let time = rows
        .column_by_name(seal.table.nanos_column())
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| ArrowError::SchemaError(format!("{} has no time column", seal.table)))?;
    let times = time.values();
    let order: Vec<u32> = match seal.table {
        TableName::Metrics10s | TableName::Metrics1m => return Ok(rows),
        TableName::Logs | TableName::Traces => {
            if times.is_sorted() {
                return Ok(rows);
            }
            let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
            order.sort_by_key(|row| times[*row as usize]);
            order
        }
        TableName::Spans => {
            let ranks = ranks(&rows)?;
            let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
            order.sort_by_key(|row| (ranks[*row as usize], times[*row as usize]));
            order
        }
    };
    take_record_batch(&rows, &UInt32Array::from(order))
}

/// Place of each row's (service, name) among all of them: sorting by it compares integers, not strings.
fn ranks(rows: &RecordBatch) -> Result<Vec<u32>, ArrowError> {
    let text = |name: &str| -> Result<&StringArray, ArrowError> {
        let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.ok_or_else(|| ArrowError::SchemaError(format!("no text column {name}")))
    };
    let (services, names) = (text("service_name")?, text("name")?);
    let mut seen: HashMap<(&str, &str), u32> = HashMap::new();
    let mut ids = Vec::with_capacity(rows.num_rows());
    for row in 0..services.len() {
        let next = seen.len() as u32;
        ids.push(*seen.entry((services.value(row), names.value(row))).or_insert(next));
    }
    let mut sorted: Vec<(&(&str, &str), &u32)> = seen.iter().collect();
    sorted.sort_unstable();
    let mut rank_of = vec![0; sorted.len()];
    for (rank, (_, id)) in (0..).zip(&sorted) {
        rank_of[**id as usize] = rank;
    }
    Ok(ids.into_iter().map(|id| rank_of[id as usize]).collect())
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
