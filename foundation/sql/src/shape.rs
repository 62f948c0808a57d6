//! The tables as SQL shows them: ids as lower-case hex text, everything else as it is stored.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

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

/// The bytes of an id written in lower-case hex; `None` when the text is no id of `bytes` bytes.
pub(crate) fn parse_hex(text: &str, bytes: usize) -> Option<Vec<u8>> {
    if text.len() != 2 * bytes || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    (0..bytes).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}
