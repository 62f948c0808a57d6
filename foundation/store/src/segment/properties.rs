//! How the columns of a table are encoded in Parquet.
//!
//! Measured choices (`docs/formats/tables.md`): dictionaries for text that repeats, none for ids and bodies; deltas for
//! times and offsets; statistics per page only for the times that pages are chosen by; bloom filters for the two ids
//! that are looked up alone.

use arrow::datatypes::{DataType, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::SegmentOptions;
use crate::TableName;
use crate::typed::{Kind, TypedColumn};

/// Largest dictionary of a column in a row group; beyond, values are stored plain.
const DICTIONARY_BYTES: usize = 512 << 10;
/// The same for attributes: a dictionary of thousands of texts is larger than the texts, and takes longer.
const ATTRIBUTE_DICTIONARY_BYTES: usize = 64 << 10;
/// The same for attributes that are whole numbers: beyond, their bytes are split.
const INTEGER_DICTIONARY_BYTES: usize = 16 << 10;
/// A page ends at this size even before its rows are full.
const PAGE_BYTES: usize = 256 << 10;
/// Rows of a page of a table sorted by series: its pages all span the same time, and long ones compress best.
const SERIES_PAGE_ROWS: usize = 20_480;
/// Longest minimum and maximum kept of a text, bytes.
const BOUND_BYTES: usize = 32;
/// Share of look-ups for absent ids that a bloom filter lets through.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Columns with bloom filters.
pub(crate) const BLOOM_COLUMNS: [&str; 2] = ["trace_id", "correlation_id"];

/// The writer's properties for `table`.
pub(super) fn writer_properties(
    table: TableName,
    schema: &Schema,
    rows: usize,
    options: &SegmentOptions,
) -> Result<WriterProperties, ParquetError> {
    let page_rows =
        if table.is_sorted_by_series() { options.page_rows.max(SERIES_PAGE_ROWS) } else { options.page_rows };
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(options.zstd_level)?))
        .set_created_by(concat!("daymark ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(options.page_rows.min(1024))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(BOUND_BYTES))
        .set_column_index_truncate_length(Some(BOUND_BYTES));
    for field in schema.fields() {
        builder = column(builder, field.name(), field.data_type());
    }
    for times in [table.time_column(), table.nanos_column()] {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(times), EnabledStatistics::Page);
    }
    for id in BLOOM_COLUMNS.into_iter().filter(|id| has(schema, id)) {
        let id = ColumnPath::from(id);
        builder = builder
            .set_column_bloom_filter_enabled(id.clone(), true)
            .set_column_bloom_filter_fpp(id.clone(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(id, rows.min(options.row_group_rows).max(1) as u64);
    }
    Ok(builder.build())
}

fn has(schema: &Schema, column: &str) -> bool {
    schema.column_with_name(column).is_some()
}

fn column(builder: WriterPropertiesBuilder, name: &str, data_type: &DataType) -> WriterPropertiesBuilder {
    let path = ColumnPath::from(name);
    let plain = |builder: WriterPropertiesBuilder, encoding| {
        builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path.clone(), encoding)
    };
    if let Some(TypedColumn { kind, .. }) = TypedColumn::parse(name) {
        return typed_column(builder, path, kind);
    }
    match (name, data_type) {
        ("body" | "events" | "links", _) => plain(builder, Encoding::DELTA_LENGTH_BYTE_ARRAY),
        (_, DataType::Timestamp(..) | DataType::Int64) => plain(builder, Encoding::DELTA_BINARY_PACKED),
        ("err_bound", _) => builder,
        // Totals and sums rise slowly, or are whole numbers: most of their bytes repeat, each in its own stream.
        ("sum", _) => plain(builder, Encoding::BYTE_STREAM_SPLIT),
        (_, DataType::Float64) => plain(builder, Encoding::PLAIN),
        ("span_id", _) => plain(builder, Encoding::PLAIN)
            .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None),
        (_, DataType::FixedSizeBinary(_) | DataType::Binary) => {
            plain(builder, Encoding::PLAIN).set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
        }
        (_, DataType::Map(..)) => ["key", "value"].into_iter().fold(builder, |builder, leaf| {
            let leaf = ColumnPath::from(vec![name.to_owned(), "key_value".to_owned(), leaf.to_owned()]);
            builder.set_column_statistics_enabled(leaf, EnabledStatistics::None)
        }),
        (_, DataType::List(item)) => {
            let leaf = ColumnPath::from(vec![name.to_owned(), "list".to_owned(), "element".to_owned()]);
            let builder = builder.set_column_statistics_enabled(leaf.clone(), EnabledStatistics::None);
            match item.data_type() {
                DataType::Int64 => builder
                    .set_column_dictionary_enabled(leaf.clone(), false)
                    .set_column_encoding(leaf, Encoding::BYTE_STREAM_SPLIT),
                _ => builder,
            }
        }
        _ => builder,
    }
}

/// Dictionaries while they are small; beyond, what measures best.
fn typed_column(builder: WriterPropertiesBuilder, path: ColumnPath, kind: Kind) -> WriterPropertiesBuilder {
    match kind {
        Kind::String => builder
            .set_column_dictionary_page_size_limit(path.clone(), ATTRIBUTE_DICTIONARY_BYTES)
            .set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY),
        Kind::Int => builder
            .set_column_dictionary_page_size_limit(path.clone(), INTEGER_DICTIONARY_BYTES)
            .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
        Kind::Double | Kind::Bool => builder,
    }
}
