//! What a range answer shows of the points of one time step.

use daymark_sketch::{HDR_ERROR, Histogram};
use daymark_store::Point;

use crate::QueryError;

/// A function over the points of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    Count,
    Rate,
    Sum,
    Increase,
    ErrorRatio,
    Min,
    Max,
    Avg,
    Last,
    /// 0 to 1.
    Quantile(f64),
}

/// What kind of metric a function is asked of: the `kind` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(crate) fn parse(text: &str) -> Kind {
        match text {
            "counter" => Kind::Counter,
            "histogram" => Kind::Histogram,
            _ => Kind::Gauge,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

impl Function {
    pub(crate) fn parse(text: &str) -> Result<Function, QueryError> {
        Ok(match text {
            "count" => Function::Count,
            "rate" => Function::Rate,
            "sum" => Function::Sum,
            "increase" => Function::Increase,
            "error_ratio" => Function::ErrorRatio,
            "min" => Function::Min,
            "max" => Function::Max,
            "avg" => Function::Avg,
            "last" => Function::Last,
            _ => Function::Quantile(parse_percentile(text).ok_or_else(|| {
                let known = "count, rate, sum, increase, error_ratio, min, max, avg, last, p50 to p99.9";
                QueryError::parameter("fn", format!("unknown function {text:?}; known: {known}"))
            })?),
        })
    }

    /// What fits the kind when no function is asked for.
    pub(crate) fn default_for(kind: Kind) -> Function {
        match kind {
            Kind::Counter => Function::Rate,
            Kind::Gauge => Function::Last,
            Kind::Histogram => Function::Quantile(0.99),
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Function::Count => "count".to_owned(),
            Function::Rate => "rate".to_owned(),
            Function::Sum => "sum".to_owned(),
            Function::Increase => "increase".to_owned(),
            Function::ErrorRatio => "error_ratio".to_owned(),
            Function::Min => "min".to_owned(),
            Function::Max => "max".to_owned(),
            Function::Avg => "avg".to_owned(),
            Function::Last => "last".to_owned(),
            // Two decimals undo what the division by 100 did to p99.9.
            Function::Quantile(q) => format!("p{}", (q * 10_000.0).round() / 100.0),
        }
    }

    /// Refuses what has no meaning for the kind, before anything is read.
    pub(crate) fn check(self, kind: Kind) -> Result<(), QueryError> {
        let fits = match self {
            Function::Quantile(_) | Function::ErrorRatio => kind == Kind::Histogram,
            Function::Rate | Function::Increase => kind != Kind::Gauge,
            _ => true,
        };
        if fits {
            return Ok(());
        }
        Err(QueryError::parameter("fn", format!("{} is not defined for a {}", self.name(), kind.name())))
    }

    /// The unit of the result, given the metric's.
    pub(crate) fn unit(self, unit: &str, kind: Kind) -> String {
        match (self, kind) {
            (Function::Count, _) | (Function::Increase, Kind::Histogram) => "1".to_owned(),
            (Function::ErrorRatio, _) => "ratio".to_owned(),
            (Function::Rate, Kind::Histogram) => "1/s".to_owned(),
            (Function::Rate, _) if matches!(unit, "" | "1") => "1/s".to_owned(),
            (Function::Rate, _) => format!("{unit}/s"),
            _ => unit.to_owned(),
        }
    }

    /// Whether it needs the distribution.
    pub(crate) fn is_quantile(self) -> bool {
        matches!(self, Function::Quantile(_))
    }

    /// Whether "nothing happened" is 0 between two steps that have data.
    pub(crate) fn zero_when_absent(self) -> bool {
        matches!(self, Function::Count | Function::Rate | Function::Increase)
    }
}

fn parse_percentile(text: &str) -> Option<f64> {
    let percent: f64 = text.strip_prefix('p')?.parse().ok()?;
    (percent > 0.0 && percent < 100.0).then_some(percent / 100.0)
}

/// The points of one step of one group, merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    count: u64,
    errors: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    /// Window and value of the newest observation.
    last: Option<(u64, f64)>,
    histogram: Option<Histogram>,
    err_bound: f64,
    /// Histograms of this step cannot be merged exactly.
    mixed: bool,
    has_point: bool,
}

impl Step {
    /// Merges a point; `is_error` when its series counts failed work units.
    pub(crate) fn add(&mut self, point: &Point, is_error: bool) {
        self.has_point = true;
        self.count += point.count;
        if is_error {
            self.errors += point.count;
        }
        self.sum += point.sum;
        self.min = extreme(self.min, point.min, f64::min);
        self.max = extreme(self.max, point.max, f64::max);
        if let Some(last) = point.last
            && self.last.is_none_or(|(time, _)| time <= point.time.0)
        {
            self.last = Some((point.time.0, last));
        }
        self.err_bound = self.err_bound.max(point.err_bound);
        if let Some(theirs) = &point.hist {
            match &mut self.histogram {
                Some(ours) => self.mixed |= ours.merge(theirs).is_err(),
                None => self.histogram = Some(theirs.clone()),
            }
        }
    }

    /// Whether no point was added.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_point
    }

    pub(crate) fn err_bound(&self) -> f64 {
        self.err_bound
    }

    pub(crate) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// How exactly quantiles are known.
    pub(crate) fn bucket_bound(&self) -> Option<String> {
        match self.histogram.as_ref()? {
            Histogram::Hdr(_) => Some(format!("hdr {:.2} %", HDR_ERROR * 100.0)),
            Histogram::Explicit(_) => Some("explicit".to_owned()),
        }
    }

    /// The value of `function`; `None` when the step has nothing it is defined on.
    pub(crate) fn value(&self, function: Function, kind: Kind, step_s: u64) -> Option<f64> {
        let grown = if kind == Kind::Counter { self.sum } else { self.count as f64 };
        let value = match function {
            Function::Count => self.count as f64,
            Function::Increase => grown,
            Function::Rate => grown / step_s as f64,
            Function::Sum => self.sum,
            Function::ErrorRatio if self.count > 0 => self.errors as f64 / self.count as f64,
            Function::Avg if self.count > 0 => self.sum / self.count as f64,
            Function::ErrorRatio | Function::Avg => return None,
            Function::Min => self.min?,
            Function::Max => self.max?,
            Function::Last => self.last?.1,
            Function::Quantile(q) => match self.histogram.as_ref().filter(|_| !self.mixed)? {
                Histogram::Hdr(sketch) => sketch.quantile(q)? as f64,
                Histogram::Explicit(explicit) => explicit.quantile(q)?.estimate,
            },
        };
        value.is_finite().then_some(value)
    }
}

fn extreme(ours: Option<f64>, theirs: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(pick(ours, theirs)),
        (ours, theirs) => ours.or(theirs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_and_written_the_same() {
        for name in ["p50", "p75", "p90", "p95", "p99", "p99.9"] {
            assert_eq!(Function::parse(name).unwrap().name(), name);
        }
        for unknown in ["p0", "p100", "p", "median", "99"] {
            assert!(Function::parse(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_function_without_meaning_is_refused() {
        assert!(Function::Rate.check(Kind::Gauge).is_err());
        assert!(Function::Quantile(0.5).check(Kind::Counter).is_err());
        assert!(Function::Last.check(Kind::Gauge).is_ok());
    }
}
