//! Derived series as an OTLP `ExportMetricsServiceRequest`.
//!
//! One `ResourceMetrics` for each service (resource: `service.name` alone), in it one metric with a data point for
//! each series. `Metric.metadata` says how the buckets were made (`hdr.sigfig`, `hdr.unit`, `hdr.lowest`), so that the
//! collector takes them back without loss; any other receiver sees an ordinary exponential histogram.

use daymark_sketch::{HDR_SCALE, Sketch};

use super::protobuf::Writer;
use super::series::{Exemplar, STATUS_ERROR, Series, SeriesMap};
use super::{DERIVED_WINDOW_NS, SPAN_DURATION};

const DELTA: u64 = 1;

/// Field numbers of `opentelemetry/proto/metrics/v1/metrics.proto` and its imports.
mod field {
    pub(super) const REQUEST_RESOURCE_METRICS: u32 = 1;
    pub(super) const RESOURCE_METRICS_RESOURCE: u32 = 1;
    pub(super) const RESOURCE_METRICS_SCOPE_METRICS: u32 = 2;
    pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
    pub(super) const SCOPE_METRICS_SCOPE: u32 = 1;
    pub(super) const SCOPE_METRICS_METRICS: u32 = 2;
    pub(super) const SCOPE_NAME: u32 = 1;
    pub(super) const METRIC_NAME: u32 = 1;
    pub(super) const METRIC_UNIT: u32 = 3;
    pub(super) const METRIC_EXPONENTIAL: u32 = 10;
    pub(super) const METRIC_METADATA: u32 = 12;
    pub(super) const HISTOGRAM_POINTS: u32 = 1;
    pub(super) const HISTOGRAM_TEMPORALITY: u32 = 2;
    pub(super) const POINT_ATTRIBUTES: u32 = 1;
    pub(super) const POINT_START: u32 = 2;
    pub(super) const POINT_TIME: u32 = 3;
    pub(super) const POINT_COUNT: u32 = 4;
    pub(super) const POINT_SUM: u32 = 5;
    pub(super) const POINT_SCALE: u32 = 6;
    pub(super) const POINT_ZERO_COUNT: u32 = 7;
    pub(super) const POINT_POSITIVE: u32 = 8;
    pub(super) const POINT_EXEMPLARS: u32 = 11;
    pub(super) const POINT_MIN: u32 = 12;
    pub(super) const POINT_MAX: u32 = 13;
    pub(super) const BUCKETS_OFFSET: u32 = 1;
    pub(super) const BUCKETS_COUNTS: u32 = 2;
    pub(super) const EXEMPLAR_TIME: u32 = 2;
    pub(super) const EXEMPLAR_DOUBLE: u32 = 3;
    pub(super) const EXEMPLAR_SPAN_ID: u32 = 4;
    pub(super) const EXEMPLAR_TRACE_ID: u32 = 5;
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const VALUE_STRING: u32 = 1;
    pub(super) const VALUE_BOOL: u32 = 2;
    pub(super) const VALUE_INT: u32 = 3;
}

/// Bytes of one point beside its name and its buckets, at most.
const POINT_BYTES: usize = 256;

/// At most how many bytes [`metrics_request`] will write.
pub(crate) fn size_bound(series: &SeriesMap) -> usize {
    let buckets = |sketch: &Sketch| match (sketch.min(), sketch.max()) {
        // 256 buckets an octave, and up to ten bytes for each count.
        (Some(min), Some(max)) => {
            let octaves = max.max(1).ilog2() - min.max(1).ilog2() + 1;
            256 * octaves as usize + 10 * sketch.buckets().count()
        }
        _ => 0,
    };
    let points = series.all().iter().map(|series| POINT_BYTES + buckets(&series.sketch)).sum::<usize>();
    // Names are in the arena once for each series.
    points + series.text_bytes()
}

/// Encodes all series under the name `metric`.
pub(crate) fn metrics_request(metric: &str, series: &mut SeriesMap) -> Vec<u8> {
    let (series, texts) = series.sorted();
    let mut out = Writer::default();
    for of_service in series.chunk_by(|a, b| a.service(texts) == b.service(texts)) {
        out.message(field::REQUEST_RESOURCE_METRICS, |out| service(out, metric, of_service, texts));
    }
    out.into_bytes()
}

fn service(out: &mut Writer, metric: &str, series: &[Series], texts: &str) {
    let name = series.first().map_or("", |first| first.service(texts));
    out.message(field::RESOURCE_METRICS_RESOURCE, |out| {
        string_attribute(out, field::RESOURCE_ATTRIBUTES, "service.name", name);
    });
    let slowest = series.iter().map(|series| series.slowest.0).max();
    out.message(field::RESOURCE_METRICS_SCOPE_METRICS, |out| {
        out.message(field::SCOPE_METRICS_SCOPE, |out| out.string(field::SCOPE_NAME, "daymark.agent"));
        out.message(field::SCOPE_METRICS_METRICS, |out| {
            out.string(field::METRIC_NAME, metric);
            out.string(field::METRIC_UNIT, "ns");
            out.message(field::METRIC_EXPONENTIAL, |out| {
                for series in series {
                    // Errors, and the slowest of the service, are shown by an example.
                    let shown = series.status == STATUS_ERROR || Some(series.slowest.0) == slowest;
                    out.message(field::HISTOGRAM_POINTS, |out| point(out, metric, series, texts, shown));
                }
                out.uint64(field::HISTOGRAM_TEMPORALITY, DELTA);
            });
            int_attribute(out, field::METRIC_METADATA, "hdr.sigfig", 2);
            string_attribute(out, field::METRIC_METADATA, "hdr.unit", "ns");
            int_attribute(out, field::METRIC_METADATA, "hdr.lowest", 1);
        });
    });
}

fn point(out: &mut Writer, metric: &str, series: &Series, texts: &str, shown: bool) {
    if metric == SPAN_DURATION {
        string_attribute(out, field::POINT_ATTRIBUTES, "span.name", series.name(texts));
        string_attribute(out, field::POINT_ATTRIBUTES, "span.kind", kind(series.kind));
    } else {
        string_attribute(out, field::POINT_ATTRIBUTES, "event.name", series.name(texts));
    }
    string_attribute(out, field::POINT_ATTRIBUTES, "status.code", status(series.status));
    if series.overflow {
        out.message(field::POINT_ATTRIBUTES, |out| {
            out.string(field::KEY, "otel.metric.overflow");
            out.message(field::VALUE, |out| out.uint64(field::VALUE_BOOL, 1));
        });
    }
    out.fixed64(field::POINT_START, series.window.0);
    out.fixed64(field::POINT_TIME, series.window.plus(DERIVED_WINDOW_NS).0);
    distribution(out, &series.sketch);
    if shown {
        out.message(field::POINT_EXEMPLARS, |out| exemplar(out, series.slowest.0, &series.slowest.1));
    }
}

fn distribution(out: &mut Writer, sketch: &Sketch) {
    out.fixed64(field::POINT_COUNT, sketch.count());
    out.double(field::POINT_SUM, sketch.sum() as f64);
    out.sint32(field::POINT_SCALE, HDR_SCALE);
    out.fixed64(field::POINT_ZERO_COUNT, sketch.zero_count());
    if let Some((offset, _)) = sketch.exponential_buckets().next() {
        out.message(field::POINT_POSITIVE, |out| {
            out.sint32(field::BUCKETS_OFFSET, offset);
            out.message(field::BUCKETS_COUNTS, |out| {
                let mut next = offset;
                for (index, count) in sketch.exponential_buckets() {
                    (next..index).for_each(|_| out.varint(0));
                    out.varint(count);
                    next = index + 1;
                }
            });
        });
    }
    if let (Some(min), Some(max)) = (sketch.min(), sketch.max()) {
        out.double(field::POINT_MIN, min as f64);
        out.double(field::POINT_MAX, max as f64);
    }
}

fn exemplar(out: &mut Writer, value_ns: u64, exemplar: &Exemplar) {
    out.fixed64(field::EXEMPLAR_TIME, exemplar.end.0);
    out.double(field::EXEMPLAR_DOUBLE, value_ns as f64);
    if let Some(span_id) = exemplar.span_id {
        out.bytes(field::EXEMPLAR_SPAN_ID, &span_id.0);
    }
    if let Some(trace_id) = exemplar.trace_id {
        out.bytes(field::EXEMPLAR_TRACE_ID, &trace_id.0);
    }
}

fn string_attribute(out: &mut Writer, at: u32, key: &str, value: &str) {
    out.message(at, |out| {
        out.string(field::KEY, key);
        out.message(field::VALUE, |out| out.string(field::VALUE_STRING, value));
    });
}

fn int_attribute(out: &mut Writer, at: u32, key: &str, value: u64) {
    out.message(at, |out| {
        out.string(field::KEY, key);
        out.message(field::VALUE, |out| out.uint64(field::VALUE_INT, value));
    });
}

fn kind(kind: u8) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn status(status: u8) -> &'static str {
    match status {
        1 => "ok",
        STATUS_ERROR => "error",
        _ => "unset",
    }
}
