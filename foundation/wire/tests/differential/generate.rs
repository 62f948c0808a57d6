//! Random OTLP requests: all value types, valid and invalid ids and times, buckets that add up and that do not.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// A deterministic source of random requests.
pub(crate) struct Generator {
    state: u64,
    /// Only what opentelemetry-proto can write as JSON.
    json: bool,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Generator {
        Generator { state: seed, json: false }
    }

    pub(crate) fn for_json(seed: u64) -> Generator {
        Generator { state: seed, json: true }
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn list<T>(&mut self, max: u64, mut one: impl FnMut(&mut Generator) -> T) -> Vec<T> {
        let length = self.below(max + 1);
        (0..length).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Generator) -> T) -> Option<T> {
        if self.one_in(3) { None } else { Some(one(self)) }
    }

    fn text(&mut self) -> String {
        let words = ["", "a", "service.name", "http.route", "grüße", "日本", "\"quoted\"\n", "0123456789abcdef"];
        let mut text = words[self.below(8) as usize].to_owned();
        if self.one_in(10) {
            text = text.repeat(40);
        }
        text
    }

    fn id(&mut self, length: usize) -> Vec<u8> {
        match self.below(12) {
            0 => vec![0; length],
            1 => vec![],
            2 => vec![7; length - 1],
            _ => (0..length).map(|_| self.next() as u8).collect(),
        }
    }

    fn time(&mut self) -> u64 {
        match self.below(12) {
            0 => 0,
            1 => u64::MAX,
            _ => 1_700_000_000_000_000_000 + self.below(1 << 40),
        }
    }

    fn number(&mut self) -> u64 {
        let bits = self.below(65) as u32;
        self.next().checked_shr(64 - bits).unwrap_or(0)
    }

    fn enumeration(&mut self, max: u64) -> i32 {
        if self.one_in(10) { self.next() as i32 } else { self.below(max + 1) as i32 }
    }

    fn double(&mut self) -> f64 {
        match self.below(6) {
            0 if !self.json => f64::from_bits(self.next()),
            1 if !self.json => f64::INFINITY,
            2 => 0.0,
            _ => (self.next() as i32) as f64 / 8.0,
        }
    }

    fn value(&mut self, depth: u32) -> Value {
        let kinds = if depth > 4 { 5 } else { 7 };
        match self.below(kinds) {
            0 => Value::StringValue(self.text()),
            1 => Value::BoolValue(self.one_in(2)),
            2 => Value::IntValue(self.number() as i64),
            3 => Value::DoubleValue(self.double()),
            4 if !self.json && self.one_in(5) => Value::StringValueStrindex(self.next() as i32),
            4 => Value::BytesValue(self.id(9)),
            5 => Value::ArrayValue(ArrayValue { values: self.list(3, |g| g.any_value(depth + 1)) }),
            _ => Value::KvlistValue(KeyValueList { values: self.list(3, |g| g.key_value(depth + 1)) }),
        }
    }

    fn any_value(&mut self, depth: u32) -> AnyValue {
        let empty = !self.json && self.one_in(8);
        AnyValue { value: if empty { None } else { Some(self.value(depth)) } }
    }

    fn key_value(&mut self, depth: u32) -> KeyValue {
        let value = self.maybe(|g| g.any_value(depth));
        let key_strindex = if self.one_in(20) { 7 } else { 0 };
        KeyValue { key: self.text(), value, key_strindex }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.list(4, |g| g.key_value(0))
    }

    fn resource(&mut self) -> Resource {
        let entity = |g: &mut Generator| EntityRef {
            schema_url: g.text(),
            r#type: g.text(),
            id_keys: g.list(2, Generator::text),
            description_keys: g.list(2, Generator::text),
        };
        Resource {
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
            entity_refs: self.list(1, entity),
        }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
        }
    }

    pub(crate) fn traces(&mut self) -> ExportTraceServiceRequest {
        let scope_spans = |g: &mut Generator| ScopeSpans {
            scope: g.maybe(Generator::scope),
            spans: g.list(4, Generator::span),
            schema_url: g.text(),
        };
        let resource_spans = |g: &mut Generator| ResourceSpans {
            resource: g.maybe(Generator::resource),
            scope_spans: g.list(3, scope_spans),
            schema_url: g.text(),
        };
        ExportTraceServiceRequest { resource_spans: self.list(3, resource_spans) }
    }

    fn span(&mut self) -> Span {
        let event = |g: &mut Generator| Event {
            time_unix_nano: g.time(),
            name: g.text(),
            attributes: g.attributes(),
            dropped_attributes_count: g.number() as u32,
        };
        let link = |g: &mut Generator| Link {
            trace_id: g.id(16),
            span_id: g.id(8),
            trace_state: g.text(),
            attributes: g.attributes(),
            dropped_attributes_count: g.number() as u32,
            flags: g.number() as u32,
        };
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            parent_span_id: self.id(8),
            flags: self.number() as u32,
            name: self.text(),
            kind: self.enumeration(5),
            start_time_unix_nano: self.time(),
            end_time_unix_nano: self.time(),
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
            events: self.list(3, event),
            dropped_events_count: self.number() as u32,
            links: self.list(3, link),
            dropped_links_count: self.number() as u32,
            status: self.maybe(|g| Status { message: g.text(), code: g.enumeration(2) }),
        }
    }

    pub(crate) fn logs(&mut self) -> ExportLogsServiceRequest {
        let scope_logs = |g: &mut Generator| ScopeLogs {
            scope: g.maybe(Generator::scope),
            log_records: g.list(5, Generator::log_record),
            schema_url: g.text(),
        };
        let resource_logs = |g: &mut Generator| ResourceLogs {
            resource: g.maybe(Generator::resource),
            scope_logs: g.list(3, scope_logs),
            schema_url: g.text(),
        };
        ExportLogsServiceRequest { resource_logs: self.list(3, resource_logs) }
    }

    fn log_record(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.time(),
            observed_time_unix_nano: self.time(),
            severity_number: self.enumeration(24),
            severity_text: self.text(),
            body: self.maybe(|g| g.any_value(0)),
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
            flags: self.number() as u32,
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.text(),
        }
    }

    pub(crate) fn metrics(&mut self) -> ExportMetricsServiceRequest {
        let scope_metrics = |g: &mut Generator| ScopeMetrics {
            scope: g.maybe(Generator::scope),
            metrics: g.list(4, Generator::metric),
            schema_url: g.text(),
        };
        let resource_metrics = |g: &mut Generator| ResourceMetrics {
            resource: g.maybe(Generator::resource),
            scope_metrics: g.list(2, scope_metrics),
            schema_url: g.text(),
        };
        ExportMetricsServiceRequest { resource_metrics: self.list(2, resource_metrics) }
    }

    fn metric(&mut self) -> Metric {
        let aggregation_temporality = self.enumeration(2);
        let data = match self.below(6) {
            0 => Some(Data::Gauge(Gauge { data_points: self.list(3, Generator::number_point) })),
            1 => {
                let data_points = self.list(3, Generator::number_point);
                Some(Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: self.one_in(2) }))
            }
            2 => {
                let data_points = self.list(3, Generator::histogram_point);
                Some(Data::Histogram(Histogram { data_points, aggregation_temporality }))
            }
            3 => {
                let data_points = self.list(3, Generator::exponential_point);
                Some(Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality }))
            }
            4 => Some(Data::Summary(Summary { data_points: self.list(3, Generator::summary_point) })),
            _ => None,
        };
        let metadata = self.attributes();
        Metric { name: self.text(), description: self.text(), unit: self.text(), metadata, data }
    }

    fn exemplar(&mut self) -> Exemplar {
        let value = match self.below(3) {
            0 => Some(exemplar::Value::AsDouble(self.double())),
            1 => Some(exemplar::Value::AsInt(self.number() as i64)),
            _ => None,
        };
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.time(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value,
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        let value = match self.below(3) {
            0 => Some(number_data_point::Value::AsDouble(self.double())),
            1 => Some(number_data_point::Value::AsInt(self.number() as i64)),
            _ => None,
        };
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            exemplars: self.list(2, Generator::exemplar),
            flags: u32::from(self.below(16) == 0),
            value,
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        let mut explicit_bounds = self.list(6, Generator::double);
        explicit_bounds.sort_by(f64::total_cmp);
        explicit_bounds.dedup();
        let mut bucket_counts = self.list(0, Generator::number);
        let buckets = if self.one_in(8) { self.below(8) as usize } else { explicit_bounds.len() + 1 };
        bucket_counts.extend((0..buckets).map(|_| self.below(1 << 40)));
        let count = if self.one_in(8) { self.number() } else { bucket_counts.iter().sum() };
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count,
            sum: self.maybe(Generator::double),
            bucket_counts,
            explicit_bounds,
            exemplars: self.list(2, Generator::exemplar),
            flags: u32::from(self.below(16) == 0),
            min: self.maybe(Generator::double),
            max: self.maybe(Generator::double),
        }
    }

    fn buckets(&mut self) -> Buckets {
        Buckets { offset: self.number() as i32, bucket_counts: self.list(8, |g| g.below(1 << 40)) }
    }

    fn exponential_point(&mut self) -> ExponentialHistogramDataPoint {
        let (positive, negative) = (self.maybe(Generator::buckets), self.maybe(Generator::buckets));
        let zero_count = self.below(1 << 40);
        let both = [&positive, &negative].into_iter().flatten();
        let total = zero_count + both.flat_map(|buckets| &buckets.bucket_counts).sum::<u64>();
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: if self.one_in(8) { self.number() } else { total },
            sum: self.maybe(Generator::double),
            scale: self.number() as i32,
            zero_count,
            positive,
            negative,
            flags: u32::from(self.below(16) == 0),
            exemplars: self.list(2, Generator::exemplar),
            min: self.maybe(Generator::double),
            max: self.maybe(Generator::double),
            zero_threshold: self.double(),
        }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        let quantile = |g: &mut Generator| ValueAtQuantile { quantile: g.double(), value: g.double() };
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: self.number(),
            sum: self.double(),
            quantile_values: self.list(3, quantile),
            flags: u32::from(self.below(16) == 0),
        }
    }
}
