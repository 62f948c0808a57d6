//! Rows of the table `series`: what names a metric series, once a day.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::error::ArrowError;
use daymark_model::{LogOffset, UnixNanos};
use daymark_store::TableName;
use daymark_store::series::SeriesHead;

use super::{AttributesBuilder, Encoded, Extent, assemble, time_builder, type_of};

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

impl MetricSeries {
    /// What metric rows repeat of it.
    pub(crate) fn head(&self) -> SeriesHead<'_> {
        SeriesHead {
            id: self.id as i64,
            metric: &self.metric,
            kind: self.kind,
            temporality: self.temporality,
            unit: &self.unit,
            service: &self.service,
        }
    }
}

/// Builds rows of `series`.
pub(crate) struct SeriesColumns {
    texts: [StringBuilder; 5],
    attributes: AttributesBuilder,
    resource: AttributesBuilder,
    time: TimestampMicrosecondBuilder,
    longs: [Int64Builder; 3],
    extent: Extent,
}

const TEXTS: [&str; 5] = ["metric", "kind", "temporality", "unit", "service_name"];
const LONGS: [&str; 3] = ["series_id", "time_unix_nano", "log_offset"];

impl SeriesColumns {
    pub(crate) fn new() -> SeriesColumns {
        SeriesColumns {
            texts: Default::default(),
            attributes: AttributesBuilder::new(),
            resource: AttributesBuilder::new(),
            time: time_builder(),
            longs: Default::default(),
            extent: Extent::EMPTY,
        }
    }

    /// Rows held.
    pub(crate) fn rows(&self) -> usize {
        self.longs[0].values_slice().len()
    }

    /// Bytes held, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.attributes.size_bytes() + self.resource.size_bytes() + 200 * self.rows()
    }

    /// Adds a series that has data on the day that begins at `day`.
    pub(crate) fn push(&mut self, series: &MetricSeries, day: UnixNanos, offset: LogOffset) {
        let head = series.head();
        let texts = [head.metric, head.kind, head.temporality, head.unit, head.service];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_value(text));
        self.attributes.row(&series.attributes);
        self.resource.row(&series.resource);
        self.time.append_value(day.micros());
        let longs = [head.id, day.0 as i64, offset.0 as i64];
        self.longs.iter_mut().zip(longs).for_each(|(column, value)| column.append_value(value));
        self.extent.add(offset, day, day);
    }

    /// The rows built so far; the builder is empty afterwards.
    ///
    /// # Errors
    /// When the columns do not fit the schema: a mistake in this crate.
    pub(crate) fn finish(&mut self) -> Result<(RecordBatch, Extent), ArrowError> {
        let schema = TableName::Series.schema();
        let (attributes, attribute_types) = self.attributes.finish(type_of(&schema, "attributes")?)?;
        let (resource, resource_types) = self.resource.finish(type_of(&schema, "resource_attributes")?)?;
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("attributes", attributes),
            ("attribute_types", attribute_types),
            ("resource_attributes", resource),
            ("resource_attribute_types", resource_types),
            ("time", Arc::new(self.time.finish())),
        ];
        for (name, column) in TEXTS.into_iter().zip(&mut self.texts) {
            columns.push((name, Arc::new(column.finish())));
        }
        for (name, column) in LONGS.into_iter().zip(&mut self.longs) {
            columns.push((name, Arc::new(column.finish())));
        }
        Ok((assemble(&schema, columns)?, std::mem::replace(&mut self.extent, Extent::EMPTY)))
    }
}
