//! What visitors see: plain structs that borrow from the payload (`'a`) and from the walk's scratch lists (`'s`).

use std::ops::Range;

use daymark_model::{SpanId, TraceId, UnixNanos};

use super::attributes::{KeyValues, Value};
use super::packed::{Doubles, Fixed64s, Varints};

/// What produced the items.
#[derive(Clone, Copy, Debug)]
pub struct ResourceView<'s, 'a> {
    /// Attributes of the resource.
    pub attributes: KeyValues<'s, 'a>,
    /// `service.name`, or `unknown_service` when it is absent, empty or not a string.
    pub service_name: &'a str,
    /// The `Resource` message; empty when there was none. Equal bytes are equal resources.
    pub raw: &'a [u8],
}

/// The library that produced the items.
#[derive(Clone, Copy, Debug)]
pub struct ScopeView<'s, 'a> {
    /// Name of the library.
    pub name: &'a str,
    /// Version of the library.
    pub version: &'a str,
    /// Attributes of the scope.
    pub attributes: KeyValues<'s, 'a>,
}

/// A span with valid ids and times.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'s, 'a> {
    /// Which trace; never zero.
    pub trace_id: TraceId,
    /// Which span; never zero.
    pub span_id: SpanId,
    /// The caller; none for a root.
    pub parent_span_id: Option<SpanId>,
    /// Name of the operation.
    pub name: &'a str,
    /// 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer; what is not known is 0.
    pub kind: u8,
    /// Start; never 0.
    pub start: UnixNanos,
    /// End; never 0. May lie before the start when the sender's clock was moved.
    pub end: UnixNanos,
    /// 0 unset, 1 ok, 2 error; what is not known is 0.
    pub status_code: u8,
    /// Description of an error.
    pub status_message: &'a str,
    /// W3C trace state.
    pub trace_state: &'a str,
    /// W3C trace flags and OTLP's flags.
    pub flags: u32,
    /// Attributes of the span.
    pub attributes: KeyValues<'s, 'a>,
    /// Events of the span.
    pub events: Events<'s, 'a>,
    /// Links of the span.
    pub links: Links<'s, 'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// Events that the sender dropped.
    pub dropped_events_count: u32,
    /// Links that the sender dropped.
    pub dropped_links_count: u32,
}

impl SpanView<'_, '_> {
    /// End less start, nanoseconds; 0 when the end lies before the start.
    pub fn duration_ns(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }
}

/// An event of a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventView<'s, 'a> {
    /// When it happened.
    pub time: UnixNanos,
    /// What happened.
    pub name: &'a str,
    /// Attributes of the event.
    pub attributes: KeyValues<'s, 'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
}

/// A link from a span to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkView<'s, 'a> {
    /// Linked trace; none when the id is invalid.
    pub trace_id: Option<TraceId>,
    /// Linked span; none when the id is invalid.
    pub span_id: Option<SpanId>,
    /// W3C trace state.
    pub trace_state: &'a str,
    /// Attributes of the link.
    pub attributes: KeyValues<'s, 'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// W3C trace flags and OTLP's flags.
    pub flags: u32,
}

/// A log record or a work-unit event.
#[derive(Clone, Copy, Debug)]
pub struct LogView<'s, 'a> {
    /// When it happened; 0 when the sender did not know.
    pub time: UnixNanos,
    /// When it was collected; 0 when not given.
    pub observed_time: UnixNanos,
    /// 1 to 24; 0 unspecified or not known.
    pub severity_number: u8,
    /// The sender's word for the severity.
    pub severity_text: &'a str,
    /// The message.
    pub body: Value<'a>,
    /// Attributes of the record.
    pub attributes: KeyValues<'s, 'a>,
    /// Trace it belongs to; none when absent or invalid.
    pub trace_id: Option<TraceId>,
    /// Span it belongs to; none when absent or invalid.
    pub span_id: Option<SpanId>,
    /// W3C trace flags.
    pub flags: u32,
    /// Name of the event; empty for plain log records.
    pub event_name: &'a str,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
}

impl LogView<'_, '_> {
    /// When it happened, or else when it was collected; none when neither is known.
    pub fn event_time(&self) -> Option<UnixNanos> {
        [self.time, self.observed_time].into_iter().find(|time| time.0 != 0)
    }
}

/// How the points of a metric relate to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// Not said.
    Unspecified,
    /// Each point counts from the end of the one before.
    Delta,
    /// Each point counts from the same start.
    Cumulative,
}

/// What kind of points a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Current values.
    Gauge,
    /// Sums.
    Sum {
        /// Only grows.
        monotonic: bool,
        /// How points relate to time.
        temporality: Temporality,
    },
    /// Explicit-bucket histograms.
    Histogram {
        /// How points relate to time.
        temporality: Temporality,
    },
    /// Base-2 exponential histograms.
    ExponentialHistogram {
        /// How points relate to time.
        temporality: Temporality,
    },
    /// Precomputed quantiles.
    Summary,
}

/// A metric, without its points.
#[derive(Clone, Copy, Debug)]
pub struct MetricView<'s, 'a> {
    /// Name of the metric.
    pub name: &'a str,
    /// UCUM unit.
    pub unit: &'a str,
    /// Description of the metric.
    pub description: &'a str,
    /// `Metric.metadata`.
    pub metadata: KeyValues<'s, 'a>,
    /// What kind of points follow.
    pub kind: MetricKind,
}

/// A number of a data point or an exemplar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
}

impl Number {
    /// The number as a double; integers beyond 2^53 are rounded.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        }
    }
}

/// A data point with a valid time.
#[derive(Clone, Copy, Debug)]
pub struct PointView<'s, 'a> {
    /// Attributes of the point: with metric, scope and resource they name the series.
    pub attributes: KeyValues<'s, 'a>,
    /// Start of what is counted; 0 when not given.
    pub start_time: UnixNanos,
    /// Time of the value, or end of what is counted; never 0.
    pub time: UnixNanos,
    /// Bit 0, no value was recorded, is never set: such points are rejected.
    pub flags: u32,
    /// Example measurements.
    pub exemplars: Exemplars<'s, 'a>,
    /// The value.
    pub value: PointValue<'s>,
}

/// Value of a data point, by kind.
#[derive(Clone, Copy, Debug)]
pub enum PointValue<'s> {
    /// Of a gauge or sum.
    Number(Number),
    /// Of an explicit-bucket histogram.
    Histogram(HistogramView<'s>),
    /// Of an exponential histogram.
    Exponential(ExponentialView<'s>),
    /// Of a summary.
    Summary(SummaryView<'s>),
}

/// An explicit-bucket histogram: either no buckets at all, or one count more than bounds, which increase.
#[derive(Clone, Copy, Debug)]
pub struct HistogramView<'s> {
    /// Number of values: the sum of `counts` when there are any.
    pub count: u64,
    /// Sum of the values.
    pub sum: Option<f64>,
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// Upper bounds (inclusive) of all buckets but the last.
    pub bounds: Doubles<'s>,
    /// Values in each bucket.
    pub counts: Fixed64s<'s>,
}

/// A base-2 exponential histogram: bucket `i` holds `base^i < value <= base^(i+1)`, `base = 2^(2^-scale)`.
#[derive(Clone, Copy, Debug)]
pub struct ExponentialView<'s> {
    /// Resolution.
    pub scale: i32,
    /// Number of values: `zero_count` and all bucket counts.
    pub count: u64,
    /// Sum of the values.
    pub sum: Option<f64>,
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// Values no further from 0 than `zero_threshold`.
    pub zero_count: u64,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Buckets of positive values.
    pub positive: Buckets<'s>,
    /// Buckets of negative values, by absolute value.
    pub negative: Buckets<'s>,
}

/// Consecutive buckets of an exponential histogram.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'s> {
    /// Index of the first bucket.
    pub offset: i32,
    /// Values in each bucket.
    pub counts: Varints<'s>,
}

/// A summary.
#[derive(Clone, Copy, Debug)]
pub struct SummaryView<'s> {
    /// Number of values.
    pub count: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Pairs of quantile (0 to 1) and value.
    pub quantiles: &'s [(f64, f64)],
}

/// An example measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExemplarView<'s, 'a> {
    /// When it was measured.
    pub time: UnixNanos,
    /// The measured value.
    pub value: Option<Number>,
    /// Trace it was measured in; none when absent or invalid.
    pub trace_id: Option<TraceId>,
    /// Span it was measured in; none when absent or invalid.
    pub span_id: Option<SpanId>,
    /// Attributes that are not part of the series.
    pub filtered_attributes: KeyValues<'s, 'a>,
}

/// One entry of a scratch list: its own fields and the range of its attributes in the shared attribute list.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) item: T,
    pub(super) attributes: Range<usize>,
}

macro_rules! entries {
    ($(#[$doc:meta])* $name:ident, $view:ident, $field:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'s, 'a> {
            pub(super) entries: &'s [Entry<$view<'a, 'a>>],
            pub(super) attributes: &'s [(&'a str, Value<'a>)],
        }

        impl<'s, 'a> $name<'s, 'a> {
            /// All of them, in the order of the wire.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = $view<'s, 'a>> + use<'s, 'a> {
                let attributes = self.attributes;
                self.entries
                    .iter()
                    .map(move |entry| $view { $field: KeyValues(&attributes[entry.attributes.clone()]), ..entry.item })
            }

            /// How many.
            pub fn len(&self) -> usize {
                self.entries.len()
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.entries.is_empty()
            }
        }
    };
}

entries!(
    /// Events of a span.
    Events, EventView, attributes
);
entries!(
    /// Links of a span.
    Links, LinkView, attributes
);
entries!(
    /// Exemplars of a data point.
    Exemplars, ExemplarView, filtered_attributes
);
