//! Footers, bloom filters and indexes of a segment: read once, then from the cache.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use daymark_model::UnixNanos;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::segment::PageTimes;
use crate::cache::Kind;
use crate::index::{LabelIndex, TextIndex};
use crate::{IndexMeta, SegmentMeta, StoreError, Table, TableName};

/// The end of the file that is read first: footer and page index of a full segment fit in.
const FOOTER_HINT_BYTES: usize = 256 << 10;
/// A bloom filter of a row group is never larger.
const MAX_BLOOM_BYTES: i32 = 16 << 20;

/// The bytes of a segment's Parquet file. Nearby ranges are fetched in one call.
pub(super) struct SegmentBytes {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl SegmentBytes {
    pub(super) fn new(table: &Table, meta: &SegmentMeta) -> SegmentBytes {
        let objects = Arc::clone(&table.shared().objects);
        SegmentBytes { objects, path: table.path_of(&meta.path), size: meta.bytes }
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for SegmentBytes {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            // The plural is what a cache in front of the store answers.
            let mut read = self.objects.get_ranges(&self.path, &[range]).await.map_err(external)?;
            read.pop().ok_or_else(|| ParquetError::General("no bytes for a range".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move { self.objects.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let reader = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER_HINT_BYTES));
            let size = self.size;
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

/// One range, through the cache in front of the store.
async fn get_range(table: &Table, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
    Ok(table.shared().objects.get_ranges(path, &[range]).await?.pop().unwrap_or_default())
}

/// The footer with page index.
pub(super) async fn footer(table: &Table, meta: &SegmentMeta) -> Result<Arc<ArrowReaderMetadata>, StoreError> {
    let path = table.path_of(&meta.path);
    let cache = &table.shared().cache;
    if let Some(footer) = cache.get(path.as_ref(), Kind::Footer) {
        return Ok(footer);
    }
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let footer = ArrowReaderMetadata::load_async(&mut SegmentBytes::new(table, meta), options)
        .await
        .map_err(|error| StoreError::parquet(path.as_ref(), error))?;
    let footer = Arc::new(footer);
    cache.put(path.as_ref(), Kind::Footer, Arc::clone(&footer), footer.metadata().memory_size());
    Ok(footer)
}

/// The bloom filter of one column in one row group; `None` when it has none.
pub(super) async fn bloom(
    table: &Table,
    meta: &SegmentMeta,
    group: (usize, &RowGroupMetaData),
    column: &str,
) -> Result<Option<Arc<Sbbf>>, StoreError> {
    let (row_group, group) = group;
    let chunk = group.columns().iter().find(|chunk| chunk.column_path().parts() == [column]);
    let Some((offset, length)) = chunk.and_then(|chunk| chunk.bloom_filter_offset().zip(chunk.bloom_filter_length()))
    else {
        return Ok(None);
    };
    let path = table.path_of(&meta.path);
    let kind = || Kind::Bloom { row_group, column: column.to_owned() };
    let cache = &table.shared().cache;
    if let Some(filter) = cache.get(path.as_ref(), kind()) {
        return Ok(Some(filter));
    }
    let damaged = |what: &str| StoreError::parquet(path.as_ref(), ParquetError::General(what.to_owned()));
    let start = u64::try_from(offset).map_err(|_| damaged("negative offset of a bloom filter"))?;
    if !(0..=MAX_BLOOM_BYTES).contains(&length) {
        return Err(damaged("impossible length of a bloom filter"));
    }
    let bytes = get_range(table, &path, start..start + length as u64).await?;
    let filter = Sbbf::from_bytes(&bytes).map_err(|error| StoreError::parquet(path.as_ref(), error))?;
    let filter = Arc::new(filter);
    cache.put(path.as_ref(), kind(), Arc::clone(&filter), bytes.len());
    Ok(Some(filter))
}

/// The text index.
pub(super) async fn text_index(
    table: &Table,
    meta: &SegmentMeta,
    index: &IndexMeta,
) -> Result<Arc<TextIndex>, StoreError> {
    let (rows, rows_per_page) = (meta.rows, index.rows_per_page);
    let open = move |file: Bytes| TextIndex::open(&file, rows, rows_per_page);
    index_file(table, index, open, TextIndex::memory_bytes).await
}

/// The label postings.
pub(super) async fn label_index(
    table: &Table,
    meta: &SegmentMeta,
    index: &IndexMeta,
) -> Result<Arc<LabelIndex>, StoreError> {
    if index.bytes > LabelIndex::MAX_FILE_BYTES {
        let reason = format!("{} bytes, more than {}", index.bytes, LabelIndex::MAX_FILE_BYTES);
        return Err(StoreError::DamagedIndex { path: table.path_of(&index.path).to_string(), reason });
    }
    let rows = meta.rows;
    index_file(table, index, move |file| LabelIndex::open(&file, rows), LabelIndex::memory_bytes).await
}

async fn index_file<I: Send + Sync + 'static>(
    table: &Table,
    index: &IndexMeta,
    open: impl FnOnce(Bytes) -> Result<I, String> + Send + 'static,
    memory_bytes: fn(&I) -> usize,
) -> Result<Arc<I>, StoreError> {
    let path = table.path_of(&index.path);
    let cache = &table.shared().cache;
    if let Some(index) = cache.get(path.as_ref(), Kind::Index) {
        return Ok(index);
    }
    let bytes = get_range(table, &path, 0..index.bytes).await?;
    let opened = tokio::task::spawn_blocking(move || open(bytes))
        .await
        .map_err(|error| StoreError::background(&error))?
        .map_err(|reason| StoreError::DamagedIndex { path: path.to_string(), reason })?;
    let opened = Arc::new(opened);
    cache.put(path.as_ref(), Kind::Index, Arc::clone(&opened), memory_bytes(&opened));
    Ok(opened)
}

/// Times of the pages, from the page index; whole row groups where that is missing.
pub(super) fn page_times(table: TableName, footer: &ParquetMetaData) -> Vec<PageTimes> {
    let mut pages = Vec::new();
    let mut start = 0;
    for (number, group) in footer.row_groups().iter().enumerate() {
        let end = start + group.num_rows().max(0) as u64;
        let whole = PageTimes { rows: start..end, first: UnixNanos(0), last: UnixNanos(u64::MAX) };
        match group_pages(table, footer, number, start, end) {
            Some(found) => pages.extend(found),
            None => pages.push(whole),
        }
        start = end;
    }
    pages
}

fn group_pages(
    table: TableName,
    footer: &ParquetMetaData,
    group: usize,
    start: u64,
    end: u64,
) -> Option<Vec<PageTimes>> {
    let columns = footer.row_group(group).columns();
    let column = columns.iter().position(|chunk| chunk.column_path().parts() == [table.nanos_column()])?;
    let ColumnIndexMetaData::INT64(times) = footer.column_index()?.get(group)?.get(column)? else { return None };
    let locations = footer.offset_index()?.get(group)?.get(column)?.page_locations();
    let nanos = |value: Option<&i64>| value.map(|&value| UnixNanos(value.max(0) as u64));
    let mut pages = Vec::with_capacity(locations.len());
    for (page, location) in locations.iter().enumerate() {
        let row = |location: i64| start + location.max(0) as u64;
        let next = locations.get(page + 1).map_or(end, |next| row(next.first_row_index));
        let (first, last) = (nanos(times.min_value(page))?, nanos(times.max_value(page))?);
        pages.push(PageTimes { rows: row(location.first_row_index)..next, first, last });
    }
    Some(pages)
}
