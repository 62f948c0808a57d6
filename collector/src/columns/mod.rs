//! Column builders: telemetry items become Arrow rows here, without an object in between.
//!
//! Where it sits: the decode stage writes into these builders; hot reads and seals take the finished batches.
//!
//! Invariants:
//! - rows have the schema of their table in `daymark-store`, column for column;
//! - `log_offset` never falls from one row to the next;
//! - nothing is allocated per item beyond the growth of the builders.

mod attributes;
mod edges;
mod logs;
mod series;
mod span_json;
mod spans;
mod traces;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, FixedSizeBinaryBuilder, PrimitiveArray,
    PrimitiveBuilder, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use daymark_model::{LogOffset, UnixNanos};

pub(crate) use attributes::{AttributesBuilder, Encoded, ResourceColumns, encode, hot_schema, widen};
pub(crate) use edges::{EdgeColumns, EdgeRow};
pub(crate) use logs::{LogColumns, LogRow, Waiting, fill_trace_ids};
pub(crate) use series::{MetricSeries, SeriesColumns};
pub(crate) use spans::{SpanColumns, kind_name, status_name};
pub(crate) use traces::{ServiceFigures, TraceColumns, TraceRow, read_trace_rows};

/// First and last of the offsets and event times in a builder or batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: LogOffset,
    pub(crate) last: LogOffset,
    pub(crate) time: (UnixNanos, UnixNanos),
}

impl Extent {
    /// The extent of no rows.
    pub(crate) const EMPTY: Extent =
        Extent { first: LogOffset(u64::MAX), last: LogOffset(0), time: (UnixNanos(u64::MAX), UnixNanos(0)) };

    /// Includes one row.
    pub(crate) fn add(&mut self, offset: LogOffset, first: UnixNanos, last: UnixNanos) {
        self.first = self.first.min(offset);
        self.last = self.last.max(offset);
        self.time = (self.time.0.min(first), self.time.1.max(last));
    }

    /// Includes the rows of another extent.
    pub(crate) fn join(&mut self, other: &Extent) {
        self.add(other.first, other.time.0, other.time.1);
        self.last = self.last.max(other.last);
    }
}

/// A builder for time columns (microseconds, UTC).
pub(crate) fn time_builder() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_data_type(daymark_store::timestamp_type())
}

/// The texts built so far; the builder is empty afterwards, with room for as many, so that the columns of the next batch
/// are allocated once.
pub(crate) fn renew(builder: &mut StringBuilder) -> StringArray {
    let (rows, bytes) = (builder.len(), builder.values_slice().len());
    let built = builder.finish();
    *builder = StringBuilder::with_capacity(rows, bytes + bytes / 8);
    built
}

/// As [`renew`], for numbers.
pub(crate) fn renew_numbers<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>) -> PrimitiveArray<T> {
    let built = builder.finish();
    *builder = PrimitiveBuilder::with_capacity(built.len()).with_data_type(built.data_type().clone());
    built
}

/// As [`renew`], for ids.
pub(crate) fn renew_ids(builder: &mut FixedSizeBinaryBuilder) -> FixedSizeBinaryArray {
    let built = builder.finish();
    *builder = FixedSizeBinaryBuilder::with_capacity(built.len(), built.value_length());
    built
}

/// Puts named columns in the order of `schema`.
///
/// # Errors
/// When a column of the schema is missing or has another type: a mistake in this crate.
pub(crate) fn assemble(schema: &SchemaRef, columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, ArrowError> {
    let arrays = schema
        .fields()
        .iter()
        .map(|field| {
            let (_, array) = columns
                .iter()
                .find(|(name, _)| name == field.name())
                .ok_or_else(|| ArrowError::SchemaError(format!("no column {:?} was built", field.name())))?;
            Ok(Arc::clone(array))
        })
        .collect::<Result<Vec<_>, ArrowError>>()?;
    RecordBatch::try_new(Arc::clone(schema), arrays)
}

/// The type of column `name`.
///
/// # Errors
/// When the schema has no such column.
pub(crate) fn type_of<'s>(schema: &'s SchemaRef, name: &str) -> Result<&'s DataType, ArrowError> {
    Ok(schema.field_with_name(name)?.data_type())
}
