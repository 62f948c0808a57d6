//! What the rows of a file are, held against what its commit says of them.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use serde_json::Value;

use crate::{SegmentMeta, TableName, Tally};

/// A value that bounds are compared by.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Bound {
    Text(String),
    Integer(i64),
    Double(f64),
}

impl Bound {
    /// A bound of the statistics, in the kind of `self`.
    fn parse(&self, stated: &Value) -> Option<Bound> {
        match (self, stated) {
            (Bound::Text(_), Value::String(text)) => Some(Bound::Text(text.clone())),
            (Bound::Integer(_), Value::Number(number)) => number.as_i64().map(Bound::Integer),
            // Timestamps are texts.
            (Bound::Integer(_), Value::String(time)) => {
                let time = DateTime::parse_from_rfc3339(time).ok()?;
                Some(Bound::Integer(time.timestamp_micros()))
            }
            (Bound::Double(_), Value::Number(number)) => number.as_f64().map(Bound::Double),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Column {
    bounds: Option<(Bound, Bound)>,
    nulls: u64,
}

/// What was seen of a file.
pub(super) struct Observed {
    table: TableName,
    pub(super) rows: u64,
    columns: BTreeMap<String, Column>,
    /// Of metric tables.
    tally: Tally,
}

impl Observed {
    pub(super) fn new(table: TableName) -> Observed {
        Observed { table, rows: 0, columns: BTreeMap::new(), tally: Tally::default() }
    }

    /// The next rows of the file.
    ///
    /// # Errors
    /// When a column that every file has is not there.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), String> {
        for name in [self.table.time_column(), self.table.nanos_column(), "log_offset"] {
            batch.column_by_name(name).ok_or_else(|| format!("no column {name}"))?;
        }
        self.rows += batch.num_rows() as u64;
        self.tally = self.tally.plus(Tally::of_rows(batch).unwrap_or_default());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let column = self.columns.entry(field.name().clone()).or_default();
            column.nulls += array.null_count() as u64;
            let Some((low, high)) = bounds_of(array.as_ref()) else { continue };
            column.bounds = Some(match column.bounds.take() {
                Some((min, max)) => (if low < min { low } else { min }, if high > max { high } else { max }),
                None => (low, high),
            });
        }
        Ok(())
    }

    /// What the commit says otherwise.
    pub(super) fn disagreements(&self, meta: &SegmentMeta) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.rows != meta.rows {
            wrong.push(format!("{} rows, the commit says {}", self.rows, meta.rows));
        }
        if let Some(stated) = meta.tally.filter(|stated| *stated != self.tally) {
            let of = |tally: Tally| format!("{} values and {} totals", tally.values, tally.totals);
            wrong.push(format!("rows stand for {}, the commit says {}", of(self.tally), of(stated)));
        }
        let times = (meta.time.0.0, meta.time.1.0);
        let offsets = (meta.offsets.0.0, meta.offsets.1.0);
        wrong.extend(self.range(self.table.nanos_column(), times));
        if offsets != (0, 0) {
            wrong.extend(self.range("log_offset", offsets));
        }
        let stats: Value = serde_json::from_str(&meta.stats).unwrap_or_default();
        for (name, column) in &self.columns {
            if let Some(stated) = stats["nullCount"][name].as_u64()
                && stated != column.nulls
            {
                wrong.push(format!("{} nulls in {name}, the commit says {stated}", column.nulls));
            }
            let Some((low, high)) = &column.bounds else { continue };
            let (min, max) = (&stats["minValues"][name], &stats["maxValues"][name]);
            if low.parse(min).is_some_and(|min| *low < min) || high.parse(max).is_some_and(|max| *high > max) {
                wrong.push(format!("values of {name} lie outside {min} to {max}, which the commit says"));
            }
        }
        wrong
    }

    /// Whether the values of a column lie in `first..=last`: pruning by these would miss rows.
    fn range(&self, name: &str, (first, last): (u64, u64)) -> Option<String> {
        let (Bound::Integer(low), Bound::Integer(high)) = self.columns.get(name)?.bounds.as_ref()? else { return None };
        let inside = first <= (*low).max(0) as u64 && (*high).max(0) as u64 <= last;
        (!inside).then(|| format!("values of {name} from {low} to {high}, the commit says {first} to {last}"))
    }
}

fn bounds_of(array: &dyn Array) -> Option<(Bound, Bound)> {
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            Some((Bound::Text(min_string(texts)?.to_owned()), Bound::Text(max_string(texts)?.to_owned())))
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>();
            Some((Bound::Integer(min(values)?.into()), Bound::Integer(max(values)?.into())))
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            Some((Bound::Integer(min(values)?), Bound::Integer(max(values)?)))
        }
        DataType::Timestamp(..) => {
            let values = array.as_primitive_opt::<TimestampMicrosecondType>()?;
            Some((Bound::Integer(min(values)?), Bound::Integer(max(values)?)))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            let finite = || values.iter().flatten().filter(|value| value.is_finite());
            let low = finite().reduce(f64::min)?;
            Some((Bound::Double(low), Bound::Double(finite().reduce(f64::max)?)))
        }
        _ => None,
    }
}
