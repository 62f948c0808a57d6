//! The `attributes` map column and its `attribute_types` companion.
//!
//! A value is stored as text in a `Map<Utf8, Utf8>`; the types column has one character per entry, in map order,
//! so that the exact OTLP value can be rebuilt (`s` string, `i` integer, `d` double, `b` bool, `y` bytes as base64,
//! `j` array or key-value list as JSON).
//!
//! Resource attributes repeat on every row of a resource: they are turned into text once ([`Encoded`]), and a batch in
//! memory holds each of them once ([`ResourceColumns`]) until [`widen`] repeats them for a reader or a file.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, MapArray, RecordBatch, StringArray, StringBuilder, StructArray,
    UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef, UInt32Type};
use arrow::error::ArrowError;
use daymark_store::TableName;
use daymark_wire::decode::Value;

use crate::columns::renew;
use crate::keyed::IdMap;

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
        let mut next = Vec::with_capacity(self.offsets.len());
        next.push(0);
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, next).into());
        let columns: Vec<ArrayRef> = vec![Arc::new(renew(&mut self.keys)), Arc::new(renew(&mut self.values))];
        let entries_array = StructArray::try_new(Fields::clone(fields), columns, None)?;
        let map = MapArray::try_new(Arc::clone(entries), offsets, entries_array, None, *ordered)?;
        Ok((Arc::new(map), Arc::new(renew(&mut self.types))))
    }
}

/// Builds the columns of resource attributes: a dictionary of the resources and a number for each row.
pub(crate) struct ResourceColumns {
    rows: Vec<u32>,
    distinct: AttributesBuilder,
    /// Number of each resource, by where it is in memory; they are kept, so that a place stands for one.
    known: IdMap<u64, u32>,
    kept: Vec<Arc<Encoded>>,
}

impl ResourceColumns {
    pub(crate) fn new() -> ResourceColumns {
        ResourceColumns {
            rows: Vec::new(),
            distinct: AttributesBuilder::new(),
            known: IdMap::default(),
            kept: Vec::new(),
        }
    }

    /// Adds a row with the attributes of `resource`.
    pub(crate) fn row(&mut self, resource: &Arc<Encoded>) {
        if let Some(&last) = self.rows.last()
            && Arc::ptr_eq(&self.kept[last as usize], resource)
        {
            self.rows.push(last);
            return;
        }
        let next = self.kept.len() as u32;
        let at = *self.known.entry(Arc::as_ptr(resource) as u64).or_insert(next);
        if at == next {
            self.distinct.row(resource);
            self.kept.push(Arc::clone(resource));
        }
        self.rows.push(at);
    }

    /// Bytes held, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.distinct.size_bytes() + 4 * self.rows.len()
    }

    /// The map column and the types column, as dictionaries; the builder is empty afterwards.
    ///
    /// # Errors
    /// When `map_type` is not a map of two text fields: a mistake in the schema.
    pub(crate) fn finish(&mut self, map_type: &DataType) -> Result<(ArrayRef, ArrayRef), ArrowError> {
        let (maps, types) = self.distinct.finish(map_type)?;
        let capacity = self.rows.len();
        let rows = UInt32Array::from(std::mem::replace(&mut self.rows, Vec::with_capacity(capacity)));
        self.known.clear();
        self.kept.clear();
        let maps = DictionaryArray::<UInt32Type>::try_new(rows.clone(), maps)?;
        Ok((Arc::new(maps), Arc::new(DictionaryArray::<UInt32Type>::try_new(rows, types)?)))
    }
}

/// A batch with its dictionaries spelled out: the columns that readers and files have.
///
/// # Errors
/// When a dictionary does not hold the values that its rows ask for: a mistake in this crate.
pub(crate) fn widen(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    if !schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Dictionary(..))) {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let Some(dictionary) = column.as_dictionary_opt::<UInt32Type>() else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        };
        let plain = take(dictionary.values(), dictionary.keys(), None)?;
        fields.push(Arc::new(field.as_ref().clone().with_data_type(plain.data_type().clone())));
        columns.push(plain);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The schema of `table` as batches in memory have it: resource attributes are dictionaries.
pub(crate) fn hot_schema(table: TableName) -> SchemaRef {
    let schema = table.schema();
    let fields = schema.fields().iter().map(|field| match field.name().as_str() {
        "resource_attributes" | "resource_attribute_types" => {
            let values = Box::new(field.data_type().clone());
            let dictionary = DataType::Dictionary(Box::new(DataType::UInt32), values);
            Arc::new(field.as_ref().clone().with_data_type(dictionary))
        }
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()))
}

/// Turns attributes into column text once, for many rows. There is one for every resource and series, so none has room to
/// spare.
pub(crate) fn encode<'a>(attributes: impl Iterator<Item = (&'a str, Value<'a>)>) -> Encoded {
    let mut keys = StringBuilder::with_capacity(0, 0);
    let mut values = StringBuilder::with_capacity(0, 0);
    let mut types = String::new();
    let mut scratch = String::new();
    for (key, value) in attributes {
        keys.append_value(key);
        scratch.clear();
        types.push(value.type_char());
        value.write_text(&mut scratch);
        values.append_value(&scratch);
    }
    let (mut keys, mut values) = (keys.finish(), values.finish());
    keys.shrink_to_fit();
    values.shrink_to_fit();
    types.shrink_to_fit();
    Encoded { keys, values, types }
}
