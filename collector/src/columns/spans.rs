//! Rows of the `spans` table.

use std::sync::Arc;

use arrow::array::{FixedSizeBinaryBuilder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::error::ArrowError;
use daymark_model::LogOffset;
use daymark_store::TableName;
use daymark_wire::decode::SpanView;

use super::span_json::{write_events, write_links};
use super::{
    AttributesBuilder, Encoded, Extent, ResourceColumns, assemble, hot_schema, renew, renew_ids, renew_numbers,
    time_builder, type_of,
};

/// Builds rows of the `spans` table.
pub(crate) struct SpanColumns {
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    parent_span_id: FixedSizeBinaryBuilder,
    service_name: StringBuilder,
    name: StringBuilder,
    kind: StringBuilder,
    start_time: TimestampMicrosecondBuilder,
    start_time_unix_nano: Int64Builder,
    duration_ns: Int64Builder,
    status: StringBuilder,
    status_message: StringBuilder,
    trace_state: StringBuilder,
    scope_name: StringBuilder,
    correlation_id: StringBuilder,
    attributes: AttributesBuilder,
    resource: ResourceColumns,
    events: StringBuilder,
    links: StringBuilder,
    log_offset: Int64Builder,
    scratch: String,
    extent: Extent,
}

/// `internal`, `server` ...: OTLP's span kind as the tables and the derived metrics name it.
pub(crate) fn kind_name(kind: u8) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

/// `unset`, `ok` or `error`: OTLP's status code as the tables and the derived metrics name it.
pub(crate) fn status_name(code: u8) -> &'static str {
    match code {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}

impl SpanColumns {
    pub(crate) fn new() -> SpanColumns {
        SpanColumns {
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            parent_span_id: FixedSizeBinaryBuilder::new(8),
            service_name: StringBuilder::new(),
            name: StringBuilder::new(),
            kind: StringBuilder::new(),
            start_time: time_builder(),
            start_time_unix_nano: Int64Builder::new(),
            duration_ns: Int64Builder::new(),
            status: StringBuilder::new(),
            status_message: StringBuilder::new(),
            trace_state: StringBuilder::new(),
            scope_name: StringBuilder::new(),
            correlation_id: StringBuilder::new(),
            attributes: AttributesBuilder::new(),
            resource: ResourceColumns::new(),
            events: StringBuilder::new(),
            links: StringBuilder::new(),
            log_offset: Int64Builder::new(),
            scratch: String::new(),
            extent: Extent::EMPTY,
        }
    }

    /// Rows held.
    pub(crate) fn rows(&self) -> usize {
        self.log_offset.values_slice().len()
    }

    /// Bytes held, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.attributes.size_bytes()
            + self.resource.size_bytes()
            + self.events.values_slice().len()
            + self.links.values_slice().len()
            + self.name.values_slice().len()
            + 120 * self.rows()
    }

    /// Adds the row of one span. `correlation` is its correlation value, if it has one.
    ///
    /// # Errors
    /// None that data can cause: ids have their fixed width.
    pub(crate) fn push(
        &mut self,
        offset: LogOffset,
        service: &str,
        scope: &str,
        resource: &Arc<Encoded>,
        span: &SpanView<'_, '_>,
        correlation: Option<&str>,
    ) -> Result<(), ArrowError> {
        self.trace_id.append_value(span.trace_id.0)?;
        self.span_id.append_value(span.span_id.0)?;
        match span.parent_span_id {
            Some(parent) => self.parent_span_id.append_value(parent.0)?,
            None => self.parent_span_id.append_null(),
        }
        self.service_name.append_value(service);
        self.name.append_value(span.name);
        self.kind.append_value(kind_name(span.kind));
        self.start_time.append_value(span.start.micros());
        self.start_time_unix_nano.append_value(span.start.0 as i64);
        self.duration_ns.append_value(span.end.0.saturating_sub(span.start.0) as i64);
        self.status.append_value(status_name(span.status_code));
        self.status_message.append_option(not_empty(span.status_message));
        self.trace_state.append_option(not_empty(span.trace_state));
        self.scope_name.append_option(not_empty(scope));
        self.correlation_id.append_option(correlation);
        for (key, value) in span.attributes.iter() {
            self.attributes.push(key, &value);
        }
        self.attributes.end_row();
        self.resource.row(resource);
        self.push_events_and_links(span);
        self.log_offset.append_value(offset.0 as i64);
        self.extent.add(offset, span.start, span.start);
        Ok(())
    }

    fn push_events_and_links(&mut self, span: &SpanView<'_, '_>) {
        if span.events.is_empty() {
            self.events.append_null();
        } else {
            self.scratch.clear();
            write_events(&mut self.scratch, span);
            self.events.append_value(&self.scratch);
        }
        if span.links.is_empty() {
            self.links.append_null();
        } else {
            self.scratch.clear();
            write_links(&mut self.scratch, span);
            self.links.append_value(&self.scratch);
        }
    }

    /// The rows built so far; the builder is empty afterwards.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn finish(&mut self) -> Result<(RecordBatch, Extent), ArrowError> {
        let (schema, wide) = (hot_schema(TableName::Spans), TableName::Spans.schema());
        let (attributes, attribute_types) = self.attributes.finish(type_of(&wide, "attributes")?)?;
        let (resource, resource_types) = self.resource.finish(type_of(&wide, "resource_attributes")?)?;
        let batch = assemble(
            &schema,
            vec![
                ("trace_id", Arc::new(renew_ids(&mut self.trace_id))),
                ("span_id", Arc::new(renew_ids(&mut self.span_id))),
                ("parent_span_id", Arc::new(renew_ids(&mut self.parent_span_id))),
                ("service_name", Arc::new(renew(&mut self.service_name))),
                ("name", Arc::new(renew(&mut self.name))),
                ("kind", Arc::new(renew(&mut self.kind))),
                ("start_time", Arc::new(renew_numbers(&mut self.start_time))),
                ("start_time_unix_nano", Arc::new(renew_numbers(&mut self.start_time_unix_nano))),
                ("duration_ns", Arc::new(renew_numbers(&mut self.duration_ns))),
                ("status", Arc::new(renew(&mut self.status))),
                ("status_message", Arc::new(renew(&mut self.status_message))),
                ("trace_state", Arc::new(renew(&mut self.trace_state))),
                ("scope_name", Arc::new(renew(&mut self.scope_name))),
                ("correlation_id", Arc::new(renew(&mut self.correlation_id))),
                ("attributes", attributes),
                ("attribute_types", attribute_types),
                ("resource_attributes", resource),
                ("resource_attribute_types", resource_types),
                ("events", Arc::new(renew(&mut self.events))),
                ("links", Arc::new(renew(&mut self.links))),
                ("log_offset", Arc::new(renew_numbers(&mut self.log_offset))),
            ],
        )?;
        Ok((batch, std::mem::replace(&mut self.extent, Extent::EMPTY)))
    }
}

/// OTLP writes "no text" as an empty one; the tables as null.
pub(crate) fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
