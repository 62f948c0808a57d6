//! Rows of the metric tables: mergeable fragments of one series and window.

use std::sync::Arc;

use arrow::array::{
    BinaryBuilder, FixedSizeBinaryBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::error::ArrowError;
use daymark_model::LogOffset;
use daymark_sketch::Histogram;
use daymark_store::TableName;
use daymark_store::series::Fragment;

use super::{AttributesBuilder, Encoded, assemble, time_builder, type_of};

/// What names a series.
pub(crate) struct MetricSeries {
    /// Stable hash of everything below.
    pub(crate) id: u64,
    pub(crate) metric: Box<str>,
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: &'static str,
    /// `delta`, `cumulative` or `none`.
    pub(crate) temporality: &'static str,
    pub(crate) unit: Box<str>,
    pub(crate) service: Box<str>,
    pub(crate) attributes: Encoded,
    pub(crate) resource: Arc<Encoded>,
}

/// Builds rows of the metric tables.
pub(crate) struct MetricColumns {
    texts: [StringBuilder; 6],
    attributes: AttributesBuilder,
    resource: AttributesBuilder,
    time: TimestampMicrosecondBuilder,
    longs: [Int64Builder; 6],
    doubles: [Float64Builder; 9],
    exemplar_trace_id: FixedSizeBinaryBuilder,
    exemplar_span_id: FixedSizeBinaryBuilder,
    hist: BinaryBuilder,
}

const TEXTS: [&str; 6] = ["metric", "kind", "temporality", "unit", "service_name", "hist_kind"];
const LONGS: [&str; 6] =
    ["series_id", "time_unix_nano", "start_time_unix_nano", "count", "last_time_unix_nano", "log_offset"];
const DOUBLES: [&str; 9] = ["sum", "min", "max", "last", "err_bound", "p50", "p90", "p99", "exemplar_value"];

impl MetricColumns {
    pub(crate) fn new() -> MetricColumns {
        MetricColumns {
            texts: Default::default(),
            attributes: AttributesBuilder::new(),
            resource: AttributesBuilder::new(),
            time: time_builder(),
            longs: Default::default(),
            doubles: Default::default(),
            exemplar_trace_id: FixedSizeBinaryBuilder::new(16),
            exemplar_span_id: FixedSizeBinaryBuilder::new(8),
            hist: BinaryBuilder::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// None that data can cause: ids have their fixed width.
    pub(crate) fn push(
        &mut self,
        series: &MetricSeries,
        row: &Fragment<'_>,
        through: LogOffset,
    ) -> Result<(), ArrowError> {
        let hist = row.hist.as_deref();
        let hist_kind = hist.map_or("", Histogram::kind);
        let texts = [&*series.metric, series.kind, series.temporality, &series.unit, &series.service, hist_kind];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_value(text));
        self.attributes.row(&series.attributes);
        self.resource.row(&series.resource);
        self.time.append_value(row.window.micros());
        let longs = [series.id, row.window.0, row.start, row.count, row.last_time, through.0];
        self.longs.iter_mut().zip(longs).for_each(|(column, value)| column.append_value(value as i64));
        let quantile = |q| hist.and_then(|hist| quantile(hist, q));
        let doubles = [
            Some(row.sum),
            row.min,
            row.max,
            row.last,
            Some(row.err_bound),
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            row.exemplar.map(|exemplar| exemplar.value),
        ];
        self.doubles.iter_mut().zip(doubles).for_each(|(column, value)| column.append_option(value));
        match row.exemplar {
            Some(exemplar) => self.exemplar_trace_id.append_value(exemplar.trace_id.0)?,
            None => self.exemplar_trace_id.append_null(),
        }
        match row.exemplar.and_then(|exemplar| exemplar.span_id) {
            Some(span_id) => self.exemplar_span_id.append_value(span_id.0)?,
            None => self.exemplar_span_id.append_null(),
        }
        self.hist.append_option(hist.and_then(Histogram::encode_row));
        Ok(())
    }

    /// The rows.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let schema = TableName::Metrics10s.schema();
        let (attributes, attribute_types) = self.attributes.finish(type_of(&schema, "attributes")?)?;
        let (resource, resource_types) = self.resource.finish(type_of(&schema, "resource_attributes")?)?;
        let mut columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
            ("attributes", attributes),
            ("attribute_types", attribute_types),
            ("resource_attributes", resource),
            ("resource_attribute_types", resource_types),
            ("time", Arc::new(self.time.finish())),
            ("exemplar_trace_id", Arc::new(self.exemplar_trace_id.finish())),
            ("exemplar_span_id", Arc::new(self.exemplar_span_id.finish())),
            ("hist", Arc::new(self.hist.finish())),
        ];
        for (name, column) in TEXTS.into_iter().zip(&mut self.texts) {
            columns.push((name, Arc::new(column.finish())));
        }
        for (name, column) in LONGS.into_iter().zip(&mut self.longs) {
            columns.push((name, Arc::new(column.finish())));
        }
        for (name, column) in DOUBLES.into_iter().zip(&mut self.doubles) {
            columns.push((name, Arc::new(column.finish())));
        }
        assemble(&schema, columns)
    }
}

fn quantile(hist: &Histogram, q: f64) -> Option<f64> {
    match hist {
        Histogram::Hdr(sketch) => sketch.quantile(q).map(|value| value as f64),
        Histogram::Explicit(explicit) => {
            explicit.quantile(q).map(|answer| answer.estimate).filter(|value| value.is_finite())
        }
    }
}
