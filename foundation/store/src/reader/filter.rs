//! What to read: columns, rows, and row filters that are evaluated before the other columns are fetched.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use daymark_model::{TimeRange, TraceId};

use super::RowChoice;
use crate::{BodyQuery, StoreError, TableName};

/// Decides rows by some columns. Null counts as no.
type Test = dyn Fn(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send + Sync;

/// A row filter. It sees a batch with exactly its columns, in schema order.
#[derive(Clone)]
pub struct Filter {
    columns: Vec<String>,
    test: Arc<Test>,
    /// The value that its one column must equal: lets bloom filters rule out row groups.
    equals: Option<Vec<u8>>,
    /// The only keys it looks for in `attributes`.
    attributes: Option<Vec<String>>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter on {:?}", self.columns)
    }
}

impl Filter {
    /// Rows for which `test` is true. Columns are found in the batch by name.
    pub fn new<F>(columns: &[&str], test: F) -> Filter
    where
        F: Fn(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send + Sync + 'static,
    {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Filter { columns, test: Arc::new(test), equals: None, attributes: None }
    }

    /// Rows whose text column equals `value`.
    pub fn text(column: &str, value: &str) -> Filter {
        let equals = Some(value.as_bytes().to_owned());
        let value = Scalar::new(StringArray::from(vec![value.to_owned()]));
        let name = column.to_owned();
        let test =
            move |batch: &RecordBatch| cmp::eq(batch.column_by_name(&name).ok_or_else(|| absent(&name))?, &value);
        Filter { equals, ..Filter::new(&[column], test) }
    }

    /// Rows whose fixed-size binary column (an id) equals `value`.
    pub fn id(column: &str, value: &[u8]) -> Filter {
        let name = column.to_owned();
        let equals = Some(value.to_owned());
        let value = value.to_owned();
        let test = move |batch: &RecordBatch| {
            let ids = batch.column_by_name(&name).ok_or_else(|| absent(&name))?;
            let ids = ids.as_fixed_size_binary_opt().ok_or_else(|| absent(&name))?;
            Ok((0..ids.len()).map(|row| Some(ids.is_valid(row) && ids.value(row) == value)).collect())
        };
        Filter { equals, ..Filter::new(&[column], test) }
    }

    /// Rows of one trace.
    pub fn trace_id(id: TraceId) -> Filter {
        Filter::id("trace_id", &id.0)
    }

    /// Rows whose 64 bit integer column lies in `low..=high`.
    pub fn integer(column: &str, low: i64, high: i64) -> Filter {
        let name = column.to_owned();
        Filter::new(&[column], move |batch| {
            let values = batch.column_by_name(&name).ok_or_else(|| absent(&name))?;
            let values = values.as_primitive_opt::<Int64Type>().ok_or_else(|| absent(&name))?;
            Ok(BooleanArray::from_unary(values, |value| low <= value && value <= high))
        })
    }

    /// Rows whose body matches `query`.
    pub fn body(query: &BodyQuery) -> Filter {
        let query = query.clone();
        Filter::new(&["body"], move |batch| {
            let bodies = batch.column_by_name("body").and_then(|bodies| bodies.as_string_opt::<i32>());
            let bodies = bodies.ok_or_else(|| absent("body"))?;
            let mut matcher = query.matcher();
            Ok((0..bodies.len()).map(|row| Some(bodies.is_valid(row) && matcher.matches(bodies.value(row)))).collect())
        })
    }

    /// Rows of `table` with their time in `range`.
    pub fn time(table: TableName, range: TimeRange) -> Filter {
        let bound = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        let high = if range.end.0 > i64::MAX as u64 { i64::MAX } else { bound(range.end.0) - 1 };
        Filter::integer(table.nanos_column(), bound(range.start.0), high)
    }

    /// Of the rows' own attributes the test looks only for `key`: other columns of attributes need not be read for it.
    #[must_use]
    pub fn of_attribute(mut self, key: &str) -> Filter {
        self.attributes.get_or_insert_default().push(key.to_owned());
        self
    }

    /// The only attributes it looks for, if it says so.
    pub(super) fn attributes(&self) -> Option<&[String]> {
        self.attributes.as_deref()
    }

    /// Column and value when the filter asks for equality with one value.
    pub(super) fn equality(&self) -> Option<(&str, &[u8])> {
        Some((self.columns.first()?, self.equals.as_deref()?))
    }

    /// Columns it looks at.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Decides the rows of `batch`, which has at least this filter's columns.
    ///
    /// # Errors
    /// When a column is not there or has another type.
    pub fn test(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        (self.test)(batch)
    }
}

fn absent(column: &str) -> ArrowError {
    ArrowError::SchemaError(format!("no column {column} of the expected type"))
}

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct ReadSpec {
    /// Columns of the answer, which come in schema order; `None` for all.
    pub columns: Option<Vec<String>>,
    /// Rows to look at.
    pub rows: RowChoice,
    /// Rows must pass all of them, cheapest first: later ones only see rows that passed the earlier.
    pub filters: Vec<Filter>,
    /// Stop after so many rows, in file order.
    pub limit: Option<usize>,
}

impl ReadSpec {
    /// All rows, these columns.
    pub fn columns(columns: &[&str]) -> ReadSpec {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        ReadSpec { columns: Some(columns), ..ReadSpec::default() }
    }

    /// With one more filter.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> ReadSpec {
        self.filters.push(filter);
        self
    }

    /// Applies filters and columns to rows in memory (hot rows). The row choice belongs to segments and is ignored.
    ///
    /// # Errors
    /// When a column is not there.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let mut kept: Option<BooleanArray> = None;
        for filter in &self.filters {
            let passed = filter.test(batch)?;
            kept = Some(match kept {
                Some(before) => and(&before, &passed)?,
                None => passed,
            });
        }
        let mut batch = match &self.columns {
            Some(columns) => batch.project(&positions(batch, columns)?)?,
            None => batch.clone(),
        };
        if let Some(kept) = kept {
            batch = filter_record_batch(&batch, &kept)?;
        }
        Ok(match self.limit {
            Some(limit) if limit < batch.num_rows() => batch.slice(0, limit),
            _ => batch,
        })
    }
}

/// Positions of `columns` in `batch`, ascending, each once.
fn positions(batch: &RecordBatch, columns: &[String]) -> Result<Vec<usize>, ArrowError> {
    let mut positions =
        columns.iter().map(|column| batch.schema_ref().index_of(column)).collect::<Result<Vec<_>, _>>()?;
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}
