//! The `attributes` map column and its `attribute_types` companion.
//!
//! A value is stored as text in a `Map<Utf8, Utf8>`; the types column has one character per entry, in map order,
//! so that the exact OTLP value can be rebuilt (`s` string, `i` integer, `d` double, `b` bool, `y` bytes as base64,
//! `j` array or key-value list as JSON).
//!
//! Resource attributes repeat on every row of a resource: they are turned into text once ([`Encoded`]) and appended
//! as a slice.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, MapArray, StringArray, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Fields};
use arrow::error::ArrowError;
use daymark_wire::decode::Value;

/// Text of one column below this never overflows the 32-bit offsets of Arrow; rows beyond lose their attributes.
/// Admission refuses requests long before ([`crate::CollectorOptions::max_expanded_bytes`]).
const MAX_COLUMN_BYTES: usize = 1 << 30;

/// Builds one map column and its types column.
pub(crate) struct AttributesBuilder {
    offsets: Vec<i32>,
    keys: StringBuilder,
    values: StringBuilder,
    types: StringBuilder,
    scratch: String,
}

/// Attributes already turned into column text.
pub(crate) struct Encoded {
    keys: StringArray,
    values: StringArray,
    types: String,
}

impl Encoded {
    fn text_bytes(&self) -> usize {
        self.keys.value_data().len() + self.values.value_data().len()
    }
}

impl AttributesBuilder {
    pub(crate) fn new() -> AttributesBuilder {
        AttributesBuilder {
            offsets: vec![0],
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            types: StringBuilder::new(),
            scratch: String::new(),
        }
    }

    /// Adds one attribute to the row being built.
    pub(crate) fn push(&mut self, key: &str, value: &Value<'_>) {
        if self.values.values_slice().len() > MAX_COLUMN_BYTES {
            return;
        }
        self.keys.append_value(key);
        let kind = match value {
            Value::Str(text) => {
                self.values.append_value(text);
                's'
            }
            other => {
                self.scratch.clear();
                other.write_text(&mut self.scratch);
                self.values.append_value(&self.scratch);
                other.type_char()
            }
        };
        // Writing to a StringBuilder extends the value that the next append_value closes.
        let _ = self.types.write_char(kind);
    }

    /// Ends the row.
    pub(crate) fn end_row(&mut self) {
        self.types.append_value("");
        self.offsets.push(self.keys.offsets_slice().len() as i32 - 1);
    }

    /// Adds a whole row of attributes encoded before.
    pub(crate) fn row(&mut self, encoded: &Encoded) {
        let room = MAX_COLUMN_BYTES.saturating_sub(self.values.values_slice().len());
        if encoded.text_bytes() <= room
            && self.keys.append_array(&encoded.keys).is_ok()
            && self.values.append_array(&encoded.values).is_ok()
        {
            let _ = self.types.write_str(&encoded.types);
        }
        self.end_row();
    }

    /// Bytes of text held.
    pub(crate) fn size_bytes(&self) -> usize {
        self.keys.values_slice().len() + self.values.values_slice().len() + 8 * self.keys.offsets_slice().len()
    }

    /// The map column of type `map_type` and the types column; the builder is empty afterwards.
    ///
    /// # Errors
    /// When `map_type` is not a map of two text fields: a mistake in the schema.
    pub(crate) fn finish(&mut self, map_type: &DataType) -> Result<(ArrayRef, ArrayRef), ArrowError> {
        let DataType::Map(entries, ordered) = map_type else {
            return Err(ArrowError::SchemaError(format!("expected a map type, got {map_type}")));
        };
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(ArrowError::SchemaError(format!("expected a struct of key and value, got {entries}")));
        };
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        let columns: Vec<ArrayRef> = vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let entries_array = StructArray::try_new(Fields::clone(fields), columns, None)?;
        let map = MapArray::try_new(Arc::clone(entries), offsets, entries_array, None, *ordered)?;
        Ok((Arc::new(map), Arc::new(self.types.finish())))
    }
}

/// Turns attributes into column text once, for many rows.
pub(crate) fn encode<'a>(attributes: impl Iterator<Item = (&'a str, Value<'a>)>) -> Encoded {
    let mut keys = StringBuilder::new();
    let mut values = StringBuilder::new();
    let mut types = String::new();
    let mut scratch = String::new();
    for (key, value) in attributes {
        keys.append_value(key);
        scratch.clear();
        types.push(value.type_char());
        value.write_text(&mut scratch);
        values.append_value(&scratch);
    }
    Encoded { keys: keys.finish(), values: values.finish(), types }
}
