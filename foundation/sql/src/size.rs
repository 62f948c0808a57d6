//! How many bytes a cell and a column hold.

use arrow::array::{Array, ArrayData, AsArray};
use arrow::datatypes::DataType;

/// Bytes of all rows of the column; a slice counts only what it shows.
pub(crate) fn column_bytes(array: &dyn Array) -> usize {
    data_bytes(&array.to_data())
}

fn data_bytes(data: &ArrayData) -> usize {
    let bytes = data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size());
    bytes + viewed_bytes(data)
}

/// What views point at, which Arrow does not count: the low half of a view's first word is its length.
fn viewed_bytes(data: &ArrayData) -> usize {
    let inside: usize = data.child_data().iter().map(viewed_bytes).sum();
    if !matches!(data.data_type(), DataType::Utf8View | DataType::BinaryView) {
        return inside;
    }
    let lengths = data.buffer::<u128>(0).iter().take(data.len()).map(|view| (*view & u128::from(u32::MAX)) as usize);
    inside + lengths.sum::<usize>()
}

/// Bytes of one cell: the length of a text, of all that a list holds, and at least one of every element.
pub(crate) fn cell_bytes(array: &dyn Array, row: usize) -> usize {
    if row >= array.len() || array.is_null(row) {
        return 0;
    }
    let nested = |inside: &dyn Array| column_bytes(inside).max(inside.len());
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).len(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).len(),
        DataType::Utf8View => array.as_string_view().value(row).len(),
        DataType::Binary => array.as_binary::<i32>().value(row).len(),
        DataType::LargeBinary => array.as_binary::<i64>().value(row).len(),
        DataType::BinaryView => array.as_binary_view().value(row).len(),
        DataType::List(_) => nested(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => nested(&array.as_list::<i64>().value(row)),
        DataType::Map(..) => nested(&array.as_map().value(row)),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| cell_bytes(column, row)).sum(),
        other => other.primitive_width().unwrap_or(16),
    }
}

/// Elements of a list, characters at most of anything else.
pub(crate) fn elements(array: &dyn Array, row: usize) -> usize {
    if row >= array.len() || array.is_null(row) {
        return 0;
    }
    match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row).len(),
        DataType::LargeList(_) => array.as_list::<i64>().value(row).len(),
        _ => cell_bytes(array, row),
    }
}

/// The largest cell of a column. Looks at cells only when the column is larger than `enough`.
pub(crate) fn largest_cell(array: &dyn Array, enough: usize) -> usize {
    let all = column_bytes(array);
    if all <= enough {
        return all;
    }
    (0..array.len()).map(|row| cell_bytes(array, row)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray, StringViewArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn cells_are_measured_by_what_they_show() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None, Some("de")]));
        let views: ArrayRef = Arc::new(StringViewArray::from(vec!["a text longer than a view holds", "b"]));
        let lists: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)]), None]));
        let cells = |array: &ArrayRef| (0..array.len()).map(|row| cell_bytes(array, row)).collect::<Vec<_>>();
        assert_eq!(cells(&texts), [3, 0, 2]);
        assert_eq!(cells(&views), [31, 1]);
        assert_eq!((largest_cell(&views, 20), column_bytes(&views.slice(1, 1))), (31, 17));
        assert_eq!(cells(&lists), [16, 0]);
        assert_eq!(cell_bytes(&lists.slice(1, 1), 0), 0);
        assert_eq!(largest_cell(&texts, 0), 3);
        assert!(column_bytes(&texts.slice(0, 1)) < column_bytes(&texts));
        assert_eq!(column_bytes(&Int64Array::from(vec![1, 2])), 16);
        assert_eq!((elements(&lists, 0), elements(&texts, 2)), (2, 2));
    }
}
