//! Distributions of OTLP points as the rollups merge them.

use daymark_sketch::{ExplicitHistogram, Exponential, HDR_ERROR, Sketch, spread_exponential};
use daymark_wire::decode::{ExponentialView, HistogramView};

/// How an exponential histogram is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ExponentialUnit {
    /// The sender says that it is an HDR histogram of 2 digits in whole units.
    pub(crate) hdr: bool,
    /// Otherwise values are multiplied by this, so that whole numbers are fine enough.
    pub(crate) factor: f64,
}

/// An explicit-bucket histogram as it is.
pub(super) fn explicit_of(view: &HistogramView<'_>) -> ExplicitHistogram {
    let mut counts: Vec<u64> = view.counts.iter().collect();
    if counts.is_empty() {
        counts.push(view.count);
    }
    ExplicitHistogram {
        bounds: view.bounds.iter().collect(),
        counts,
        sum: view.sum.unwrap_or(0.0),
        min: view.min,
        max: view.max,
    }
}

/// The sketch of an exponential histogram and the largest relative error of its quantiles.
pub(super) fn sketch_of(view: &ExponentialView<'_>, unit: ExponentialUnit) -> (Sketch, f64) {
    let exponential = Exponential {
        scale: view.scale,
        zero_count: view.zero_count,
        offset: view.positive.offset,
        counts: view.positive.counts.iter().collect(),
    };
    if unit.hdr {
        let whole = |value: f64| value.max(0.0) as u64;
        let (min, max) = (view.min.map(whole), view.max.map(whole));
        let sum = whole(view.sum.unwrap_or(0.0));
        if let Ok(sketch) = Sketch::from_exponential(&exponential, view.count, sum, min, max) {
            return (sketch, HDR_ERROR);
        }
    }
    let factor = if unit.hdr { 1.0 } else { unit.factor };
    spread_exponential(&exponential, view.sum, view.min, view.max, factor)
}
