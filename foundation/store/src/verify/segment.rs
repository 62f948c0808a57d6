//! One segment: sizes, checksums, rows, statistics, and its index against one built anew.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Finding;
use super::data::Observed;
use crate::index::{LabelIndex, SegmentIndex, TextIndex, split};
use crate::segment::{CHECKSUM_BLOCK_BYTES, checksums};
use crate::{SegmentMeta, StoreError, Table, TableName};

const RESTORE: &str = "restore the file from a backup; until then queries answer without it and say so";
const REBUILD: &str = "run `daymark store rebuild-index`; until then queries scan the segment";
const REPORT: &str = "the commit says something else than the file; compare both with a backup";

/// The rows read, and what is wrong.
pub(super) async fn check(table: &Table, meta: &Arc<SegmentMeta>) -> (u64, Vec<Finding>) {
    let path = table.path_of(&meta.path);
    let mut findings = Vec::new();
    let bytes = match read(table, &path).await {
        Ok(bytes) => bytes,
        Err(what) => return (0, vec![Finding { file: path.to_string(), offset: None, what, advice: RESTORE }]),
    };
    for (offset, what) in damaged_blocks(meta, &bytes) {
        findings.push(Finding { file: path.to_string(), offset: Some(offset), what, advice: RESTORE });
    }
    if !findings.is_empty() {
        // Whatever else is wrong follows from it.
        return (0, findings);
    }
    let (name, of, data) = (table.name(), Arc::clone(meta), bytes.clone());
    let stored = match &meta.index {
        Some(index) => Some((index.rows_per_page, read(table, &table.path_of(&index.path)).await)),
        None => None,
    };
    let like = stored.clone();
    let read_rows = tokio::task::spawn_blocking(move || {
        let index = like.map(|(rows_per_page, file)| SegmentIndex::begin(name, rows_per_page, &part_rows(file)));
        let mut index = index.transpose().map_err(|error| error.to_string())?.flatten();
        let mut observed = Observed::new(name);
        for batch in batches(&data)? {
            let batch = batch?;
            observed.add(&batch)?;
            if let Some(index) = &mut index {
                index.add(&batch).map_err(|error| error.to_string())?;
            }
        }
        let index = index.map(SegmentIndex::finish).transpose().map_err(|error| error.to_string())?.flatten();
        Ok::<_, String>((observed.rows, observed.disagreements(&of), index))
    });
    match read_rows.await.unwrap_or_else(|error| Err(error.to_string())) {
        Err(what) => {
            let offset = tokio::task::spawn_blocking(move || first_damaged_chunk(&bytes)).await.ok().flatten();
            (0, vec![Finding { file: path.to_string(), offset, what, advice: RESTORE }])
        }
        Ok((rows, wrong, built)) => {
            let of_file = |what| Finding { file: path.to_string(), offset: None, what, advice: REPORT };
            findings.extend(wrong.into_iter().map(of_file));
            if let (Some(built), Some((_, stored))) = (built, stored) {
                findings.extend(check_index(table, meta, stored, built.into()).await);
            }
            (rows, findings)
        }
    }
}

async fn read(table: &Table, path: &Path) -> Result<Bytes, String> {
    let objects = &table.shared().objects;
    match objects.get(path).await {
        Err(object_store::Error::NotFound { .. }) => Err("missing, although the table's log names it".to_owned()),
        got => {
            let got = got.map_err(|error| error.to_string())?;
            got.bytes().await.map_err(|error| error.to_string())
        }
    }
}

fn damaged_blocks(meta: &SegmentMeta, bytes: &Bytes) -> Vec<(u64, String)> {
    if bytes.len() as u64 != meta.bytes {
        return vec![(meta.bytes.min(bytes.len() as u64), format!("{} bytes, not {}", bytes.len(), meta.bytes))];
    }
    if meta.checksums.is_empty() {
        return Vec::new();
    }
    let found = checksums(bytes);
    let wrong = found.iter().zip(meta.checksums.iter()).enumerate().filter(|(_, (found, wanted))| found != wanted);
    let block = |(at, _): (usize, _)| {
        let start = (at * CHECKSUM_BLOCK_BYTES) as u64;
        let end = bytes.len().min((at + 1) * CHECKSUM_BLOCK_BYTES);
        (start, format!("the bytes up to {end} do not have the checksum in the table's log"))
    };
    wrong.map(block).collect()
}

type Batches = Box<dyn Iterator<Item = Result<arrow::array::RecordBatch, String>>>;

fn batches(bytes: &Bytes) -> Result<Batches, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).and_then(|builder| builder.build());
    let reader = reader.map_err(|error| error.to_string())?;
    Ok(Box::new(reader.map(|batch| batch.map_err(|error| error.to_string()))))
}

/// Where the first column chunk begins that cannot be read.
fn first_damaged_chunk(bytes: &Bytes) -> Option<u64> {
    let footer = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).ok()?.metadata().clone();
    let whole = |group: usize, column: usize| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).ok()?;
        let mask = ProjectionMask::leaves(builder.parquet_schema(), [column]);
        let mut reader = builder.with_row_groups(vec![group]).with_projection(mask).build().ok()?;
        reader.try_for_each(|batch| batch.map(|_| ()).ok())
    };
    for (number, group) in footer.row_groups().iter().enumerate() {
        for (column, chunk) in group.columns().iter().enumerate() {
            if whole(number, column).is_none() {
                return Some(chunk.byte_range().0);
            }
        }
    }
    None
}

/// Rows of each part of an index; none when that cannot be told.
fn part_rows(file: Result<Bytes, String>) -> Vec<u64> {
    let parts = file.and_then(|file| split(&file)).unwrap_or_default();
    parts.into_iter().map(|(rows, _)| rows).collect()
}

/// The index on disk against `built`, made from the rows that were just read.
async fn check_index(
    table: &Table,
    meta: &Arc<SegmentMeta>,
    stored: Result<Bytes, String>,
    built: Bytes,
) -> Option<Finding> {
    let index = meta.index.as_ref()?;
    let path = table.path_of(&index.path);
    let wrong = |what: String| Some(Finding { file: path.to_string(), offset: None, what, advice: REBUILD });
    let bytes = match stored {
        Ok(bytes) => bytes,
        Err(what) => return wrong(what),
    };
    if bytes.len() as u64 != index.bytes {
        return wrong(format!("{} bytes, not {}", bytes.len(), index.bytes));
    }
    let (name, rows, rows_per_page) = (table.name(), meta.rows, index.rows_per_page);
    let compared = tokio::task::spawn_blocking(move || {
        if name == TableName::Series {
            return Ok(LabelIndex::open(&built, rows)?.disagreement(&LabelIndex::open(&bytes, rows)?));
        }
        let there = TextIndex::open(&bytes, rows, rows_per_page)?;
        let wanted = TextIndex::open(&built, rows, rows_per_page)?;
        wanted.disagreement(&there).map_err(|error: StoreError| error.to_string())
    });
    match compared.await.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(None) => None,
        Ok(Some(what)) | Err(what) => wrong(what),
    }
}
