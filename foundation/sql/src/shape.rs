//! The tables as SQL shows them: ids as lower-case hex text, histograms of one or two values written out, everything
//! else as it is stored.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use daymark_sketch::Histogram;

/// The column of stored distributions, and those that stand for it in rows of at most two values.
pub(crate) const HIST: &str = "hist";
pub(crate) const HIST_PARTS: [&str; 4] = ["hist_kind", "count", "min", "max"];

/// The schema SQL sees for a stored one.
pub(crate) fn shown_schema(stored: &Schema) -> SchemaRef {
    let shown = |field: &Arc<Field>| match field.data_type() {
        DataType::FixedSizeBinary(_) => Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable())),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(stored.fields().iter().map(shown).collect::<Vec<_>>()))
}

/// The columns of `schema` (a projection of the shown one) out of a stored batch.
pub(crate) fn show(stored: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        let column = stored.column_by_name(field.name());
        let column = column.ok_or_else(|| ArrowError::SchemaError(format!("column {} is missing", field.name())))?;
        Ok(match column.as_fixed_size_binary_opt() {
            Some(ids) => hex_column(ids),
            None if field.name() == HIST => whole_histograms(stored).unwrap_or_else(|| Arc::clone(column)),
            None => Arc::clone(column),
        })
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    // count(*) asks for rows without columns.
    let options = RecordBatchOptions::new().with_row_count(Some(stored.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn hex_column(ids: &FixedSizeBinaryArray) -> ArrayRef {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let width = 2 * usize::try_from(ids.value_length()).unwrap_or(0);
    let mut texts = StringBuilder::with_capacity(ids.len(), ids.len() * width);
    let mut text = String::with_capacity(width);
    for id in ids {
        let Some(id) = id else {
            texts.append_null();
            continue;
        };
        text.clear();
        text.extend(
            id.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)] as char, DIGITS[usize::from(byte & 15)] as char]),
        );
        texts.append_value(&text);
    }
    Arc::new(texts.finish())
}

/// The column of distributions with those of at most two values, which are not stored. `None` when a column is missing.
fn whole_histograms(stored: &RecordBatch) -> Option<ArrayRef> {
    let [kind, count, min, max] = HIST_PARTS.map(|name| stored.column_by_name(name));
    let stored = stored.column_by_name(HIST)?.as_binary_opt::<i32>()?;
    let (kind, count) = (kind?.as_string_opt::<i32>()?, count?.as_primitive_opt::<Int64Type>()?);
    let (min, max) = (min?.as_primitive_opt::<Float64Type>()?, max?.as_primitive_opt::<Float64Type>()?);
    let mut whole = BinaryBuilder::with_capacity(stored.len(), stored.value_data().len());
    for row in 0..stored.len() {
        if stored.is_valid(row) {
            whole.append_value(stored.value(row));
            continue;
        }
        let values = (count.value(row).max(0) as u64, min.value(row) as u64, max.value(row) as u64);
        let few = (kind.value(row) == "hdr").then(|| Histogram::decode_row(None, values.0, values.1, values.2).ok());
        whole.append_option(few.flatten().map(|histogram| histogram.encode()));
    }
    Some(Arc::new(whole.finish()))
}

/// The bytes of an id written in lower-case hex; `None` when the text is no id of `bytes` bytes.
pub(crate) fn parse_hex(text: &str, bytes: usize) -> Option<Vec<u8>> {
    if text.len() != 2 * bytes || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    (0..bytes).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}
