//! Rows of the `logs` table: log records and work-unit events.
//!
//! A record without trace id but with a correlation value may get its trace id later, when the span with that value
//! arrives: such rows are listed as [`Waiting`] and patched by [`fill_trace_ids`] while they are hot.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, Int32Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::error::ArrowError;
use daymark_model::{LogOffset, TraceId, UnixNanos};
use daymark_store::TableName;
use daymark_wire::decode::{LogView, Value};

use super::spans::not_empty;
use super::{
    AttributesBuilder, Encoded, Extent, ResourceColumns, assemble, hot_schema, renew, renew_ids, renew_numbers,
    time_builder, type_of,
};
use crate::correlate::CorrelationKey;

/// A row whose trace id is not known yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Row in its batch.
    pub(crate) row: u32,
    /// What a span must carry to give the row its trace id.
    pub(crate) key: CorrelationKey,
}

/// What the row of a record needs besides the record.
pub(crate) struct LogRow<'a> {
    pub(crate) offset: LogOffset,
    /// When the collector received it: the time of records that have none.
    pub(crate) received: UnixNanos,
    pub(crate) service: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) resource: &'a Arc<Encoded>,
    pub(crate) correlation: Option<&'a str>,
    /// The record's own trace id, or the one its correlation value leads to.
    pub(crate) trace_id: Option<TraceId>,
    /// Set when the trace id is still missing.
    pub(crate) waits_for: Option<CorrelationKey>,
}

/// Builds rows of the `logs` table.
pub(crate) struct LogColumns {
    time: TimestampMicrosecondBuilder,
    time_unix_nano: Int64Builder,
    observed_time_unix_nano: Int64Builder,
    service_name: StringBuilder,
    severity: StringBuilder,
    severity_number: Int32Builder,
    body: StringBuilder,
    body_type: StringBuilder,
    event_name: StringBuilder,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    correlation_id: StringBuilder,
    scope_name: StringBuilder,
    attributes: AttributesBuilder,
    resource: ResourceColumns,
    log_offset: Int64Builder,
    scratch: String,
    waiting: Vec<Waiting>,
    extent: Extent,
}

impl LogColumns {
    pub(crate) fn new() -> LogColumns {
        LogColumns {
            time: time_builder(),
            time_unix_nano: Int64Builder::new(),
            observed_time_unix_nano: Int64Builder::new(),
            service_name: StringBuilder::new(),
            severity: StringBuilder::new(),
            severity_number: Int32Builder::new(),
            body: StringBuilder::new(),
            body_type: StringBuilder::new(),
            event_name: StringBuilder::new(),
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            correlation_id: StringBuilder::new(),
            scope_name: StringBuilder::new(),
            attributes: AttributesBuilder::new(),
            resource: ResourceColumns::new(),
            log_offset: Int64Builder::new(),
            scratch: String::new(),
            waiting: Vec::new(),
            extent: Extent::EMPTY,
        }
    }

    /// Rows held.
    pub(crate) fn rows(&self) -> usize {
        self.log_offset.values_slice().len()
    }

    /// Bytes held, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.attributes.size_bytes() + self.resource.size_bytes() + self.body.values_slice().len() + 120 * self.rows()
    }

    /// Adds the row of one record.
    ///
    /// # Errors
    /// None that data can cause: ids have their fixed width.
    pub(crate) fn push(&mut self, row: &LogRow<'_>, log: &LogView<'_, '_>) -> Result<(), ArrowError> {
        let time = log.event_time().unwrap_or(row.received);
        self.time.append_value(time.micros());
        self.time_unix_nano.append_value(time.0 as i64);
        self.observed_time_unix_nano.append_value(log.observed_time.0 as i64);
        self.service_name.append_value(row.service);
        self.push_severity(log.severity_number, log.severity_text);
        self.push_body(&log.body);
        self.event_name.append_option(not_empty(log.event_name));
        match row.trace_id {
            Some(trace_id) => self.trace_id.append_value(trace_id.0)?,
            None => self.trace_id.append_null(),
        }
        match log.span_id {
            Some(span_id) => self.span_id.append_value(span_id.0)?,
            None => self.span_id.append_null(),
        }
        if let (None, Some(key)) = (row.trace_id, row.waits_for) {
            self.waiting.push(Waiting { row: self.rows() as u32, key });
        }
        self.correlation_id.append_option(row.correlation);
        self.scope_name.append_option(not_empty(row.scope));
        for (key, value) in log.attributes.iter() {
            self.attributes.push(key, &value);
        }
        self.attributes.end_row();
        self.resource.row(row.resource);
        self.log_offset.append_value(row.offset.0 as i64);
        self.extent.add(row.offset, time, time);
        Ok(())
    }

    fn push_body(&mut self, body: &Value<'_>) {
        match body {
            Value::Str(text) => self.body.append_value(text),
            other => {
                self.scratch.clear();
                other.write_text(&mut self.scratch);
                self.body.append_value(&self.scratch);
            }
        }
        self.body_type.append_value(body.type_char().encode_utf8(&mut [0; 4]));
    }

    fn push_severity(&mut self, number: u8, text: &str) {
        self.severity_number.append_value(i32::from(number));
        match number {
            1..=24 => {
                const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
                self.severity.append_value(LEVELS[usize::from(number - 1) / 4]);
            }
            _ if text.is_empty() => self.severity.append_value("UNSPECIFIED"),
            _ => self.severity.append_value(text.to_uppercase()),
        }
    }

    /// The rows built so far with those that wait for a trace id; the builder is empty afterwards.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn finish(&mut self) -> Result<(RecordBatch, Extent, Vec<Waiting>), ArrowError> {
        let (schema, wide) = (hot_schema(TableName::Logs), TableName::Logs.schema());
        let (attributes, attribute_types) = self.attributes.finish(type_of(&wide, "attributes")?)?;
        let (resource, resource_types) = self.resource.finish(type_of(&wide, "resource_attributes")?)?;
        let batch = assemble(
            &schema,
            vec![
                ("time", Arc::new(renew_numbers(&mut self.time))),
                ("time_unix_nano", Arc::new(renew_numbers(&mut self.time_unix_nano))),
                ("observed_time_unix_nano", Arc::new(renew_numbers(&mut self.observed_time_unix_nano))),
                ("service_name", Arc::new(renew(&mut self.service_name))),
                ("severity", Arc::new(renew(&mut self.severity))),
                ("severity_number", Arc::new(renew_numbers(&mut self.severity_number))),
                ("body", Arc::new(renew(&mut self.body))),
                ("body_type", Arc::new(renew(&mut self.body_type))),
                ("event_name", Arc::new(renew(&mut self.event_name))),
                ("trace_id", Arc::new(renew_ids(&mut self.trace_id))),
                ("span_id", Arc::new(renew_ids(&mut self.span_id))),
                ("correlation_id", Arc::new(renew(&mut self.correlation_id))),
                ("scope_name", Arc::new(renew(&mut self.scope_name))),
                ("attributes", attributes),
                ("attribute_types", attribute_types),
                ("resource_attributes", resource),
                ("resource_attribute_types", resource_types),
                ("log_offset", Arc::new(renew_numbers(&mut self.log_offset))),
            ],
        )?;
        let extent = std::mem::replace(&mut self.extent, Extent::EMPTY);
        Ok((batch, extent, std::mem::take(&mut self.waiting)))
    }
}

/// Fills the trace ids that `lookup` knows by now; rows it does not know stay in `waiting`.
///
/// # Errors
/// When the batch has no `trace_id` column of 16 bytes: a mistake in this crate.
pub(crate) fn fill_trace_ids(
    batch: &RecordBatch,
    waiting: &mut Vec<Waiting>,
    mut lookup: impl FnMut(CorrelationKey) -> Option<TraceId>,
) -> Result<Option<RecordBatch>, ArrowError> {
    let mut known: Vec<(u32, TraceId)> = Vec::new();
    waiting.retain(|wait| match lookup(wait.key) {
        Some(trace_id) => {
            known.push((wait.row, trace_id));
            false
        }
        None => true,
    });
    if known.is_empty() {
        return Ok(None);
    }
    let (at, _) = batch
        .schema_ref()
        .column_with_name("trace_id")
        .ok_or_else(|| ArrowError::SchemaError("no trace_id column".into()))?;
    let filled = with_values(batch.column(at).as_fixed_size_binary(), &known)?;
    let mut columns = batch.columns().to_vec();
    columns[at] = filled;
    RecordBatch::try_new(batch.schema(), columns).map(Some)
}

/// `known` is in row order, as rows were put in line.
fn with_values(old: &FixedSizeBinaryArray, known: &[(u32, TraceId)]) -> Result<ArrayRef, ArrowError> {
    let mut built = FixedSizeBinaryBuilder::with_capacity(old.len(), 16);
    let mut known = known.iter().peekable();
    for row in 0..old.len() {
        match known.next_if(|(at, _)| *at as usize == row) {
            Some((_, trace_id)) => built.append_value(trace_id.0)?,
            None if old.is_null(row) => built.append_null(),
            None => built.append_value(old.value(row))?,
        }
    }
    Ok(Arc::new(built.finish()))
}
