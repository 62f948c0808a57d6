//! Rows of the `traces` table, built from summaries and read back from stored segments.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, Int64Builder, ListBuilder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use daymark_model::{LogOffset, TraceId, UnixNanos};
use daymark_store::TableName;

use super::{Extent, assemble, time_builder};

/// One row of the `traces` table: a complete summary of what was known at `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceRow {
    pub(crate) trace_id: TraceId,
    pub(crate) root_service: Option<String>,
    pub(crate) root_name: Option<String>,
    pub(crate) start: UnixNanos,
    pub(crate) duration_ns: u64,
    pub(crate) span_count: u64,
    pub(crate) error_count: u64,
    pub(crate) services: Vec<String>,
    pub(crate) correlation_ids: Vec<String>,
    pub(crate) state: String,
    /// Start and duration as the spans say, without correction.
    pub(crate) raw_start: UnixNanos,
    pub(crate) raw_duration_ns: u64,
    /// The largest correction of a clock; none without correction.
    pub(crate) clock_offset_ns: Option<i64>,
    /// Spans that the analysis has looked at.
    pub(crate) analysed_spans: u64,
    /// Self time, part of the critical path, and correction of each of `services`.
    pub(crate) by_service: Vec<ServiceFigures>,
    /// Log offset of the newest span counted: of two rows the one with the larger version counts.
    pub(crate) version: LogOffset,
    /// Newest offset applied when the row was written.
    pub(crate) log_offset: LogOffset,
}

/// Figures of one of a trace's services, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceFigures {
    pub(crate) self_ns: u64,
    pub(crate) critical_ns: u64,
    pub(crate) clock_offset_ns: i64,
}

const LATER: [&str; 4] = ["raw_start_time_unix_nano", "raw_duration_ns", "clock_offset_ns", "analysed_spans"];
const SERVICE_LISTS: [&str; 3] = ["service_self_ns", "service_critical_ns", "service_clock_offset_ns"];

/// Builds rows of the `traces` table.
pub(crate) struct TraceColumns {
    trace_id: FixedSizeBinaryBuilder,
    root_service: StringBuilder,
    root_name: StringBuilder,
    start_time: TimestampMicrosecondBuilder,
    start_time_unix_nano: Int64Builder,
    duration_ns: Int64Builder,
    span_count: Int64Builder,
    error_count: Int64Builder,
    services: ListBuilder<StringBuilder>,
    correlation_ids: ListBuilder<StringBuilder>,
    state: StringBuilder,
    version: Int64Builder,
    log_offset: Int64Builder,
    /// `raw_start_time_unix_nano`, `raw_duration_ns`, `clock_offset_ns`, `analysed_spans`.
    later: [Int64Builder; 4],
    by_service: [ListBuilder<Int64Builder>; 3],
    extent: Extent,
}

impl TraceColumns {
    pub(crate) fn new() -> TraceColumns {
        TraceColumns {
            trace_id: FixedSizeBinaryBuilder::new(16),
            root_service: StringBuilder::new(),
            root_name: StringBuilder::new(),
            start_time: time_builder(),
            start_time_unix_nano: Int64Builder::new(),
            duration_ns: Int64Builder::new(),
            span_count: Int64Builder::new(),
            error_count: Int64Builder::new(),
            services: daymark_store::strings_builder(),
            correlation_ids: daymark_store::strings_builder(),
            state: StringBuilder::new(),
            version: Int64Builder::new(),
            log_offset: Int64Builder::new(),
            later: Default::default(),
            by_service: [(); 3].map(|()| daymark_store::longs_builder()),
            extent: Extent::EMPTY,
        }
    }

    /// Rows held.
    pub(crate) fn rows(&self) -> usize {
        self.log_offset.values_slice().len()
    }

    /// Bytes held, about.
    pub(crate) fn size_bytes(&self) -> usize {
        350 * self.rows()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// None that data can cause: ids have their fixed width.
    pub(crate) fn push(&mut self, row: &TraceRow) -> Result<(), ArrowError> {
        self.trace_id.append_value(row.trace_id.0)?;
        self.root_service.append_option(row.root_service.as_deref());
        self.root_name.append_option(row.root_name.as_deref());
        self.start_time.append_value(row.start.micros());
        self.start_time_unix_nano.append_value(row.start.0 as i64);
        self.duration_ns.append_value(row.duration_ns as i64);
        self.span_count.append_value(row.span_count as i64);
        self.error_count.append_value(row.error_count as i64);
        row.services.iter().for_each(|service| self.services.values().append_value(service));
        self.services.append(true);
        row.correlation_ids.iter().for_each(|id| self.correlation_ids.values().append_value(id));
        self.correlation_ids.append(true);
        self.state.append_value(&row.state);
        self.version.append_value(row.version.0 as i64);
        self.log_offset.append_value(row.log_offset.0 as i64);
        let raw = [row.raw_start.0 as i64, row.raw_duration_ns as i64].map(Some);
        let later = [raw[0], raw[1], row.clock_offset_ns, Some(row.analysed_spans as i64)];
        self.later.iter_mut().zip(later).for_each(|(column, value)| column.append_option(value));
        self.push_figures(row);
        self.extent.add(row.log_offset, row.start, row.start);
        Ok(())
    }

    fn push_figures(&mut self, row: &TraceRow) {
        let [self_ns, critical_ns, offsets] = &mut self.by_service;
        for figures in &row.by_service {
            self_ns.values().append_value(figures.self_ns as i64);
            critical_ns.values().append_value(figures.critical_ns as i64);
            if row.clock_offset_ns.is_some() {
                offsets.values().append_value(figures.clock_offset_ns);
            }
        }
        self_ns.append(true);
        critical_ns.append(true);
        offsets.append(row.clock_offset_ns.is_some());
    }

    /// The rows built so far; the builder is empty afterwards.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn finish(&mut self) -> Result<(RecordBatch, Extent), ArrowError> {
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("trace_id", Arc::new(self.trace_id.finish())),
            ("root_service", Arc::new(self.root_service.finish())),
            ("root_name", Arc::new(self.root_name.finish())),
            ("start_time", Arc::new(self.start_time.finish())),
            ("start_time_unix_nano", Arc::new(self.start_time_unix_nano.finish())),
            ("duration_ns", Arc::new(self.duration_ns.finish())),
            ("span_count", Arc::new(self.span_count.finish())),
            ("error_count", Arc::new(self.error_count.finish())),
            ("services", Arc::new(self.services.finish())),
            ("correlation_ids", Arc::new(self.correlation_ids.finish())),
            ("state", Arc::new(self.state.finish())),
            ("version", Arc::new(self.version.finish())),
            ("log_offset", Arc::new(self.log_offset.finish())),
        ];
        for (name, column) in LATER.into_iter().zip(&mut self.later) {
            columns.push((name, Arc::new(column.finish())));
        }
        for (name, column) in SERVICE_LISTS.into_iter().zip(&mut self.by_service) {
            columns.push((name, Arc::new(column.finish())));
        }
        let batch = assemble(&TableName::Traces.schema(), columns)?;
        Ok((batch, std::mem::replace(&mut self.extent, Extent::EMPTY)))
    }
}

/// Reads rows back, those of the traces `wanted`, without the figures of their services.
pub(crate) fn read_trace_rows(batch: &RecordBatch, mut wanted: impl FnMut(&TraceId) -> bool) -> Vec<TraceRow> {
    let Some(columns) = Columns::of(batch) else { return Vec::new() };
    (0..batch.num_rows())
        .filter_map(|row| {
            let trace_id = TraceId::from_slice(columns.trace_id.value(row))?;
            wanted(&trace_id).then(|| columns.row(trace_id, row))
        })
        .collect()
}

struct Columns<'b> {
    trace_id: &'b arrow::array::FixedSizeBinaryArray,
    texts: [&'b arrow::array::StringArray; 3],
    numbers: [&'b arrow::array::Int64Array; 6],
    lists: [&'b arrow::array::ListArray; 2],
    /// Columns that older segments lack.
    later: [Option<&'b arrow::array::Int64Array>; 4],
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Option<Columns<'b>> {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let number = |name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let list = |name| batch.column_by_name(name)?.as_list_opt::<i32>();
        Some(Columns {
            trace_id: batch.column_by_name("trace_id")?.as_fixed_size_binary_opt()?,
            texts: [text("root_service")?, text("root_name")?, text("state")?],
            numbers: [
                number("start_time_unix_nano")?,
                number("duration_ns")?,
                number("span_count")?,
                number("error_count")?,
                number("version")?,
                number("log_offset")?,
            ],
            lists: [list("services")?, list("correlation_ids")?],
            later: LATER.map(number),
        })
    }

    fn row(&self, trace_id: TraceId, row: usize) -> TraceRow {
        let text = |at: usize| (!self.texts[at].is_null(row)).then(|| self.texts[at].value(row).to_owned());
        let number = |at: usize| self.numbers[at].value(row) as u64;
        let list = |at: usize| -> Vec<String> {
            let items = self.lists[at].value(row);
            let items = items.as_string_opt::<i32>();
            items.map(|items| items.iter().flatten().map(str::to_owned).collect()).unwrap_or_default()
        };
        let later = |at: usize| self.later[at].filter(|column| column.is_valid(row)).map(|column| column.value(row));
        TraceRow {
            trace_id,
            root_service: text(0),
            root_name: text(1),
            start: UnixNanos(number(0)),
            duration_ns: number(1),
            span_count: number(2),
            error_count: number(3),
            services: list(0),
            correlation_ids: list(1),
            state: text(2).unwrap_or_default(),
            raw_start: UnixNanos(later(0).map_or(number(0), |start| start as u64)),
            raw_duration_ns: later(1).map_or(number(1), |duration| duration as u64),
            clock_offset_ns: later(2),
            analysed_spans: later(3).unwrap_or(0) as u64,
            by_service: Vec::new(),
            version: LogOffset(number(4)),
            log_offset: LogOffset(number(5)),
        }
    }
}
