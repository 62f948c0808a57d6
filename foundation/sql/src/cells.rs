//! One cell of an answer as JSON or as text.

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow::datatypes::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Number, Value};

/// Integers beyond this lose digits in JavaScript, so they travel as text.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Times as RFC 3339, NULL as nothing.
pub(crate) fn format_options() -> FormatOptions<'static> {
    FormatOptions::default()
        .with_null("")
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
}

/// The cell as JSON: numbers, booleans, lists and maps keep their form, large integers and times are text, binary is
/// lower-case hex.
pub(crate) fn json(array: &dyn Array, row: usize) -> Result<Value, ArrowError> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => integer(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => integer(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => integer(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => integer(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt8 => integer(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => integer(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => integer(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => integer(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float32 => double(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Binary => Value::String(hex(array.as_binary::<i32>().value(row))),
        DataType::FixedSizeBinary(_) => Value::String(hex(array.as_fixed_size_binary().value(row))),
        DataType::List(_) => list(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row))?,
        DataType::Map(..) => map(&array.as_map().value(row))?,
        DataType::Struct(_) => record(array.as_struct(), row)?,
        _ => Value::String(plain(array, row)?),
    })
}

/// The cell as text; NULL is empty, what is nested is JSON.
pub(crate) fn text(array: &dyn Array, row: usize) -> Result<String, ArrowError> {
    if array.is_null(row) {
        return Ok(String::new());
    }
    match array.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) | DataType::Struct(_) => {
            Ok(json(array, row)?.to_string())
        }
        DataType::Binary => Ok(hex(array.as_binary::<i32>().value(row))),
        _ => plain(array, row),
    }
}

fn plain(array: &dyn Array, row: usize) -> Result<String, ArrowError> {
    Ok(ArrayFormatter::try_new(array, &format_options())?.value(row).to_string())
}

fn integer(value: i128) -> Value {
    match i64::try_from(value) {
        Ok(small) if small.unsigned_abs() <= MAX_SAFE_INTEGER => Value::from(small),
        _ => Value::String(value.to_string()),
    }
}

/// NaN and infinities have no JSON number and are text.
fn double(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}

fn list(values: &dyn Array) -> Result<Value, ArrowError> {
    (0..values.len()).map(|row| json(values, row)).collect::<Result<Vec<Value>, _>>().map(Value::Array)
}

fn map(entries: &StructArray) -> Result<Value, ArrowError> {
    let (keys, values) = (entries.column(0), entries.column(1));
    let mut object = Map::new();
    for row in 0..entries.len() {
        object.insert(plain(keys, row)?, json(values, row)?);
    }
    Ok(Value::Object(object))
}

fn record(fields: &StructArray, row: usize) -> Result<Value, ArrowError> {
    let names = fields.column_names().into_iter().map(str::to_owned);
    let values = fields.columns().iter().map(|column| json(column, row));
    names.zip(values).map(|(name, value)| Ok((name, value?))).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
