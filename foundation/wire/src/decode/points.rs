//! Data points of all five kinds, judged by the rules that make them usable: a time, values and sums that are finite, and
//! buckets that add up.

use daymark_model::UnixNanos;

use super::attributes::{self, Attribute, KeyValues};
use super::packed::{Doubles, Fixed64s, Packed, Varints};
use super::tally::{self, Implausible, TimeBounds};
use super::view::{
    Buckets, Entry, ExemplarView, Exemplars, ExponentialView, HistogramView, Number, PointValue, PointView, SummaryView,
};
use super::wire::{Field, Fields, Parse};
use crate::Problem;

/// Flag of a point that says that there was nothing to record. It carries no value, and zero counts of a histogram would
/// look like a reset.
const NO_RECORDED_VALUE: u32 = 1;
/// Most values of one point that the tables can hold.
const COUNT_MAX: u64 = i64::MAX as u64;
const POINT_TIMES: Implausible = Implausible {
    early: "data point with a time before the year 2000: times are nanoseconds since 1970",
    late: "data point with a time further ahead than max_future_ms: is the sender's clock right?",
};

/// Which message a data point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

/// Scratch lists for one data point at a time.
pub(super) struct PointScratch<'a> {
    max_list: usize,
    attributes: Vec<Attribute<'a>>,
    exemplars: Vec<Entry<ExemplarView<'a, 'a>>>,
    /// Attributes of the exemplars.
    nested: Vec<Attribute<'a>>,
    /// Bucket bounds of a histogram.
    bounds: Packed<'a>,
    /// Bucket counts of a histogram, or of an exponential histogram's positive side.
    counts: Packed<'a>,
    negative_counts: Packed<'a>,
    quantiles: Vec<(f64, f64)>,
}

/// The scalar fields of all kinds before they are judged.
#[derive(Default)]
struct RawPoint {
    start: u64,
    time: u64,
    flags: u32,
    number: Option<Number>,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive_offset: Option<i32>,
    negative_offset: Option<i32>,
}

/// A point, or why it cannot be used.
type Judged<T> = Result<T, &'static str>;

impl<'a> PointScratch<'a> {
    pub(super) fn new(max_list: usize) -> Self {
        PointScratch {
            max_list,
            attributes: vec![],
            exemplars: vec![],
            nested: vec![],
            bounds: Packed::default(),
            counts: Packed::default(),
            negative_counts: Packed::default(),
            quantiles: vec![],
        }
    }

    pub(super) fn parse(
        &mut self,
        message: &'a [u8],
        layout: Layout,
        times: TimeBounds,
    ) -> Parse<Judged<PointView<'_, 'a>>> {
        self.clear();
        let mut raw = RawPoint::default();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field.number {
                2 => raw.start = field.fixed64("start_time_unix_nano")?,
                3 => raw.time = field.fixed64("time_unix_nano")?,
                _ => match layout {
                    Layout::Gauge | Layout::Sum => self.number_field(&mut raw, &field)?,
                    Layout::Histogram => self.histogram_field(&mut raw, &field)?,
                    Layout::Exponential => self.exponential_field(&mut raw, &field)?,
                    Layout::Summary => self.summary_field(&mut raw, &field)?,
                },
            }
        }
        Ok(self.view(&raw, layout, times))
    }

    fn clear(&mut self) {
        self.attributes.clear();
        self.exemplars.clear();
        self.nested.clear();
        self.bounds.clear();
        self.counts.clear();
        self.negative_counts.clear();
        self.quantiles.clear();
    }

    fn number_field(&mut self, raw: &mut RawPoint, field: &Field<'a>) -> Parse<()> {
        match field.number {
            4 => raw.number = Some(Number::Double(field.double("as_double")?)),
            5 => self.push_exemplar(field)?,
            6 => raw.number = Some(Number::Int(field.fixed64("as_int")? as i64)),
            7 => attributes::push(&mut self.attributes, 0, field, "attributes", self.max_list)?,
            8 => raw.flags = field.varint("flags")? as u32,
            _ => {}
        }
        Ok(())
    }

    fn histogram_field(&mut self, raw: &mut RawPoint, field: &Field<'a>) -> Parse<()> {
        match field.number {
            4 => raw.count = field.fixed64("count")?,
            5 => raw.sum = Some(field.double("sum")?),
            6 => self.counts.push_fixed64s(field, "bucket_counts")?,
            7 => self.bounds.push_fixed64s(field, "explicit_bounds")?,
            8 => self.push_exemplar(field)?,
            9 => attributes::push(&mut self.attributes, 0, field, "attributes", self.max_list)?,
            10 => raw.flags = field.varint("flags")? as u32,
            11 => raw.min = Some(field.double("min")?),
            12 => raw.max = Some(field.double("max")?),
            _ => {}
        }
        Ok(())
    }

    fn exponential_field(&mut self, raw: &mut RawPoint, field: &Field<'a>) -> Parse<()> {
        match field.number {
            1 => attributes::push(&mut self.attributes, 0, field, "attributes", self.max_list)?,
            4 => raw.count = field.fixed64("count")?,
            5 => raw.sum = Some(field.double("sum")?),
            6 => raw.scale = sint32(field, "scale")?,
            7 => raw.zero_count = field.fixed64("zero_count")?,
            8 => push_buckets(&mut raw.positive_offset, &mut self.counts, field, "positive")?,
            9 => push_buckets(&mut raw.negative_offset, &mut self.negative_counts, field, "negative")?,
            10 => raw.flags = field.varint("flags")? as u32,
            11 => self.push_exemplar(field)?,
            12 => raw.min = Some(field.double("min")?),
            13 => raw.max = Some(field.double("max")?),
            14 => raw.zero_threshold = field.double("zero_threshold")?,
            _ => {}
        }
        Ok(())
    }

    fn summary_field(&mut self, raw: &mut RawPoint, field: &Field<'a>) -> Parse<()> {
        match field.number {
            4 => raw.count = field.fixed64("count")?,
            5 => raw.sum = Some(field.double("sum")?),
            6 => {
                let index = self.quantiles.len();
                if index >= self.max_list {
                    return Err(field.fault("quantile_values", Problem::ListTooLong { limit: self.max_list }));
                }
                let quantile = parse_quantile(field.bytes("quantile_values")?);
                self.quantiles.push(quantile.map_err(|fault| fault.within("quantile_values", index))?);
            }
            7 => attributes::push(&mut self.attributes, 0, field, "attributes", self.max_list)?,
            8 => raw.flags = field.varint("flags")? as u32,
            _ => {}
        }
        Ok(())
    }

    fn push_exemplar(&mut self, field: &Field<'a>) -> Parse<()> {
        let index = self.exemplars.len();
        if index >= self.max_list {
            return Err(field.fault("exemplars", Problem::ListTooLong { limit: self.max_list }));
        }
        let exemplar = parse_exemplar(field.bytes("exemplars")?, &mut self.nested);
        self.exemplars.push(exemplar.map_err(|fault| fault.within("exemplars", index))?);
        Ok(())
    }

    fn view(&self, raw: &RawPoint, layout: Layout, times: TimeBounds) -> Judged<PointView<'_, 'a>> {
        if raw.flags & NO_RECORDED_VALUE != 0 {
            return Err("data point with the flag for no recorded value: such marks are not kept");
        }
        if raw.count > COUNT_MAX {
            return Err("data point with a count beyond 2^63 - 1: was it negative?");
        }
        // One such number would make every sum over its windows unknown.
        if raw.sum.is_some_and(|sum| !sum.is_finite()) {
            return Err("data point with a sum that is not finite (NaN or infinity)");
        }
        let value = match layout {
            Layout::Gauge | Layout::Sum => PointValue::Number(number(raw)?),
            Layout::Histogram => PointValue::Histogram(self.histogram(raw)?),
            Layout::Exponential => PointValue::Exponential(self.exponential(raw)?),
            Layout::Summary => {
                let sum = raw.sum.unwrap_or_default();
                PointValue::Summary(SummaryView { count: raw.count, sum, quantiles: &self.quantiles })
            }
        };
        let time = tally::required_time(raw.time, "data point without a valid time")?;
        tally::plausible(time, times, &POINT_TIMES)?;
        Ok(PointView {
            attributes: KeyValues(&self.attributes),
            start_time: tally::time(raw.start, "data point with a start time after the year 2262")?,
            time,
            flags: raw.flags,
            exemplars: Exemplars { entries: &self.exemplars, attributes: &self.nested },
            value,
        })
    }

    fn histogram(&self, raw: &RawPoint) -> Judged<HistogramView<'_>> {
        let (bounds, counts) = (Doubles(self.bounds.bytes()), Fixed64s(self.counts.bytes()));
        let (bounds_len, counts_len) = (bounds.iter().len(), counts.iter().len());
        if counts_len + bounds_len > 0 {
            if counts_len != bounds_len + 1 {
                return Err("histogram whose bucket counts do not fit its bounds");
            }
            if counts.iter().try_fold(0_u64, u64::checked_add) != Some(raw.count) {
                return Err("histogram whose count is not the sum of its buckets");
            }
        }
        let increases = bounds.iter().zip(bounds.iter().skip(1)).all(|(lower, upper)| lower < upper);
        if !increases || bounds.iter().any(f64::is_nan) {
            return Err("histogram whose bounds do not increase");
        }
        Ok(HistogramView { count: raw.count, sum: raw.sum, min: raw.min, max: raw.max, bounds, counts })
    }

    fn exponential(&self, raw: &RawPoint) -> Judged<ExponentialView<'_>> {
        let (positive, positive_sum) = buckets(raw.positive_offset, &self.counts);
        let (negative, negative_sum) = buckets(raw.negative_offset, &self.negative_counts);
        let total = positive_sum.zip(negative_sum).and_then(|(p, n)| p.checked_add(n)?.checked_add(raw.zero_count));
        if total != Some(raw.count) {
            return Err("exponential histogram whose count is not the sum of its buckets");
        }
        Ok(ExponentialView {
            scale: raw.scale,
            count: raw.count,
            sum: raw.sum,
            min: raw.min,
            max: raw.max,
            zero_count: raw.zero_count,
            zero_threshold: raw.zero_threshold,
            positive,
            negative,
        })
    }
}

/// The value of a number point.
fn number(raw: &RawPoint) -> Judged<Number> {
    match raw.number {
        None => Err("number data point without a value"),
        Some(Number::Double(value)) if !value.is_finite() => {
            Err("number data point with a value that is not finite (NaN or infinity)")
        }
        Some(number) => Ok(number),
    }
}

/// The buckets and the sum of their counts, none when it overflows.
fn buckets<'s>(offset: Option<i32>, counts: &'s Packed<'_>) -> (Buckets<'s>, Option<u64>) {
    let counts = Varints::of(counts.bytes());
    let sum = counts.iter().try_fold(0_u64, u64::checked_add);
    (Buckets { offset: offset.unwrap_or_default(), counts }, sum)
}

fn push_buckets<'a>(offset: &mut Option<i32>, counts: &mut Packed<'a>, field: &Field<'a>, name: &str) -> Parse<()> {
    let mut first = 0;
    let mut fields = Fields::of(field.bytes(name)?);
    while let Some(inner) = fields.next().map_err(|fault| fault.inside(name))? {
        match inner.number {
            1 => first = sint32(&inner, "offset").map_err(|fault| fault.inside(name))?,
            2 => counts.push_varints(&inner, "bucket_counts").map_err(|fault| fault.inside(name))?,
            _ => {}
        }
    }
    if offset.replace(first).is_some() {
        return Err(field.fault(name, Problem::Repeated));
    }
    Ok(())
}

/// A zigzag-encoded integer.
fn sint32(field: &Field<'_>, name: &str) -> Parse<i32> {
    let raw = field.varint(name)? as u32;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

fn parse_quantile(message: &[u8]) -> Parse<(f64, f64)> {
    let (mut quantile, mut value) = (0.0, 0.0);
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => quantile = field.double("quantile")?,
            2 => value = field.double("value")?,
            _ => {}
        }
    }
    Ok((quantile, value))
}

fn parse_exemplar<'a>(message: &'a [u8], nested: &mut Vec<Attribute<'a>>) -> Parse<Entry<ExemplarView<'a, 'a>>> {
    let start = nested.len();
    let mut exemplar = ExemplarView {
        time: UnixNanos(0),
        value: None,
        trace_id: None,
        span_id: None,
        filtered_attributes: KeyValues::default(),
    };
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            2 => exemplar.time = UnixNanos(field.fixed64("time_unix_nano")?),
            3 => exemplar.value = Some(Number::Double(field.double("as_double")?)),
            4 => exemplar.span_id = tally::span_id(field.bytes("span_id")?),
            5 => exemplar.trace_id = tally::trace_id(field.bytes("trace_id")?),
            6 => exemplar.value = Some(Number::Int(field.fixed64("as_int")? as i64)),
            7 => attributes::push_nested(nested, start, &field, "filtered_attributes")?,
            _ => {}
        }
    }
    Ok(Entry { item: exemplar, attributes: start..nested.len() })
}
