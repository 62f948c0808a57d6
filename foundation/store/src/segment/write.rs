//! Writing a segment: Parquet file and index, both durable before it can be published.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use daymark_guard::fault::{self, Step};
use futures::{Stream, TryStreamExt};
use object_store::{ObjectStore, PutMode};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::ParquetMetaData;
use tokio::sync::mpsc;

use super::properties::writer_properties;
use super::stats::segment_stats;
use super::{IndexMeta, SegmentFile, SegmentMeta, checksums};
use crate::index::SegmentIndex;
use crate::typed::{Layout, TypedColumn, TypedOptions};
use crate::ulid::new_ulid;
use crate::{StoreError, Table, TableName, Tally};

/// Batches read ahead of the writer of [`write_segment_from`].
const BATCHES_AHEAD: usize = 2;

/// A row group of a merger ends before its rows take more memory than this: whoever reads it holds a batch of it, and rows
/// that compress well would otherwise be more than a reader can hold.
const GROUP_BYTES: usize = 128 << 20;

/// How a segment is written.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    /// zstd level of the Parquet pages.
    pub zstd_level: i32,
    /// Rows of a row group.
    pub row_group_rows: usize,
    /// Rows of a Parquet page: the fetch quantum.
    pub page_rows: usize,
    /// Rows that one document of the text index stands for.
    pub index_page_rows: u32,
    /// Whether logs get a text index, and series label postings.
    pub index: bool,
    /// Which attributes get a column of their own.
    pub typed: TypedOptions,
}

impl Default for SegmentOptions {
    fn default() -> SegmentOptions {
        SegmentOptions {
            zstd_level: 1,
            row_group_rows: 128 << 10,
            page_rows: 2048,
            index_page_rows: 1024,
            index: true,
            typed: TypedOptions::default(),
        }
    }
}

/// Writes rows (in the order given) as a segment of `table`: Parquet file and index are durable on return, and not yet
/// published. The work runs on blocking threads.
///
/// # Errors
/// [`StoreError::WrongSchema`], [`StoreError::EmptySegment`], faults of the object store.
pub async fn write_segment(
    table: &Table,
    batches: Vec<RecordBatch>,
    options: SegmentOptions,
) -> Result<SegmentFile, StoreError> {
    check_schema(table.name(), &batches)?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    write_segment_from(table, rows, futures::stream::iter(batches.into_iter().map(Ok)), options).await
}

/// Writes rows that arrive batch by batch, `rows` of them, without holding them all: only what they are compressed to.
///
/// # Errors
/// As [`write_segment`], and the first error of `batches`.
pub async fn write_segment_from(
    table: &Table,
    rows: usize,
    batches: impl Stream<Item = Result<RecordBatch, StoreError>> + Unpin,
    options: SegmentOptions,
) -> Result<SegmentFile, StoreError> {
    write_segment_with(table, rows, batches, options, Vec::new()).await
}

/// As [`write_segment_from`]; the attributes of `also` get columns of their own, too.
pub(crate) async fn write_segment_with(
    table: &Table,
    rows: usize,
    batches: impl Stream<Item = Result<RecordBatch, StoreError>> + Unpin,
    options: SegmentOptions,
    also: Vec<TypedColumn>,
) -> Result<SegmentFile, StoreError> {
    let name = table.name();
    let known = table.known_snapshot().typed;
    let stem = new_ulid(table.shared().options.clock.now());
    let path = format!("{stem}.parquet");
    let (sender, mut receiver) = mpsc::channel::<RecordBatch>(BATCHES_AHEAD);
    let work = tokio::task::spawn_blocking(move || {
        let mut encoder: Option<Encoder> = None;
        while let Some(batch) = receiver.blocking_recv() {
            check_schema(name, std::slice::from_ref(&batch))?;
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                None => {
                    let layout = Layout::choose(name, &batch, &also, &known, &options.typed);
                    encoder.insert(Encoder::new(name, path.clone(), layout, rows, &options)?)
                }
            };
            encoder.write(&batch)?;
        }
        encoder.ok_or(StoreError::EmptySegment)?.finish()
    });
    let read = feed(batches, sender).await;
    let encoded = work.await.map_err(|error| StoreError::background(&error))?;
    read?;
    store(table, &stem, encoded?).await
}

/// Hands batches that have rows to whoever works on them, until there are no more or the worker has gone: its error says
/// why.
///
/// # Errors
/// The first error of `batches`.
pub(crate) async fn feed(
    mut batches: impl Stream<Item = Result<RecordBatch, StoreError>> + Unpin,
    worker: mpsc::Sender<RecordBatch>,
) -> Result<(), StoreError> {
    while let Some(batch) = batches.try_next().await? {
        if batch.num_rows() > 0 && worker.send(batch).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes the rows of one file to memory.
struct Encoder {
    path: String,
    layout: Layout,
    writer: ArrowWriter<Vec<u8>>,
    index: Option<SegmentIndex>,
    /// Of metric tables.
    tally: Option<Tally>,
    group_bytes: usize,
}

impl Encoder {
    fn new(
        table: TableName,
        path: String,
        layout: Layout,
        rows: usize,
        options: &SegmentOptions,
    ) -> Result<Encoder, StoreError> {
        let opened = writer_properties(table, layout.schema(), rows, options)
            .and_then(|properties| ArrowWriter::try_new(Vec::new(), Arc::clone(layout.schema()), Some(properties)));
        let writer = opened.map_err(|error| StoreError::parquet(&path, error))?;
        let index = match options.index {
            true => SegmentIndex::begin(table, options.index_page_rows.max(1), &[])?,
            false => None,
        };
        let tally = TableName::METRICS.contains(&table).then(Tally::default);
        Ok(Encoder { path, layout, writer, index, tally, group_bytes: 0 })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let batch_bytes = batch.get_array_memory_size();
        if self.group_bytes + batch_bytes > GROUP_BYTES {
            self.writer.flush().map_err(|error| StoreError::parquet(&self.path, error))?;
            self.group_bytes = 0;
        }
        self.group_bytes += batch_bytes;
        let split = self.layout.split(batch)?;
        self.writer.write(&split).map_err(|error| StoreError::parquet(&self.path, error))?;
        self.tally = self.tally.zip(Tally::of_rows(batch)).map(|(sum, rows)| sum.plus(rows));
        self.index.as_mut().map_or(Ok(()), |index| index.add(batch))
    }

    fn finish(mut self) -> Result<Encoded, StoreError> {
        let footer = self.writer.finish().map_err(|error| StoreError::parquet(&self.path, error))?;
        let bytes = std::mem::take(self.writer.inner_mut());
        let index = match self.index {
            Some(index) => {
                let rows_per_page = index.rows_per_page();
                index.finish()?.map(|packed| (packed, rows_per_page))
            }
            None => None,
        };
        Ok(Encoded { bytes, footer, index, tally: self.tally, layout: self.layout })
    }
}

/// A segment in memory, compressed.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) layout: Layout,
    pub(super) footer: ParquetMetaData,
    pub(super) index: Option<(Vec<u8>, u32)>,
    pub(super) tally: Option<Tally>,
}

/// Makes the files durable.
///
/// # Errors
/// Faults of the object store.
pub(super) async fn store(table: &Table, stem: &str, encoded: Encoded) -> Result<SegmentFile, StoreError> {
    let Encoded { bytes, layout, footer, index, tally } = encoded;
    let path = format!("{stem}.parquet");
    let size = bytes.len() as u64;
    let checksums = checksums(&bytes);
    put(table, &path, bytes.into()).await?;
    fault::reach(Step::SegmentWritten);
    let mut index_meta = None;
    if let Some((packed, rows_per_page)) = index {
        let path = format!("_idx/{stem}.idx");
        index_meta = Some(IndexMeta { path: path.clone(), bytes: packed.len() as u64, rows_per_page });
        put(table, &path, packed.into()).await?;
        fault::reach(Step::IndexWritten);
    }
    let stats = segment_stats(table.name(), layout.schema(), &footer);
    let meta = SegmentMeta {
        path,
        rows: footer.file_metadata().num_rows().max(0) as u64,
        bytes: size,
        time: stats.time,
        offsets: stats.offsets,
        index: index_meta,
        tally,
        modified_ms: (table.shared().options.clock.now().0 / 1_000_000) as i64,
        checksums,
        stats: stats.json.into(),
    };
    Ok(SegmentFile { meta, typed: layout.into_columns() })
}

async fn put(table: &Table, path: &str, bytes: Bytes) -> Result<(), StoreError> {
    table.shared().objects.put_opts(&table.path_of(path), bytes.into(), PutMode::Create.into()).await?;
    Ok(())
}

/// Names, types and nullability have to be the table's, or a later reader would stumble.
fn check_schema(table: TableName, batches: &[RecordBatch]) -> Result<(), StoreError> {
    let expected = table.schema();
    let wrong = |reason| Err(StoreError::WrongSchema { table: table.as_str(), reason });
    for batch in batches {
        let schema = batch.schema_ref();
        if schema.fields().len() != expected.fields().len() {
            return wrong(format!("{} columns, not {}", schema.fields().len(), expected.fields().len()));
        }
        for (got, want) in schema.fields().iter().zip(expected.fields()) {
            if got.name() != want.name() || got.data_type() != want.data_type() {
                return wrong(format!(
                    "column {} {:?} where {} {:?} belongs",
                    got.name(),
                    got.data_type(),
                    want.name(),
                    want.data_type()
                ));
            }
        }
    }
    match batches.iter().any(|batch| batch.num_rows() > 0) {
        true => Ok(()),
        false => Err(StoreError::EmptySegment),
    }
}
