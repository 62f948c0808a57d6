//! The messages of OTLP 1.10 as OTLP/JSON spells them, with their protobuf numbers and types.

use daymark_model::Signal;

/// A protobuf message.
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
    /// Of the fields so marked in one message only one can be set.
    pub(super) one_of: bool,
}

/// Type of a field.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Base64,
    Hex,
    Bool,
    /// Names of the numbers from 0 on.
    Enum(&'static [&'static str]),
    Int32,
    Uint32,
    Fixed32,
    Sint32,
    Int64,
    Uint64,
    Fixed64,
    Sfixed64,
    Double,
    Message(&'static Message),
}

impl Message {
    /// What to say about a key that the message does not have.
    pub(super) fn unknown_key(&self, key: &str) -> String {
        let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
        let shown: String = key.chars().take(80).collect();
        if let Some(field) = self.fields.iter().find(|field| plain(field.name) == plain(key)) {
            return format!("unknown key {shown:?}, expected {:?}", field.name);
        }
        let known: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
        format!("unknown key {shown:?}, a {} has: {}", self.name, known.join(", "))
    }
}

/// The export request of `signal`.
pub(super) fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACE_REQUEST,
        Signal::Logs => &LOGS_REQUEST,
        Signal::Metrics => &METRICS_REQUEST,
    }
}

const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, repeated: false, one_of: false }
}

const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, repeated: true, one_of: false }
}

const fn choice(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, repeated: false, one_of: true }
}

use Kind::{Base64, Bool, Double, Enum, Fixed32, Fixed64, Hex, Int32, Int64, Sfixed64, Sint32, Text, Uint32, Uint64};

macro_rules! messages {
    ($($constant:ident = $name:literal { $($field:expr),+ $(,)? })+) => {
        $(static $constant: Message = Message { name: $name, fields: &[$($field),+] };)+
    };
}

const SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const STATUS_CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
const TEMPORALITIES: &[&str] =
    &["AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE"];
#[rustfmt::skip]
const SEVERITIES: &[&str] = &[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE", "SEVERITY_NUMBER_TRACE2", "SEVERITY_NUMBER_TRACE3", "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG", "SEVERITY_NUMBER_DEBUG2", "SEVERITY_NUMBER_DEBUG3", "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO", "SEVERITY_NUMBER_INFO2", "SEVERITY_NUMBER_INFO3", "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN", "SEVERITY_NUMBER_WARN2", "SEVERITY_NUMBER_WARN3", "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR", "SEVERITY_NUMBER_ERROR2", "SEVERITY_NUMBER_ERROR3", "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL", "SEVERITY_NUMBER_FATAL2", "SEVERITY_NUMBER_FATAL3", "SEVERITY_NUMBER_FATAL4",
];

messages! {
    TRACE_REQUEST = "ExportTraceServiceRequest" { many("resourceSpans", 1, Kind::Message(&RESOURCE_SPANS)) }
    RESOURCE_SPANS = "ResourceSpans" {
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeSpans", 2, Kind::Message(&SCOPE_SPANS)),
        one("schemaUrl", 3, Text),
    }
    SCOPE_SPANS = "ScopeSpans" {
        one("scope", 1, Kind::Message(&SCOPE)),
        many("spans", 2, Kind::Message(&SPAN)),
        one("schemaUrl", 3, Text),
    }
    SPAN = "Span" {
        one("traceId", 1, Hex),
        one("spanId", 2, Hex),
        one("traceState", 3, Text),
        one("parentSpanId", 4, Hex),
        one("flags", 16, Fixed32),
        one("name", 5, Text),
        one("kind", 6, Enum(SPAN_KINDS)),
        one("startTimeUnixNano", 7, Fixed64),
        one("endTimeUnixNano", 8, Fixed64),
        many("attributes", 9, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 10, Uint32),
        many("events", 11, Kind::Message(&EVENT)),
        one("droppedEventsCount", 12, Uint32),
        many("links", 13, Kind::Message(&LINK)),
        one("droppedLinksCount", 14, Uint32),
        one("status", 15, Kind::Message(&STATUS)),
    }
    EVENT = "Event" {
        one("timeUnixNano", 1, Fixed64),
        one("name", 2, Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Uint32),
    }
    LINK = "Link" {
        one("traceId", 1, Hex),
        one("spanId", 2, Hex),
        one("traceState", 3, Text),
        many("attributes", 4, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 5, Uint32),
        one("flags", 6, Fixed32),
    }
    STATUS = "Status" { one("message", 2, Text), one("code", 3, Enum(STATUS_CODES)) }

    LOGS_REQUEST = "ExportLogsServiceRequest" { many("resourceLogs", 1, Kind::Message(&RESOURCE_LOGS)) }
    RESOURCE_LOGS = "ResourceLogs" {
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeLogs", 2, Kind::Message(&SCOPE_LOGS)),
        one("schemaUrl", 3, Text),
    }
    SCOPE_LOGS = "ScopeLogs" {
        one("scope", 1, Kind::Message(&SCOPE)),
        many("logRecords", 2, Kind::Message(&LOG_RECORD)),
        one("schemaUrl", 3, Text),
    }
    LOG_RECORD = "LogRecord" {
        one("timeUnixNano", 1, Fixed64),
        one("observedTimeUnixNano", 11, Fixed64),
        one("severityNumber", 2, Enum(SEVERITIES)),
        one("severityText", 3, Text),
        one("body", 5, Kind::Message(&ANY_VALUE)),
        many("attributes", 6, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 7, Uint32),
        one("flags", 8, Fixed32),
        one("traceId", 9, Hex),
        one("spanId", 10, Hex),
        one("eventName", 12, Text),
    }

    METRICS_REQUEST = "ExportMetricsServiceRequest" { many("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS)) }
    RESOURCE_METRICS = "ResourceMetrics" {
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
        one("schemaUrl", 3, Text),
    }
    SCOPE_METRICS = "ScopeMetrics" {
        one("scope", 1, Kind::Message(&SCOPE)),
        many("metrics", 2, Kind::Message(&METRIC)),
        one("schemaUrl", 3, Text),
    }
    METRIC = "Metric" {
        one("name", 1, Text),
        one("description", 2, Text),
        one("unit", 3, Text),
        choice("gauge", 5, Kind::Message(&GAUGE)),
        choice("sum", 7, Kind::Message(&SUM)),
        choice("histogram", 9, Kind::Message(&HISTOGRAM)),
        choice("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        choice("summary", 11, Kind::Message(&SUMMARY)),
        many("metadata", 12, Kind::Message(&KEY_VALUE)),
    }
    GAUGE = "Gauge" { many("dataPoints", 1, Kind::Message(&NUMBER_POINT)) }
    SUM = "Sum" {
        many("dataPoints", 1, Kind::Message(&NUMBER_POINT)),
        one("aggregationTemporality", 2, Enum(TEMPORALITIES)),
        one("isMonotonic", 3, Bool),
    }
    HISTOGRAM = "Histogram" {
        many("dataPoints", 1, Kind::Message(&HISTOGRAM_POINT)),
        one("aggregationTemporality", 2, Enum(TEMPORALITIES)),
    }
    EXPONENTIAL_HISTOGRAM = "ExponentialHistogram" {
        many("dataPoints", 1, Kind::Message(&EXPONENTIAL_POINT)),
        one("aggregationTemporality", 2, Enum(TEMPORALITIES)),
    }
    SUMMARY = "Summary" { many("dataPoints", 1, Kind::Message(&SUMMARY_POINT)) }
    NUMBER_POINT = "NumberDataPoint" {
        many("attributes", 7, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        choice("asDouble", 4, Double),
        choice("asInt", 6, Sfixed64),
        many("exemplars", 5, Kind::Message(&EXEMPLAR)),
        one("flags", 8, Uint32),
    }
    HISTOGRAM_POINT = "HistogramDataPoint" {
        many("attributes", 9, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        many("bucketCounts", 6, Fixed64),
        many("explicitBounds", 7, Double),
        many("exemplars", 8, Kind::Message(&EXEMPLAR)),
        one("flags", 10, Uint32),
        one("min", 11, Double),
        one("max", 12, Double),
    }
    EXPONENTIAL_POINT = "ExponentialHistogramDataPoint" {
        many("attributes", 1, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        one("scale", 6, Sint32),
        one("zeroCount", 7, Fixed64),
        one("positive", 8, Kind::Message(&BUCKETS)),
        one("negative", 9, Kind::Message(&BUCKETS)),
        one("flags", 10, Uint32),
        many("exemplars", 11, Kind::Message(&EXEMPLAR)),
        one("min", 12, Double),
        one("max", 13, Double),
        one("zeroThreshold", 14, Double),
    }
    BUCKETS = "Buckets" { one("offset", 1, Sint32), many("bucketCounts", 2, Uint64) }
    SUMMARY_POINT = "SummaryDataPoint" {
        many("attributes", 7, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        many("quantileValues", 6, Kind::Message(&QUANTILE)),
        one("flags", 8, Uint32),
    }
    QUANTILE = "ValueAtQuantile" { one("quantile", 1, Double), one("value", 2, Double) }
    EXEMPLAR = "Exemplar" {
        many("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
        one("timeUnixNano", 2, Fixed64),
        choice("asDouble", 3, Double),
        choice("asInt", 6, Sfixed64),
        one("spanId", 4, Hex),
        one("traceId", 5, Hex),
    }

    RESOURCE = "Resource" {
        many("attributes", 1, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 2, Uint32),
        many("entityRefs", 3, Kind::Message(&ENTITY_REF)),
    }
    ENTITY_REF = "EntityRef" {
        one("schemaUrl", 1, Text),
        one("type", 2, Text),
        many("idKeys", 3, Text),
        many("descriptionKeys", 4, Text),
    }
    SCOPE = "InstrumentationScope" {
        one("name", 1, Text),
        one("version", 2, Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Uint32),
    }
    KEY_VALUE = "KeyValue" {
        one("key", 1, Text),
        one("value", 2, Kind::Message(&ANY_VALUE)),
        one("keyStrindex", 3, Int32),
    }
    ANY_VALUE = "AnyValue" {
        choice("stringValue", 1, Text),
        choice("boolValue", 2, Bool),
        choice("intValue", 3, Int64),
        choice("doubleValue", 4, Double),
        choice("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        choice("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
        choice("bytesValue", 7, Base64),
        choice("stringValueStrindex", 8, Int32),
    }
    ARRAY_VALUE = "ArrayValue" { many("values", 1, Kind::Message(&ANY_VALUE)) }
    KEY_VALUE_LIST = "KeyValueList" { many("values", 1, Kind::Message(&KEY_VALUE)) }
}
