//! Rows of the `spans` table as the stitcher needs them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use daymark_model::{LogOffset, TraceId};
use daymark_trace::{Kind, Span};

use crate::resources::clock;
use crate::stitch::{DATABASE, target};

/// The columns that are read.
pub(super) const COLUMNS: [&str; 15] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "service_name",
    "name",
    "kind",
    "start_time_unix_nano",
    "duration_ns",
    "status",
    "correlation_id",
    "attributes",
    "attribute_types",
    "resource_attributes",
    "resource_attribute_types",
    "log_offset",
];

/// A stored span as the stitcher needs it.
pub(super) struct StoredSpan {
    pub(super) offset: LogOffset,
    pub(super) trace: TraceId,
    /// Without names, whose numbers belong to the stitcher.
    pub(super) span: Span,
    pub(super) service: u32,
    pub(super) peer: u32,
    pub(super) name: Box<str>,
    pub(super) correlation: Option<Box<str>>,
}

/// Names of services and callees, each once.
#[derive(Default)]
pub(super) struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    pub(super) all: Vec<Arc<str>>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (number, text) = (self.all.len() as u32, Arc::<str>::from(text));
        self.numbers.insert(Arc::clone(&text), number);
        self.all.push(text);
        number
    }
}

fn ids<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b FixedSizeBinaryArray> {
    batch.column_by_name(name)?.as_fixed_size_binary_opt()
}

/// The columns of stored spans.
pub(super) struct SpanBatch<'b> {
    trace_id: &'b FixedSizeBinaryArray,
    span_id: &'b FixedSizeBinaryArray,
    parent: &'b FixedSizeBinaryArray,
    service: &'b StringArray,
    name: &'b StringArray,
    kind: &'b StringArray,
    status: &'b StringArray,
    correlation: &'b StringArray,
    start: &'b Int64Array,
    duration: &'b Int64Array,
    offset: &'b Int64Array,
    attributes: (&'b MapArray, &'b StringArray),
    resource: (&'b MapArray, &'b StringArray),
}

impl<'b> SpanBatch<'b> {
    pub(super) fn of(batch: &'b RecordBatch) -> Option<SpanBatch<'b>> {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let long = |name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let map = |name| batch.column_by_name(name)?.as_map_opt();
        Some(SpanBatch {
            trace_id: ids(batch, "trace_id")?,
            span_id: ids(batch, "span_id")?,
            parent: ids(batch, "parent_span_id")?,
            service: text("service_name")?,
            name: text("name")?,
            kind: text("kind")?,
            status: text("status")?,
            correlation: text("correlation_id")?,
            start: long("start_time_unix_nano")?,
            duration: long("duration_ns")?,
            offset: long("log_offset")?,
            attributes: (map("attributes")?, text("attribute_types")?),
            resource: (map("resource_attributes")?, text("resource_attribute_types")?),
        })
    }

    pub(super) fn span(&self, known: &mut Texts, row: usize) -> Option<StoredSpan> {
        let trace = TraceId::from_slice(self.trace_id.value(row))?;
        let id = |column: &FixedSizeBinaryArray| column.value(row).try_into().map_or(0, u64::from_be_bytes);
        let kind = Kind::parse(self.kind.value(row));
        let callee = target(kind, texts(self.attributes, row));
        let service = self.service.value(row);
        let attribute = |key: &str| texts(self.resource, row).find(|(known, _)| *known == key).map(|(_, value)| value);
        let mark = |mark: u8, set: bool| if set { mark } else { 0 };
        Some(StoredSpan {
            offset: LogOffset(self.offset.value(row) as u64),
            trace,
            span: Span {
                id: id(self.span_id),
                parent: if self.parent.is_null(row) { 0 } else { id(self.parent) },
                start: self.start.value(row) as u64,
                duration: self.duration.value(row) as u64,
                clock: clock(service, attribute),
                kind,
                marks: mark(Span::ERROR, self.status.value(row) == "error") | mark(DATABASE, callee.is_database),
                ..Span::default()
            },
            service: known.number(service),
            peer: known.number(callee.name),
            name: self.name.value(row).into(),
            correlation: self.correlation.is_valid(row).then(|| self.correlation.value(row).into()),
        })
    }
}

/// The entries of a map of attributes that were sent as text.
fn texts<'b>((map, types): (&'b MapArray, &'b StringArray), row: usize) -> impl Iterator<Item = (&'b str, &'b str)> {
    let offsets = map.value_offsets();
    let entries = offsets[row] as usize..offsets[row + 1] as usize;
    let [keys, values] = [map.keys(), map.values()].map(|column| column.as_string_opt::<i32>());
    let types = types.value(row).chars();
    keys.zip(values).into_iter().flat_map(move |(keys, values)| {
        let of_text = entries.clone().zip(types.clone()).filter(|(_, kind)| *kind == 's');
        of_text.map(move |(at, _)| (keys.value(at), values.value(at)))
    })
}
