//! What the filters of a statement allow a scan to leave out.
//!
//! Invariant: a hint only ever leaves out rows that the filters exclude as well; DataFusion applies every filter again.
//! Times are widened by a microsecond on both sides, so that no rounding of a literal can lose a row.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use daymark_model::{TimeRange, UnixNanos};
use daymark_store::TableName;

use crate::functions::MATCH;
use crate::shape::parse_hex;

/// Rows that can match lie inside all of these.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hints {
    /// By the table's time column.
    pub(crate) time: TimeRange,
    /// Column and the values it may have: ids as bytes, others as UTF-8. Each entry must hold.
    pub(crate) any_of: Vec<(String, Vec<Vec<u8>>)>,
    /// Arguments of `match(body, ..)`. Each must match.
    pub(crate) words: Vec<String>,
}

impl Hints {
    pub(crate) fn none() -> Hints {
        Hints { time: TimeRange::ALL, any_of: Vec::new(), words: Vec::new() }
    }

    /// The hints of filters that must all hold.
    pub(crate) fn of(table: TableName, filters: &[Expr]) -> Hints {
        let mut hints = Hints::none();
        filters.iter().for_each(|filter| hints.add(table, filter));
        hints
    }

    /// Whether a filter gives any hint.
    pub(crate) fn helps(table: TableName, filter: &Expr) -> bool {
        Hints::of(table, std::slice::from_ref(filter)) != Hints::none()
    }

    fn add(&mut self, table: TableName, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.add(table, left);
                self.add(table, right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column(left), literal(right)) {
                (Some(name), Some(value)) => self.compare(table, name, *op, value),
                _ => {
                    if let (Some(value), Some(name), Some(op)) = (literal(left), column(right), op.swap()) {
                        self.compare(table, name, op, value);
                    }
                }
            },
            Expr::Between(Between { expr, negated: false, low, high }) => {
                if let (Some(name), Some(low), Some(high)) = (column(expr), literal(low), literal(high)) {
                    self.compare(table, name, Operator::GtEq, low);
                    self.compare(table, name, Operator::LtEq, high);
                }
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let values = list.iter().map(|item| literal(item)?.try_as_str()?.map(str::to_owned));
                if let (Some(name), Some(values)) = (column(expr), values.collect::<Option<Vec<String>>>()) {
                    self.equal_to_any(table, name, &values);
                }
            }
            Expr::ScalarFunction(call) if call.func.name() == MATCH && table == TableName::Logs => {
                if let [text, words] = call.args.as_slice()
                    && column(text) == Some("body")
                    && let Some(Some(words)) = literal(words).and_then(ScalarValue::try_as_str)
                {
                    self.words.push(words.to_owned());
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, table: TableName, name: &str, op: Operator, value: &ScalarValue) {
        if op == Operator::Eq
            && let Some(Some(text)) = value.try_as_str()
        {
            return self.equal_to_any(table, name, &[text.to_owned()]);
        }
        let nanos = if name == table.time_column() {
            timestamp_nanos(value)
        } else if name == table.nanos_column() {
            integer(value)
        } else {
            None
        };
        let Some(nanos) = nanos else { return };
        // Times before 1970 do not occur; a bound there excludes nothing or everything, which the filter will see to.
        let at = UnixNanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX));
        let (first, last) = (at.minus(1_000), at.plus(1_001));
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            self.time.start = self.time.start.max(first);
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            self.time.end = self.time.end.min(last);
        }
    }

    fn equal_to_any(&mut self, table: TableName, name: &str, values: &[String]) {
        let schema = table.schema();
        let Ok(field) = schema.field_with_name(name) else { return };
        let stored = |text: &String| match field.data_type() {
            // A text that is no id equals no id: it stays out of the list, and an empty list matches nothing.
            DataType::FixedSizeBinary(width) => parse_hex(text, usize::try_from(*width).unwrap_or(0)),
            DataType::Utf8 => Some(text.clone().into_bytes()),
            _ => None,
        };
        if matches!(field.data_type(), DataType::FixedSizeBinary(_) | DataType::Utf8) {
            self.any_of.push((name.to_owned(), values.iter().filter_map(stored).collect()));
        }
    }
}

/// The column under casts that the planner puts around it to compare types.
fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(column.name()),
        Expr::Cast(cast) if keeps_order_and_value(cast.field.data_type()) => column(&cast.expr),
        _ => None,
    }
}

/// Casts that only change the representation. A cast to seconds or days would make other rows equal.
fn keeps_order_and_value(to: &DataType) -> bool {
    matches!(
        to,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Int64
            | DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _)
    )
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) if !value.is_null() => Some(value),
        _ => None,
    }
}

fn integer(value: &ScalarValue) -> Option<i128> {
    match value {
        ScalarValue::Int64(Some(value)) => Some((*value).into()),
        ScalarValue::UInt64(Some(value)) => Some((*value).into()),
        ScalarValue::Int32(Some(value)) => Some((*value).into()),
        _ => None,
    }
}

fn timestamp_nanos(value: &ScalarValue) -> Option<i128> {
    let (count, unit_ns) = match value {
        ScalarValue::TimestampSecond(Some(count), _) => (*count, 1_000_000_000),
        ScalarValue::TimestampMillisecond(Some(count), _) => (*count, 1_000_000),
        ScalarValue::TimestampMicrosecond(Some(count), _) => (*count, 1_000),
        ScalarValue::TimestampNanosecond(Some(count), _) => (*count, 1),
        _ => return None,
    };
    Some(i128::from(count) * unit_ns)
}
