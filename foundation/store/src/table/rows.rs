//! Which rows a deletion concerns: `key=value` conditions, all of which a row must meet, or the rows of some series.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::and;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

use crate::{StoreError, TableName};

/// One condition, as an operator writes it: a column and its value, or an attribute and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    key: String,
    value: String,
}

/// The rows to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Every row.
    All,
    /// Rows that meet all conditions.
    Matching(Vec<Condition>),
    /// Metric rows of series with these ids.
    OfSeries(Arc<HashSet<i64>>),
}

/// A condition in the terms of one table.
#[derive(Clone, Debug)]
enum Test {
    Text(String, String),
    Bytes(String, Vec<u8>),
    Integer(String, i64),
    Among(String, Arc<HashSet<i64>>),
    Double(String, f64),
    Listed(String, String),
    /// Any of these maps has the entry.
    Entry(Vec<String>, String, String),
}

/// [`Rows`] in the terms of one table.
#[derive(Clone, Debug)]
pub(crate) struct RowTest(Vec<Test>);

impl Condition {
    /// `key=value`; the value may contain `=`.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Condition, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Condition { key: key.to_owned(), value: value.to_owned() }),
            _ => Err(format!("{text:?} is not KEY=VALUE")),
        }
    }

    /// `None` when the table has nothing of that name.
    fn test(&self, table: TableName) -> Result<Option<Test>, StoreError> {
        let Condition { key, value } = self;
        let schema = table.schema();
        let has = |name: &str| schema.column_with_name(name).is_some();
        let entry = |maps: &[&str], key: &str| {
            let maps: Vec<String> = maps.iter().filter(|map| has(map)).map(|&map| map.to_owned()).collect();
            (!maps.is_empty()).then(|| Test::Entry(maps, key.to_owned(), value.clone()))
        };
        if let Some(key) = key.strip_prefix("attributes.") {
            return Ok(entry(&["attributes"], key));
        }
        if let Some(key) = key.strip_prefix("resource_attributes.") {
            return Ok(entry(&["resource_attributes"], key));
        }
        if key == "correlation_id" && has("correlation_ids") {
            return Ok(Some(Test::Listed("correlation_ids".to_owned(), value.clone())));
        }
        let Ok(field) = schema.field_with_name(key) else {
            return Ok(entry(&["attributes", "resource_attributes"], key));
        };
        let wrong = |expected: &str| StoreError::WrongCondition {
            condition: format!("{key}={value}"),
            reason: format!("column {key} of {table} needs {expected}"),
        };
        let name = key.clone();
        Ok(Some(match field.data_type() {
            DataType::Utf8 => Test::Text(name, value.clone()),
            DataType::Int32 | DataType::Int64 => {
                Test::Integer(name, value.parse().map_err(|_| wrong("a whole number"))?)
            }
            DataType::Float64 => Test::Double(name, value.parse().map_err(|_| wrong("a number"))?),
            DataType::List(_) => Test::Listed(name, value.clone()),
            DataType::FixedSizeBinary(width) => {
                let id = hex(value).filter(|id| id.len() == *width as usize);
                Test::Bytes(name, id.ok_or_else(|| wrong(&format!("{} hex digits", width * 2)))?)
            }
            _ => return Err(wrong("another key: it cannot be compared; use its *_unix_nano column or an attribute")),
        }))
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

impl Rows {
    /// What to look for in `table`; none when it has no column or attribute of one of the names, so that no row can
    /// meet all conditions.
    ///
    /// # Errors
    /// [`StoreError::WrongCondition`].
    pub(crate) fn test(&self, table: TableName) -> Result<Option<RowTest>, StoreError> {
        let conditions = match self {
            Rows::All => return Ok(Some(RowTest(Vec::new()))),
            Rows::OfSeries(ids) if TableName::METRICS.contains(&table) && !ids.is_empty() => {
                return Ok(Some(RowTest(vec![Test::Among("series_id".to_owned(), Arc::clone(ids))])));
            }
            Rows::OfSeries(_) => return Ok(None),
            Rows::Matching(conditions) => conditions,
        };
        let tests = conditions.iter().map(|condition| condition.test(table)).collect::<Result<Option<Vec<_>>, _>>()?;
        Ok(tests.map(RowTest))
    }
}

impl RowTest {
    /// Whether every row is meant.
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Columns it looks at.
    pub(crate) fn columns(&self) -> Vec<String> {
        let of = |test: &Test| match test {
            Test::Text(name, _)
            | Test::Listed(name, _)
            | Test::Bytes(name, _)
            | Test::Integer(name, _)
            | Test::Among(name, _)
            | Test::Double(name, _) => vec![name.clone()],
            Test::Entry(maps, ..) => maps.clone(),
        };
        let mut columns: Vec<String> = self.0.iter().flat_map(of).collect();
        columns.sort();
        columns.dedup();
        columns
    }

    /// Which rows of `batch` are meant; none is null.
    ///
    /// # Errors
    /// When a column is absent or has another type.
    pub(crate) fn matches(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let all = BooleanArray::from(vec![true; batch.num_rows()]);
        self.0.iter().try_fold(all, |so_far, test| and(&so_far, &test.matches(batch)?))
    }
}

impl Test {
    fn matches(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let absent = |name: &str| ArrowError::SchemaError(format!("no column {name} of the expected type"));
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| absent(name));
        let rows = |test: &dyn Fn(usize) -> bool| -> BooleanArray {
            (0..batch.num_rows()).map(|row| Some(test(row))).collect()
        };
        Ok(match self {
            Test::Text(name, value) => {
                let texts = column(name)?.as_string_opt::<i32>().ok_or_else(|| absent(name))?;
                rows(&|row| texts.is_valid(row) && texts.value(row) == value)
            }
            Test::Bytes(name, value) => {
                let ids = column(name)?.as_fixed_size_binary_opt().ok_or_else(|| absent(name))?;
                rows(&|row| ids.is_valid(row) && ids.value(row) == value.as_slice())
            }
            Test::Integer(name, value) => match column(name)?.data_type() {
                DataType::Int32 => {
                    let numbers = column(name)?.as_primitive::<Int32Type>();
                    rows(&|row| numbers.is_valid(row) && i64::from(numbers.value(row)) == *value)
                }
                _ => {
                    let numbers = column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| absent(name))?;
                    rows(&|row| numbers.is_valid(row) && numbers.value(row) == *value)
                }
            },
            Test::Among(name, values) => {
                let numbers = column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| absent(name))?;
                rows(&|row| numbers.is_valid(row) && values.contains(&numbers.value(row)))
            }
            Test::Double(name, value) => {
                let numbers = column(name)?.as_primitive_opt::<Float64Type>().ok_or_else(|| absent(name))?;
                rows(&|row| numbers.is_valid(row) && numbers.value(row) == *value)
            }
            Test::Listed(name, value) => {
                let lists = column(name)?.as_list_opt::<i32>().ok_or_else(|| absent(name))?;
                let texts = lists.values().as_string_opt::<i32>().ok_or_else(|| absent(name))?;
                rows(&|row| {
                    lists.is_valid(row) && listed(lists.value_offsets(), row).any(|at| texts.value(at) == value)
                })
            }
            Test::Entry(maps, key, value) => {
                let maps = maps.iter().map(|name| entries(column(name)?).ok_or_else(|| absent(name)));
                let maps = maps.collect::<Result<Vec<_>, _>>()?;
                rows(&|row| maps.iter().any(|map| map.has(row, key, value)))
            }
        })
    }
}

fn listed(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

struct Entries<'a> {
    map: &'a arrow::array::MapArray,
    keys: &'a StringArray,
    values: &'a StringArray,
}

fn entries(column: &ArrayRef) -> Option<Entries<'_>> {
    let map = column.as_map_opt()?;
    Some(Entries { map, keys: map.keys().as_string_opt()?, values: map.values().as_string_opt()? })
}

impl Entries<'_> {
    fn has(&self, row: usize, key: &str, value: &str) -> bool {
        self.map.is_valid(row)
            && listed(self.map.value_offsets(), row)
                .any(|at| self.keys.value(at) == key && self.values.is_valid(at) && self.values.value(at) == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(table: TableName, text: &str) -> Result<Option<RowTest>, String> {
        let rows = Rows::Matching(vec![Condition::parse(text).unwrap()]);
        rows.test(table).map_err(|error| error.to_string())
    }

    #[test]
    fn a_condition_means_a_column_or_else_an_attribute() {
        let columns = |table, text| test(table, text).unwrap().map(|test| test.columns());
        let both = vec!["attributes".to_owned(), "resource_attributes".to_owned()];
        assert_eq!(columns(TableName::Logs, "user.id=a=b"), Some(both));
        assert_eq!(columns(TableName::Logs, "attributes.body=x"), Some(vec!["attributes".to_owned()]));
        assert_eq!(columns(TableName::Logs, "body=x"), Some(vec!["body".to_owned()]));
        assert_eq!(columns(TableName::Traces, "correlation_id=x"), Some(vec!["correlation_ids".to_owned()]));
        assert_eq!(columns(TableName::Traces, "user.id=x"), None);
    }

    #[test]
    fn a_value_that_cannot_be_is_refused_with_what_is_expected() {
        let refused = |text: &str| test(TableName::Spans, text).unwrap_err();
        assert!(refused("trace_id=12").contains("column trace_id of spans needs 32 hex digits"));
        assert!(refused("duration_ns=long").contains("needs a whole number"));
        assert!(refused("start_time=2026").contains("start_time=2026"));
        assert!(Condition::parse("user").unwrap_err().contains("KEY=VALUE"));
        assert!(Condition::parse("=user").is_err());
    }
}
