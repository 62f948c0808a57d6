//! Puts the attributes of typed columns back into the map.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{Float64Type, Int64Type, Schema};
use arrow::error::ArrowError;

use super::{Kind, MAP, TYPES, TypedColumn};
use crate::schema::attributes_builder;

/// `batch` of a file without typed columns: their values are in the map, behind them what was in it.
///
/// # Errors
/// When a column has another type than its name says.
pub(crate) fn restore(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let named = |field: &Arc<arrow::datatypes::Field>| TypedColumn::parse(field.name());
    let typed: Vec<(TypedColumn, &ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, column)| Some((named(field)?, column)))
        .collect();
    if typed.is_empty() {
        return Ok(batch);
    }
    let typed = typed.into_iter().map(|(column, values)| Typed::of(column, values)).collect::<Result<Vec<_>, _>>()?;
    let (map, types) = merge(&batch, &typed)?;
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()).filter(|(field, _)| named(field).is_none()) {
        fields.push(Arc::clone(field));
        columns.push(match field.name().as_str() {
            MAP => Arc::clone(&map),
            TYPES => Arc::clone(&types),
            _ => Arc::clone(column),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// A typed column and its values.
struct Typed<'b> {
    key: String,
    kind: Kind,
    values: &'b dyn Array,
}

impl<'b> Typed<'b> {
    fn of(column: TypedColumn, values: &'b ArrayRef) -> Result<Typed<'b>, ArrowError> {
        let TypedColumn { key, kind } = column;
        if values.data_type() != &kind.data_type() {
            let said = format!("column of attribute {key} is {}, not {}", values.data_type(), kind.data_type());
            return Err(ArrowError::SchemaError(said));
        }
        Ok(Typed { key, kind, values: values.as_ref() })
    }

    /// Appends the value of `row` as text.
    fn write(&self, row: usize, out: &mut StringBuilder, scratch: &mut String) {
        scratch.clear();
        match self.kind {
            Kind::String => return out.append_value(self.values.as_string::<i32>().value(row)),
            Kind::Int => _ = write!(scratch, "{}", self.values.as_primitive::<Int64Type>().value(row)),
            Kind::Double => write_double(self.values.as_primitive::<Float64Type>().value(row), scratch),
            Kind::Bool => _ = write!(scratch, "{}", self.values.as_boolean().value(row)),
        }
        out.append_value(&*scratch);
    }
}

/// The map and the types, as far as the batch has them: one may be read without the other.
fn merge(batch: &RecordBatch, typed: &[Typed<'_>]) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    let rows = batch.num_rows();
    let rest = batch.column_by_name(MAP).and_then(|map| map.as_map_opt());
    let rest_types = batch.column_by_name(TYPES).and_then(|types| types.as_string_opt::<i32>());
    let mut map = attributes_builder(rows);
    let mut types = StringBuilder::new();
    let mut scratch = String::new();
    let texts = rest.map(|rest| (rest.keys().as_string_opt::<i32>(), rest.values().as_string_opt::<i32>()));
    let mut row_types = String::new();
    for row in 0..rows {
        row_types.clear();
        for column in typed.iter().filter(|column| column.values.is_valid(row)) {
            row_types.push(column.kind.character());
            if rest.is_some() {
                map.keys().append_value(&column.key);
                column.write(row, map.values(), &mut scratch);
            }
        }
        if let (Some(rest), Some((Some(keys), Some(values)))) = (rest, texts) {
            for entry in rest.value_offsets()[row] as usize..rest.value_offsets()[row + 1] as usize {
                map.keys().append_value(keys.value(entry));
                map.values().append_value(values.value(entry));
            }
        }
        map.append(true)?;
        row_types.push_str(rest_types.map_or("", |types| types.value(row)));
        types.append_value(&row_types);
    }
    Ok((Arc::new(map.finish()), Arc::new(types.finish())))
}

/// A finite number as it is written where OTLP values become text.
pub(super) fn write_double(value: f64, out: &mut String) {
    _ = write!(out, "{value:?}");
}
