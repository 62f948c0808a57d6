//! Writing a merger of large segments: their row groups are copied as they are, compressed, and their indexes become parts
//! of one. Decoding the rows and writing them again took 3 to 4 µs a row and made nothing smaller: a row group of a sealed
//! segment has rows enough for its dictionaries (`docs/performance.md`).
//!
//! Invariants:
//! - what is copied has the checksums that the table's log says, so damage is not carried on;
//! - a column of attributes that an input lacks is null in its rows: their attributes stay in the map.

use std::sync::Arc;

use arrow::array::new_null_array;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::writer::SerializedFileWriter;

use super::properties::writer_properties;
use super::write::{Encoded, store};
use super::{SegmentFile, SegmentOptions};
use crate::index::join;
use crate::typed::{Layout, TypedColumn};
use crate::ulid::new_ulid;
use crate::{StoreError, Table, TableName};

/// An input of a merger: a whole Parquet file whose checksums were compared.
pub(crate) struct Spliced {
    pub(crate) bytes: Bytes,
    pub(crate) footer: Arc<ParquetMetaData>,
    /// The parts of its text index with their rows; empty where the merger gets none.
    pub(crate) index: Vec<(u64, Bytes)>,
}

/// Whether the file of `footer` has the columns of `table`, so that its row groups can be copied.
pub(crate) fn can_splice(table: TableName, footer: &ParquetMetaData) -> bool {
    let there = footer.file_metadata().schema_descr();
    let schema = table.schema();
    let Ok(wanted) = parquet::arrow::ArrowSchemaConverter::new().convert(&schema) else { return false };
    wanted.columns().iter().all(|wanted| there.columns().iter().any(|column| column == wanted))
}

/// Grows by one input at a time. Memory holds the file that it becomes.
pub(crate) struct Splice {
    stem: String,
    layout: Layout,
    file: SerializedFileWriter<Vec<u8>>,
    groups: ArrowRowGroupWriterFactory,
    index: Vec<(u64, Bytes)>,
    rows_per_page: u32,
}

impl Splice {
    /// A merger of segments that together have `rows` rows, `bytes` bytes and the columns `typed`.
    ///
    /// # Errors
    /// When the schema cannot be written: a mistake in this crate.
    pub(crate) fn new(
        table: &Table,
        (rows, bytes): (u64, u64),
        typed: &[TypedColumn],
        options: &SegmentOptions,
    ) -> Result<Splice, StoreError> {
        let name = table.name();
        let stem = new_ulid(table.shared().options.clock.now());
        let layout = Layout::of(name, typed);
        let opened = writer_properties(name, layout.schema(), rows as usize, options).and_then(|properties| {
            let memory = Vec::with_capacity(bytes as usize);
            ArrowWriter::try_new(memory, Arc::clone(layout.schema()), Some(properties))?.into_serialized_writer()
        });
        let (file, groups) = opened.map_err(|error| StoreError::parquet(&stem, error))?;
        Ok(Splice { stem, layout, file, groups, index: Vec::new(), rows_per_page: options.index_page_rows.max(1) })
    }

    /// Copies the row groups of `input`.
    ///
    /// # Errors
    /// When its footer does not say what is in it.
    pub(crate) fn add(&mut self, input: Spliced) -> Result<(), ParquetError> {
        for number in 0..input.footer.num_row_groups() {
            self.copy(&input, number)?;
        }
        self.index.extend(input.index);
        Ok(())
    }

    fn copy(&mut self, input: &Spliced, number: usize) -> Result<(), ParquetError> {
        let group = input.footer.row_group(number);
        let mut nulls = self.null_chunks(group)?;
        let wanted = self.file.schema_descr().columns().to_vec();
        let mut out = self.file.next_row_group()?;
        for (leaf, wanted) in wanted.iter().enumerate() {
            let there = group.columns().iter().position(|chunk| chunk.column_descr() == wanted.as_ref());
            match (there, nulls.get_mut(leaf).and_then(Option::take)) {
                (Some(column), _) => out.append_column(&input.bytes, closed(input, number, column)?)?,
                (None, Some(chunk)) => chunk.append_to_row_group(&mut out)?,
                (None, None) => return Err(ParquetError::General(format!("no column {}", wanted.path().string()))),
            }
        }
        out.close()?;
        Ok(())
    }

    /// Chunks of nulls for the columns of attributes that `group` lacks, by the position of their leaves; none when it has
    /// all.
    fn null_chunks(&self, group: &RowGroupMetaData) -> Result<Vec<Option<ArrowColumnChunk>>, ParquetError> {
        let leaves = self.file.schema_descr().columns();
        let own = leaves.len() - self.layout.columns().len();
        let is_there = |name: &str| group.columns().iter().any(|chunk| chunk.column_path().parts() == [name]);
        if leaves[own..].iter().all(|leaf| is_there(leaf.name())) {
            return Ok(Vec::new());
        }
        let mut chunks: Vec<Option<ArrowColumnChunk>> = Vec::new();
        chunks.resize_with(own, || None);
        let writers = self.groups.create_column_writers(self.file.flushed_row_groups().len())?;
        for (mut writer, column) in writers.into_iter().skip(own).zip(self.layout.columns()) {
            let field = column.field();
            if is_there(field.name()) {
                chunks.push(None);
                continue;
            }
            let rows = new_null_array(field.data_type(), group.num_rows().max(0) as usize);
            for leaf in compute_leaves(&field, &rows)? {
                writer.write(&leaf)?;
            }
            chunks.push(Some(writer.close()?));
        }
        Ok(chunks)
    }

    /// Makes the files durable.
    ///
    /// # Errors
    /// Faults of the object store.
    pub(crate) async fn finish(self, table: &Table) -> Result<SegmentFile, StoreError> {
        let Splice { stem, layout, mut file, index, rows_per_page, .. } = self;
        let work = tokio::task::spawn_blocking(move || {
            let footer = file.finish()?;
            let bytes = std::mem::take(file.inner_mut());
            let index = (!index.is_empty()).then(|| (join(&index), rows_per_page));
            Ok(Encoded { bytes, layout, footer, index, tally: None })
        });
        let encoded = work.await.map_err(|error| StoreError::background(&error))?;
        let encoded = encoded.map_err(|error| StoreError::parquet(&stem, error))?;
        store(table, &stem, encoded).await
    }
}

/// What the writer of a chunk knew when it was closed.
fn closed(input: &Spliced, group: usize, column: usize) -> Result<ColumnCloseResult, ParquetError> {
    let metadata: &ColumnChunkMetaData = input.footer.row_group(group).column(column);
    let bounds = input.footer.column_index().and_then(|groups| groups.get(group)?.get(column));
    let pages = input.footer.offset_index().and_then(|groups| groups.get(group)?.get(column));
    Ok(ColumnCloseResult {
        bytes_written: metadata.compressed_size().max(0) as u64,
        rows_written: input.footer.row_group(group).num_rows().max(0) as u64,
        bloom_filter: Sbbf::read_from_column_chunk(metadata, &input.bytes)?,
        column_index: bounds.filter(|bounds| !matches!(bounds, ColumnIndexMetaData::NONE)).cloned(),
        offset_index: pages.cloned(),
        metadata: metadata.clone(),
    })
}
