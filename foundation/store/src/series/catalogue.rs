//! The catalogue of series: which there are, and what names them.
//!
//! Where it sits: rows of the metric tables carry a series' id; its attributes and resource are in the table `series`,
//! one row a series and day (and more after a restart: equal rows, which compaction joins).
//!
//! Invariants:
//! - the row of a series is readable before the first metric row that refers to it, so the catalogue is read after;
//! - segments of metric tables that an older version wrote carry the text in their own rows, and it is found there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use daymark_model::{Receipt, TenantId, TimeRange};

use super::lookup::{self, Found, Search};
use super::{Matcher, Resolution, Series};
use crate::reader::Segment;
use crate::{Filter, ReadSpec, Reader, StoreError};

/// Columns of a series' text, in the table `series` and in metric rows of older versions.
pub(super) const COLUMNS: [&str; 8] =
    ["metric", "kind", "temporality", "unit", "service_name", "attributes", "resource_attributes", "series_id"];

/// Only metric rows of older versions have it.
pub(crate) const OLD_COLUMN: &str = "attributes";

/// Labels and their values.
pub type LabelValues = BTreeMap<String, BTreeSet<String>>;

/// Which series to look for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesFilter {
    /// Only of this metric.
    pub metric: Option<String>,
    /// Only of this service.
    pub service: Option<String>,
    /// All must hold.
    pub matchers: Vec<Matcher>,
}

impl SeriesFilter {
    /// Filters on the columns that metric tables have, too.
    pub(super) fn row_filters(&self) -> Vec<Filter> {
        let metric = self.metric.iter().map(|metric| Filter::text("metric", metric));
        let service = self.service.iter().map(|service| Filter::text("service_name", service));
        metric.chain(service).collect()
    }
}

/// Whether a segment of a metric table is one of an older version.
pub(crate) async fn has_text(segment: &Segment) -> Result<bool, StoreError> {
    let footer = segment.footer().await?;
    Ok(footer.file_metadata().schema_descr().root_schema().get_fields().iter().any(|field| field.name() == OLD_COLUMN))
}

/// Every series with data in `range`: without points, sorted by id.
///
/// # Errors
/// Faults of the store; a matcher that cannot be used. Damage makes the receipt partial.
pub async fn list_series(
    reader: &Reader,
    tenant: &TenantId,
    filter: &SeriesFilter,
    range: TimeRange,
) -> Result<(Vec<Series>, Receipt), StoreError> {
    let (found, receipt) = listed(reader, tenant, filter, range, Found::default()).await?;
    Ok((found.matching.into_values().collect(), receipt))
}

/// The labels of every series with data in `range`, or `only` one of them, and their values.
///
/// # Errors
/// As [`list_series`].
pub async fn list_labels(
    reader: &Reader,
    tenant: &TenantId,
    filter: &SeriesFilter,
    range: TimeRange,
    only: Option<&str>,
) -> Result<(LabelValues, Receipt), StoreError> {
    let (found, receipt) = listed(reader, tenant, filter, range, Found::labels(only)).await?;
    Ok((found.labels.unwrap_or_default().values, receipt))
}

async fn listed(
    reader: &Reader,
    tenant: &TenantId,
    filter: &SeriesFilter,
    range: TimeRange,
    mut found: Found,
) -> Result<(Found, Receipt), StoreError> {
    let search = Search::new(filter)?;
    let resolution = Resolution::for_listing(reader, tenant, range).await?;
    let width_ns = resolution.window_ns();
    let range = TimeRange { start: range.start.window(width_ns), end: range.end };
    let columns = ["metric", "service_name", "series_id", "time_unix_nano"].map(str::to_owned).to_vec();
    let mut view = reader.view_columns(tenant, resolution.table(), range, Some(columns)).await?;
    let spec = ReadSpec { filters: filter.row_filters(), ..ReadSpec::columns(&["series_id"]) };
    let mut present: BTreeSet<i64> = BTreeSet::new();
    for batch in view.read(&spec).await? {
        let ids = batch.column_by_name("series_id").and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        let mut previous = None;
        for id in ids.into_iter().flat_map(|ids| ids.values()) {
            if previous.replace(*id) != Some(*id) {
                present.insert(*id);
            }
        }
    }
    let mut receipt = Receipt::new();
    lookup::find(reader, tenant, &view, &search.among(&present), &mut found, &mut receipt).await?;
    receipt.absorb(&view.receipt);
    miss_unknown(present.iter().filter(|id| !found.knows(**id)).count(), &mut receipt);
    Ok((found, receipt))
}

/// Says that rows refer to series that are not in the catalogue.
pub(super) fn miss_unknown(series: usize, receipt: &mut Receipt) {
    if series > 0 {
        receipt.miss(format!("{series} series have rows and no entry in the table series"));
    }
}

pub(super) fn wrong_columns() -> StoreError {
    StoreError::WrongSchema { table: "series", reason: "a column is missing or has another type".to_owned() }
}

/// The columns of a batch that name series.
pub(super) struct Columns<'b> {
    id: &'b Int64Array,
    metric: &'b StringArray,
    kind: &'b StringArray,
    temporality: &'b StringArray,
    unit: &'b StringArray,
    service: &'b StringArray,
    attributes: &'b MapArray,
    resource_attributes: &'b MapArray,
}

impl<'b> Columns<'b> {
    pub(super) fn of(batch: &'b RecordBatch) -> Option<Columns<'b>> {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let map = |name: &str| batch.column_by_name(name)?.as_map_opt();
        Some(Columns {
            id: batch.column_by_name("series_id")?.as_primitive_opt::<Int64Type>()?,
            metric: text("metric")?,
            kind: text("kind")?,
            temporality: text("temporality")?,
            unit: text("unit")?,
            service: text("service_name")?,
            attributes: map("attributes")?,
            resource_attributes: map("resource_attributes")?,
        })
    }

    pub(super) fn id(&self, row: usize) -> i64 {
        self.id.value(row)
    }

    pub(super) fn series(&self, row: usize) -> Series {
        Series {
            id: self.id.value(row),
            metric: Arc::from(self.metric.value(row)),
            service: self.service.value(row).to_owned(),
            attributes: attributes(self.attributes, row),
            resource_attributes: attributes(self.resource_attributes, row),
            kind: self.kind.value(row).to_owned(),
            unit: self.unit.value(row).to_owned(),
            temporality: self.temporality.value(row).to_owned(),
            points: Vec::new(),
        }
    }
}

fn attributes(column: &MapArray, row: usize) -> BTreeMap<String, String> {
    let entries = column.value(row);
    let texts = |at: usize| entries.column(at).as_string_opt::<i32>();
    let (Some(keys), Some(values)) = (texts(0), texts(1)) else { return BTreeMap::new() };
    (0..entries.len()).map(|at| (keys.value(at).to_owned(), values.value(at).to_owned())).collect()
}
