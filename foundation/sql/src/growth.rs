//! How large the result of a function can become, told from its arguments before it is called.
//!
//! Invariant: [`Growth::of`] is never less than what the function makes, except where it says so.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::size::{cell_bytes, column_bytes, elements};

/// Bytes that one element of a list takes at least, and a value written as text at most.
const ELEMENT_BYTES: u64 = 8;
const NUMBER_TEXT_BYTES: u64 = 32;
/// Compares every letter of one text with every letter of the other: its cell is that table, which bounds its time. Only
/// a line of the table is ever in memory.
const LEVENSHTEIN: &str = "levenshtein";
/// What a pattern may find is not known before; a cell is refused when the largest thinkable one is this much too large.
const PATTERN_SLACK: u64 = 8;

/// What a call may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Largest cell; 0 for functions whose result is no larger than their arguments.
    pub(crate) cell_bytes: u64,
    /// The result and its arguments written out for every row.
    pub(crate) batch_bytes: u64,
}

impl Growth {
    /// The growth of `name(args)` over a batch of `rows`.
    pub(crate) fn of(name: &str, args: &[ColumnarValue], rows: usize) -> Result<Growth> {
        let rule = rule(name);
        let args = args.iter().map(|arg| Arg::new(arg, rule.is_some())).collect::<Result<Vec<Arg>>>()?;
        let rows = if args.iter().all(|arg| arg.is_scalar) { 1 } else { rows };
        let inputs = args.iter().map(|arg| arg.bytes_for(rows)).fold(0, u64::saturating_add);
        let mut growth = Growth { cell_bytes: 0, batch_bytes: inputs };
        let Some(rule) = rule else { return Ok(growth) };
        for row in 0..rows {
            let cell = rule(&args, row);
            growth.cell_bytes = growth.cell_bytes.max(cell);
            if name != LEVENSHTEIN {
                growth.batch_bytes = growth.batch_bytes.saturating_add(cell);
            }
        }
        Ok(growth)
    }
}

struct Arg {
    array: ArrayRef,
    numbers: Option<Int64Array>,
    is_scalar: bool,
}

impl Arg {
    fn new(value: &ColumnarValue, with_numbers: bool) -> Result<Arg> {
        let (array, is_scalar) = match value {
            ColumnarValue::Array(array) => (ArrayRef::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let is_number = array.data_type().is_integer() || array.data_type().is_temporal();
        let numbers = (with_numbers && is_number).then(|| cast(&array, &DataType::Int64).ok()).flatten();
        Ok(Arg { numbers: numbers.map(|array| array.as_primitive().clone()), array, is_scalar })
    }

    fn at(&self, row: usize) -> usize {
        if self.is_scalar { 0 } else { row }
    }

    /// A scalar may be written out for every row.
    fn bytes_for(&self, rows: usize) -> u64 {
        let once = column_bytes(&self.array) as u64;
        if self.is_scalar { once.saturating_mul(rows as u64) } else { once }
    }

    fn bytes(&self, row: usize) -> u64 {
        cell_bytes(&self.array, self.at(row)) as u64
    }

    fn elements(&self, row: usize) -> u64 {
        elements(&self.array, self.at(row)) as u64
    }

    fn number(&self, row: usize) -> Option<i64> {
        let numbers = self.numbers.as_ref()?;
        let at = self.at(row);
        (at < numbers.len() && numbers.is_valid(at)).then(|| numbers.value(at))
    }

    fn text(&self, row: usize) -> Option<&str> {
        let at = self.at(row);
        if at >= self.array.len() || self.array.is_null(at) {
            return None;
        }
        match self.array.data_type() {
            DataType::Utf8 => Some(self.array.as_string::<i32>().value(at)),
            DataType::LargeUtf8 => Some(self.array.as_string::<i64>().value(at)),
            DataType::Utf8View => Some(self.array.as_string_view().value(at)),
            _ => None,
        }
    }

    /// A point of time or a step between two, nanoseconds; numbers as they are.
    fn nanos(&self, row: usize) -> Option<i128> {
        let at = self.at(row);
        if let DataType::Interval(IntervalUnit::MonthDayNano) = self.array.data_type() {
            let step = self.array.as_primitive::<IntervalMonthDayNanoType>().value(at);
            let days = i128::from(step.months) * 28 + i128::from(step.days);
            return Some(days * 86_400_000_000_000 + i128::from(step.nanoseconds));
        }
        let unit_ns = match self.array.data_type() {
            DataType::Date32 => 86_400_000_000_000,
            DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            _ => 1,
        };
        Some(i128::from(self.number(row)?) * unit_ns)
    }
}

type Rule = fn(&[Arg], usize) -> u64;

/// How functions grow whose result can be larger than a small multiple of their arguments.
fn rule(name: &str) -> Option<Rule> {
    Some(match name {
        "repeat" => |args, row| times(bytes(args, 0, row), count(args, 1, row)),
        "lpad" | "rpad" => |args, row| bytes(args, 0, row).max(count(args, 1, row)),
        "array_repeat" => |args, row| times(bytes(args, 0, row).max(ELEMENT_BYTES), count(args, 1, row)),
        "array_resize" => |args, row| {
            let added = times(bytes(args, 2, row).max(ELEMENT_BYTES), count(args, 1, row));
            bytes(args, 0, row).saturating_add(added)
        },
        "range" | "generate_series" => series,
        LEVENSHTEIN => |args, row| times(bytes(args, 0, row), bytes(args, 1, row)),
        "replace" => replaced,
        "regexp_replace" => pattern_replaced,
        "array_replace" | "array_replace_n" | "array_replace_all" => |args, row| {
            let added = times(elements_of(args, 0, row), bytes(args, 2, row));
            bytes(args, 0, row).saturating_add(added)
        },
        "array_to_string" => |args, row| {
            let each = bytes(args, 1, row).saturating_add(bytes(args, 2, row)).saturating_add(NUMBER_TEXT_BYTES);
            bytes(args, 0, row).saturating_add(times(bytes(args, 0, row), each))
        },
        "concat_ws" => |args, row| {
            let separators = times(bytes(args, 0, row), args.len() as u64);
            all_bytes(args, row).saturating_add(separators)
        },
        "concat" | "||" | "overlay" | "make_array" | "array_concat" | "array_append" | "array_prepend"
        | "array_union" | "map" | "struct" | "named_struct" => all_bytes,
        _ => return None,
    })
}

fn times(bytes: u64, count: u64) -> u64 {
    bytes.saturating_mul(count)
}

fn bytes(args: &[Arg], at: usize, row: usize) -> u64 {
    args.get(at).map_or(0, |arg| arg.bytes(row))
}

fn elements_of(args: &[Arg], at: usize, row: usize) -> u64 {
    args.get(at).map_or(0, |arg| arg.elements(row))
}

/// A number of times; a negative one is none.
fn count(args: &[Arg], at: usize, row: usize) -> u64 {
    args.get(at).and_then(|arg| arg.number(row)).map_or(0, |count| u64::try_from(count).unwrap_or(0))
}

fn all_bytes(args: &[Arg], row: usize) -> u64 {
    args.iter().map(|arg| arg.bytes(row)).fold(0, u64::saturating_add)
}

fn series(args: &[Arg], row: usize) -> u64 {
    let at = |at: usize| args.get(at).and_then(|arg| arg.nanos(row));
    let (start, stop) = match args.len() {
        1 => (Some(0), at(0)),
        _ => (at(0), at(1)),
    };
    let step = at(2).unwrap_or(1).unsigned_abs().max(1);
    let (Some(start), Some(stop)) = (start, stop) else { return 0 };
    let elements = start.abs_diff(stop) / step;
    times(u64::try_from(elements).unwrap_or(u64::MAX).saturating_add(1), ELEMENT_BYTES)
}

fn replaced(args: &[Arg], row: usize) -> u64 {
    let found = match args {
        [text, from, _] => text.text(row).zip(from.text(row)).map_or(0, |(text, from)| text.matches(from).count()),
        _ => 0,
    };
    bytes(args, 0, row).saturating_add(times(bytes(args, 2, row), found as u64))
}

/// Every place may match, and the replacement may repeat what was found as often as it has room for `\1`.
fn pattern_replaced(args: &[Arg], row: usize) -> u64 {
    let (text, replacement) = (bytes(args, 0, row), bytes(args, 2, row));
    let is_global = args.get(3).and_then(|flags| flags.text(row)).is_some_and(|flags| flags.contains('g'));
    let places = if is_global { text.saturating_add(1) } else { 1 };
    let written = times(replacement, places).saturating_add(times(text, replacement / 2));
    text.saturating_add(written / PATTERN_SLACK)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use datafusion::common::ScalarValue;

    use super::*;

    fn text(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(text))
    }

    fn number(number: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(number))
    }

    fn check(name: &str, args: &[ColumnarValue], expected: u64) {
        assert_eq!(Growth::of(name, args, 1).unwrap().cell_bytes, expected, "{name}");
    }

    #[test]
    fn growth_is_known_before_the_call() {
        check("repeat", &[text("ab"), number(1_000_000_000)], 2_000_000_000);
        check("repeat", &[text("abc"), number(i64::MAX)], u64::MAX);
        check("repeat", &[text("ab"), number(-3)], 0);
        check("rpad", &[text("ab"), number(7_000_000)], 7_000_000);
        check("range", &[number(1_000)], 8_008);
        check("generate_series", &[number(i64::MIN), number(i64::MAX)], u64::MAX);
        check("generate_series", &[number(10), number(0), number(-5)], 24);
        check("replace", &[text("aXbX"), text("X"), text("123")], 10);
        check("replace", &[text("aXbX"), text(""), text("123")], 19);
        check("concat", &[text("ab"), text("c"), number(1)], 11);
        check("levenshtein", &[text("abc"), text("de")], 6);
        check("lower", &[text("ab")], 0);
    }

    #[test]
    fn a_constant_counts_for_every_row() {
        let column = ColumnarValue::Array(Arc::new(StringArray::from(vec!["a", "bb", "ccc"])));
        let growth = Growth::of("concat", &[column, text("12345")], 3).unwrap();
        assert_eq!(growth.cell_bytes, 8);
        assert!(growth.batch_bytes >= 3 * 5 + 6 + 21, "{growth:?}");
    }
}
