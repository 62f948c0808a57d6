//! Merges large segments without decoding them: whole files are read one after the other, checked, and spliced.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::CompactOptions;
use crate::index::checked_parts;
use crate::reader::Segment;
use crate::segment::{SegmentFile, SegmentMeta, Splice, Spliced, can_splice, checksums};
use crate::table::repair::build_index;
use crate::typed::TypedColumn;
use crate::{SegmentOptions, StoreError, Table};

/// How inputs are merged.
pub(super) enum Plan {
    /// Their row groups are copied.
    Splice(Vec<Arc<SegmentMeta>>),
    /// Their rows are written again, so that many small row groups become a large one.
    Rewrite(Vec<Arc<SegmentMeta>>),
}

/// Small inputs are merged among themselves first. Segments of series are sorted into each other.
///
/// # Errors
/// Damage of a footer.
pub(super) async fn plan(
    table: &Table,
    inputs: Vec<Arc<SegmentMeta>>,
    options: &CompactOptions,
) -> Result<Plan, StoreError> {
    if table.name().is_sorted_by_series() {
        return Ok(Plan::Rewrite(inputs));
    }
    let mut small = Vec::new();
    let mut fit = true;
    for input in &inputs {
        let footer = Segment::new(table.clone(), Arc::clone(input)).footer().await?;
        if input.bytes < footer.num_row_groups() as u64 * options.splice_bytes {
            small.push(Arc::clone(input));
        }
        // Without checksums or page index it was written by another writer, or an older version: decoding tells damage.
        let is_known = !input.checksums.is_empty() && footer.offset_index().is_some();
        fit &= is_known && can_splice(table.name(), &footer);
    }
    Ok(match small.len() {
        2.. => Plan::Rewrite(small),
        _ if fit => Plan::Splice(inputs),
        _ => Plan::Rewrite(inputs),
    })
}

/// Writes the merger of `inputs`, which has the columns `typed`.
///
/// # Errors
/// [`StoreError::Compaction`] for a damaged input, faults of the object store.
pub(super) async fn splice(
    table: &Table,
    inputs: &[Arc<SegmentMeta>],
    typed: &[TypedColumn],
    options: &SegmentOptions,
) -> Result<SegmentFile, StoreError> {
    let sum = |of: fn(&SegmentMeta) -> u64| inputs.iter().map(|input| of(input)).sum();
    let mut merger = Splice::new(table, (sum(|input| input.rows), sum(|input| input.bytes)), typed, options)?;
    for input in inputs {
        let named = |error| StoreError::Compaction { path: input.path.clone(), source: Box::new(error) };
        let spliced = read(table, input, options).await.map_err(named)?;
        let work = tokio::task::spawn_blocking(move || merger.add(spliced).map(|()| merger));
        let added = work.await.map_err(|error| StoreError::background(&error))?;
        merger = added.map_err(|error| named(StoreError::parquet(&input.path, error)))?;
    }
    merger.finish(table).await
}

async fn read(table: &Table, input: &Arc<SegmentMeta>, options: &SegmentOptions) -> Result<Spliced, StoreError> {
    let bytes = whole(table, &input.path, input.bytes).await?;
    let (checked, wanted) = (bytes.clone(), Arc::clone(&input.checksums));
    let footer = tokio::task::spawn_blocking(move || checked_footer(&checked, &wanted));
    let footer = footer.await.map_err(|error| StoreError::background(&error))?;
    let footer = footer.map_err(|error| StoreError::parquet(&input.path, error))?;
    let index = match options.index {
        true => {
            let segment = Segment::new(table.clone(), Arc::clone(input));
            index_parts(table, &segment, options.index_page_rows.max(1)).await?
        }
        false => Vec::new(),
    };
    Ok(Spliced { bytes, footer, index })
}

/// The footer of a file that has these checksums, with all that a copy takes over.
fn checked_footer(bytes: &Bytes, wanted: &[u32]) -> Result<Arc<ParquetMetaData>, ParquetError> {
    if *checksums(bytes) != *wanted {
        return Err(ParquetError::General("not the bytes that its checksums are of".to_owned()));
    }
    let options =
        ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required).with_encoding_stats_as_mask(false);
    Ok(Arc::clone(ArrowReaderMetadata::load(bytes, options)?.metadata()))
}

/// The parts of the index; built anew where there is none that can be used.
async fn index_parts(table: &Table, segment: &Segment, page_rows: u32) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let meta = segment.meta();
    if let Some(index) = meta.index.as_ref().filter(|index| index.rows_per_page == page_rows) {
        let (file, rows) = (whole(table, &index.path, index.bytes).await, meta.rows);
        let parts = tokio::task::spawn_blocking(move || {
            checked_parts(&file.map_err(|error| error.to_string())?, rows, page_rows)
        });
        match parts.await.map_err(|error| StoreError::background(&error))? {
            Ok(parts) => return Ok(parts),
            Err(reason) => {
                tracing::warn!(index = %index.path, %reason, "index cannot be read: built anew for a merger")
            }
        }
    }
    let (packed, _) = build_index(table.name(), segment, page_rows).await?;
    Ok(vec![(meta.rows, packed.into())])
}

async fn whole(table: &Table, path: &str, bytes: u64) -> Result<Bytes, StoreError> {
    // The plural is what a cache in front of the store answers.
    let all = 0..bytes;
    let mut read = table.shared().objects.get_ranges(&table.path_of(path), &[all]).await?;
    Ok(read.pop().unwrap_or_default())
}
