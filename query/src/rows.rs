//! Typed access to the columns of record batches.
//!
//! A column that is missing or of another type is damage, reported with its name; it never panics.

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{Int32Type, Int64Type};

use crate::QueryError;

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, QueryError> {
    batch.column_by_name(name).ok_or_else(|| QueryError::Damaged(format!("column {name} is missing")))
}

fn typed<'a, A>(batch: &'a RecordBatch, name: &str, array: Option<&'a A>) -> Result<&'a A, QueryError> {
    array.ok_or_else(|| {
        let found = batch.column_by_name(name).map(|column| column.data_type().to_string());
        QueryError::Damaged(format!("column {name} has the type {}", found.unwrap_or_default()))
    })
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $array:ty, $cast:expr) => {
        $(#[$doc])*
        pub(crate) fn $name<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a $array, QueryError> {
            let column = column(batch, name)?;
            typed(batch, name, $cast(column))
        }
    };
}

getter!(strings, StringArray, |column: &'a ArrayRef| column.as_string_opt::<i32>());
getter!(longs, Int64Array, |column: &'a ArrayRef| column.as_primitive_opt::<Int64Type>());
getter!(ints, Int32Array, |column: &'a ArrayRef| column.as_primitive_opt::<Int32Type>());
getter!(ids, FixedSizeBinaryArray, |column: &'a ArrayRef| column.as_fixed_size_binary_opt());
getter!(maps, MapArray, |column: &'a ArrayRef| column.as_map_opt());
getter!(lists, ListArray, |column: &'a ArrayRef| column.as_list_opt::<i32>());

/// The value at `row`, `None` for null.
pub(crate) fn text(array: &StringArray, row: usize) -> Option<&str> {
    (!array.is_null(row)).then(|| array.value(row))
}

/// The id at `row` as lower-case hex, `None` for null.
pub(crate) fn hex(array: &FixedSizeBinaryArray, row: usize) -> Option<String> {
    (!array.is_null(row)).then(|| hex_text(array.value(row)))
}

/// Lower-case hex.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)] as char).collect()
}

/// The texts of the list at `row`.
pub(crate) fn texts(array: &ListArray, row: usize) -> Vec<String> {
    let values = array.value(row);
    let Some(values) = values.as_string_opt::<i32>() else { return Vec::new() };
    values.iter().flatten().map(str::to_owned).collect()
}

/// The entries of the map at `row` in their order.
pub(crate) fn entries(array: &MapArray, row: usize) -> impl Iterator<Item = (&str, &str)> {
    let offsets = array.value_offsets();
    let span = offsets[row] as usize..offsets[row + 1] as usize;
    let keys = array.keys().as_string_opt::<i32>();
    let values = array.values().as_string_opt::<i32>();
    keys.zip(values).into_iter().flat_map(move |(keys, values)| {
        span.clone().filter(|at| !values.is_null(*at)).map(|at| (keys.value(at), values.value(at)))
    })
}

/// The value of `key` in the map at `row`.
pub(crate) fn entry<'a>(array: &'a MapArray, row: usize, key: &str) -> Option<&'a str> {
    entries(array, row).find(|(name, _)| *name == key).map(|(_, value)| value)
}
