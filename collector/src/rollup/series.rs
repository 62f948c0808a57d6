//! Which series a point belongs to: a stable, order-independent hash of metric, service, attributes and resource.

use std::sync::Arc;

use daymark_store::series::Adding;
use daymark_wire::decode::{MetricKind, MetricView, Temporality, Value};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::distribution::ExponentialUnit;
use crate::columns::{Encoded, MetricSeries, encode};

/// A metric as its points need it.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) kind: &'static str,
    pub(crate) temporality: &'static str,
    pub(crate) adding: Adding,
    pub(crate) exponential: ExponentialUnit,
    pub(super) hash: u64,
}

impl Default for Metric {
    fn default() -> Metric {
        Metric {
            name: String::new(),
            unit: String::new(),
            kind: "gauge",
            temporality: "none",
            adding: Adding::Gauge,
            exponential: ExponentialUnit { hdr: false, factor: 1.0 },
            hash: 0,
        }
    }
}

impl Metric {
    /// Becomes the metric of `view`; texts are kept in the buffers of the one before.
    pub(crate) fn set(&mut self, view: &MetricView<'_, '_>) {
        let (kind, temporality, adding) = nature(view.kind);
        let is_exponential = matches!(view.kind, MetricKind::ExponentialHistogram { .. });
        let hdr = is_exponential && view.metadata.get("hdr.sigfig") == Some(Value::Int(2));
        let (unit, factor) = if is_exponential && !hdr { finer_unit(view.unit) } else { (view.unit, 1.0) };
        self.name.clear();
        self.name.push_str(view.name);
        self.unit.clear();
        self.unit.push_str(unit);
        (self.kind, self.temporality, self.adding) = (kind, temporality, adding);
        self.exponential = ExponentialUnit { hdr, factor };
        self.hash = self.hash_of();
    }

    /// The metric of this name that agents derive: durations in ns.
    pub(super) fn derived(name: &str) -> Metric {
        let mut metric = Metric {
            name: name.to_owned(),
            unit: "ns".to_owned(),
            kind: "histogram",
            temporality: "delta",
            adding: Adding::Delta,
            exponential: ExponentialUnit { hdr: true, factor: 1.0 },
            hash: 0,
        };
        metric.hash = metric.hash_of();
        metric
    }

    fn hash_of(&self) -> u64 {
        let parts = [self.kind, self.temporality, self.unit.as_str()];
        parts.iter().fold(xxh3_64(self.name.as_bytes()), |hash, part| xxh3_64_with_seed(part.as_bytes(), hash))
    }

    /// Id of the series of this metric with these attributes.
    pub(crate) fn series_id<'v>(
        &self,
        attributes: impl Iterator<Item = (&'v str, Value<'v>)>,
        resource_hash: u64,
    ) -> u64 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&hash_attributes(attributes).to_le_bytes());
        bytes[16..].copy_from_slice(&resource_hash.to_le_bytes());
        xxh3_64(&bytes)
    }

    /// Id of the series that takes the points of this metric beyond the cap.
    pub(crate) fn overflow_id(&self) -> u64 {
        xxh3_64_with_seed(b"otel.metric.overflow", self.hash)
    }

    pub(crate) fn series<'v>(
        &self,
        id: u64,
        service: &str,
        attributes: impl Iterator<Item = (&'v str, Value<'v>)>,
        resource: &Arc<Encoded>,
    ) -> MetricSeries {
        self.with(id, service, encode(attributes), Arc::clone(resource))
    }

    pub(crate) fn overflow_series(&self, id: u64) -> MetricSeries {
        let marked = encode([("otel.metric.overflow", Value::Bool(true))].into_iter());
        self.with(id, "", marked, Arc::new(encode(std::iter::empty())))
    }

    fn with(&self, id: u64, service: &str, attributes: Encoded, resource: Arc<Encoded>) -> MetricSeries {
        MetricSeries {
            id,
            metric: self.name.as_str().into(),
            kind: self.kind,
            temporality: self.temporality,
            unit: self.unit.as_str().into(),
            service: service.into(),
            attributes,
            resource,
        }
    }
}

/// Kind and temporality as the tables name them, and how points add up. A sum that may fall and is not a delta says
/// how much there is now: a gauge.
fn nature(kind: MetricKind) -> (&'static str, &'static str, Adding) {
    let of = |kind, temporality| match temporality {
        Temporality::Cumulative => (kind, "cumulative", Adding::Cumulative),
        Temporality::Delta | Temporality::Unspecified => (kind, "delta", Adding::Delta),
    };
    match kind {
        MetricKind::Gauge => ("gauge", "none", Adding::Gauge),
        MetricKind::Sum { monotonic: false, temporality } if temporality != Temporality::Delta => {
            ("gauge", "none", Adding::Gauge)
        }
        MetricKind::Sum { temporality, .. } => of("counter", temporality),
        MetricKind::Histogram { temporality } | MetricKind::ExponentialHistogram { temporality } => {
            of("histogram", temporality)
        }
        MetricKind::Summary => ("histogram", "cumulative", Adding::Cumulative),
    }
}

/// HDR has whole numbers: durations are kept in nanoseconds, other units as they are.
fn finer_unit(unit: &str) -> (&str, f64) {
    match unit {
        "s" => ("ns", 1e9),
        "ms" => ("ns", 1e6),
        "us" => ("ns", 1e3),
        _ => (unit, 1.0),
    }
}

/// Order-independent hash of attributes: the sum of the hashes of the pairs.
pub(crate) fn hash_attributes<'v>(attributes: impl Iterator<Item = (&'v str, Value<'v>)>) -> u64 {
    attributes.fold(0, |sum: u64, (key, value)| {
        let seed = xxh3_64_with_seed(key.as_bytes(), value.type_char() as u64);
        let hash = match value {
            Value::Str(text) => xxh3_64_with_seed(text.as_bytes(), seed),
            Value::Bool(flag) => xxh3_64_with_seed(&[flag.into()], seed),
            Value::Int(number) => xxh3_64_with_seed(&number.to_le_bytes(), seed),
            Value::Double(number) => xxh3_64_with_seed(&number.to_bits().to_le_bytes(), seed),
            Value::Bytes(bytes) | Value::Array(bytes) | Value::KvList(bytes) => xxh3_64_with_seed(bytes, seed),
            Value::Empty => seed,
        };
        sum.wrapping_add(hash)
    })
}
