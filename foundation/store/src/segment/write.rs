//! Writing a segment: Parquet file and text index, both durable before it can be published.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use bytes::Bytes;
use object_store::{ObjectStore, PutMode};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::ParquetMetaData;

use super::properties::writer_properties;
use super::stats::segment_stats;
use super::{IndexMeta, SegmentFile, SegmentMeta};
use crate::index::build_index;
use crate::ulid::new_ulid;
use crate::{StoreError, Table, TableName};

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
    /// Whether the bodies of logs get a text index.
    pub index: bool,
}

impl Default for SegmentOptions {
    fn default() -> SegmentOptions {
        SegmentOptions { zstd_level: 1, row_group_rows: 128 << 10, page_rows: 2048, index_page_rows: 1024, index: true }
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
    let name = table.name();
    check_schema(name, &batches)?;
    let now = table.shared().options.clock.now();
    let stem = new_ulid(now);
    let batches = Arc::new(batches);
    let index = (options.index && name == TableName::Logs).then(|| {
        let (batches, rows_per_page) = (Arc::clone(&batches), options.index_page_rows.max(1));
        tokio::task::spawn_blocking(move || {
            let bodies = batches.iter().filter_map(|batch| batch.column_by_name("body")?.as_string_opt::<i32>());
            build_index(bodies, rows_per_page)
        })
    });
    let path = format!("{stem}.parquet");
    let parquet_path = path.clone();
    let encoded = tokio::task::spawn_blocking({
        let options = options.clone();
        move || encode(name, &batches, &options).map_err(|error| StoreError::parquet(&parquet_path, error))
    });
    let (bytes, footer) = encoded.await.map_err(|error| StoreError::background(&error))??;
    let size = bytes.len() as u64;
    put(table, &path, bytes.into()).await?;
    let mut index_meta = None;
    if let Some(index) = index {
        let packed = index.await.map_err(|error| StoreError::background(&error))??;
        let path = format!("_idx/{stem}.idx");
        index_meta =
            Some(IndexMeta { path: path.clone(), bytes: packed.len() as u64, rows_per_page: options.index_page_rows });
        put(table, &path, packed.into()).await?;
    }
    let stats = segment_stats(name, &footer);
    let meta = SegmentMeta {
        path,
        rows: footer.file_metadata().num_rows().max(0) as u64,
        bytes: size,
        time: stats.time,
        offsets: stats.offsets,
        index: index_meta,
        modified_ms: (now.0 / 1_000_000) as i64,
        stats: stats.json.into(),
    };
    Ok(SegmentFile { meta })
}

async fn put(table: &Table, path: &str, bytes: Bytes) -> Result<(), StoreError> {
    table.shared().objects.put_opts(&table.path_of(path), bytes.into(), PutMode::Create.into()).await?;
    Ok(())
}

fn encode(
    table: TableName,
    batches: &[RecordBatch],
    options: &SegmentOptions,
) -> parquet::errors::Result<(Vec<u8>, ParquetMetaData)> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let properties = writer_properties(table, rows, options)?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    let footer = writer.close()?;
    Ok((bytes, footer))
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
