//! The catalogue of series: which there are, and what names them.
//!
//! Where it sits: rows of the metric tables carry a series' id; its attributes and resource are in the table `series`,
//! one row a series and day (and more after a restart: equal rows, which compaction joins).
//!
//! Invariants:
//! - the row of a series is readable before the first metric row that refers to it, so the catalogue is read after;
//! - segments of metric tables that an older version wrote carry the text in their own rows, and it is found there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use daymark_model::{Receipt, TenantId, TimeRange};

use super::{Matcher, Resolution, Series};
use crate::reader::Segment;
use crate::{Filter, ReadSpec, Reader, StoreError, TableName, View};

/// Columns of a series' text, in the table `series` and in metric rows of older versions.
const COLUMNS: [&str; 8] =
    ["metric", "kind", "temporality", "unit", "service_name", "attributes", "resource_attributes", "series_id"];

/// Only metric rows of older versions have it.
pub(crate) const OLD_COLUMN: &str = "attributes";

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

/// Series found in the catalogue.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that match, without points.
    pub(super) matching: BTreeMap<i64, Series>,
    /// Those that do not.
    pub(super) others: HashSet<i64>,
}

impl SeriesFilter {
    /// Filters on the columns that metric tables have, too.
    pub(super) fn row_filters(&self) -> Vec<Filter> {
        let metric = self.metric.iter().map(|metric| Filter::text("metric", metric));
        let service = self.service.iter().map(|service| Filter::text("service_name", service));
        metric.chain(service).collect()
    }
}

/// The series of `filter` that the rows of `view`, of a metric table, may refer to.
pub(super) async fn find(
    reader: &Reader,
    tenant: &TenantId,
    view: &View,
    filter: &SeriesFilter,
    receipt: &mut Receipt,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let spec = ReadSpec { filters: filter.row_filters(), ..ReadSpec::columns(&COLUMNS) };
    for segment in &view.segments {
        if has_text(segment).await.unwrap_or(false) {
            let batches = match segment.read_as(TableName::Series, &spec).await {
                // What cannot be read is reported by whoever reads its rows.
                Err(StoreError::Parquet { .. } | StoreError::Object(_)) => Vec::new(),
                read => read?,
            };
            for batch in &batches {
                found.add(batch, &filter.matchers)?;
            }
        }
    }
    let day_ns = Resolution::OneDay.window_ns();
    let days = TimeRange { start: view.range.start.window(day_ns), end: view.range.end };
    // Rows that are not published yet are chosen by their time.
    let columns = COLUMNS.into_iter().chain([TableName::Series.nanos_column()]).map(str::to_owned).collect();
    let mut catalogue = reader.view_columns(tenant, TableName::Series, days, Some(columns)).await?;
    for batch in catalogue.read(&spec).await? {
        found.add(&batch, &filter.matchers)?;
    }
    receipt.absorb(&catalogue.receipt);
    Ok(found)
}

/// Whether a segment of a metric table is one of an older version.
pub(crate) async fn has_text(segment: &Segment) -> Result<bool, StoreError> {
    let footer = segment.footer().await?;
    Ok(footer.file_metadata().schema_descr().root_schema().get_fields().iter().any(|field| field.name() == OLD_COLUMN))
}

/// Every series with data in `range`: without points, sorted by id.
///
/// # Errors
/// Faults of the store. Damage makes the receipt partial.
pub async fn list_series(
    reader: &Reader,
    tenant: &TenantId,
    filter: &SeriesFilter,
    range: TimeRange,
) -> Result<(Vec<Series>, Receipt), StoreError> {
    let resolution = Resolution::for_listing(reader, tenant, range).await?;
    let width_ns = resolution.window_ns();
    let range = TimeRange { start: range.start.window(width_ns), end: range.end };
    let columns = ["metric", "service_name", "series_id", "time_unix_nano"].map(str::to_owned).to_vec();
    let mut view = reader.view_columns(tenant, resolution.table(), range, Some(columns)).await?;
    let mut receipt = Receipt::new();
    let mut found = find(reader, tenant, &view, filter, &mut receipt).await?;
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
    receipt.absorb(&view.receipt);
    let unknown = present.iter().filter(|id| !found.matching.contains_key(id) && !found.others.contains(id)).count();
    miss_unknown(unknown, &mut receipt);
    found.matching.retain(|id, _| present.contains(id));
    Ok((found.matching.into_values().collect(), receipt))
}

/// Says that rows refer to series that are not in the catalogue.
pub(super) fn miss_unknown(series: usize, receipt: &mut Receipt) {
    if series > 0 {
        receipt.miss(format!("{series} series have rows and no entry in the table series"));
    }
}

impl Found {
    fn add(&mut self, batch: &RecordBatch, matchers: &[Matcher]) -> Result<(), StoreError> {
        let columns = Columns::of(batch).ok_or_else(|| StoreError::WrongSchema {
            table: "series",
            reason: "a column is missing or has another type".to_owned(),
        })?;
        for row in 0..batch.num_rows() {
            let id = columns.id.value(row);
            if self.matching.contains_key(&id) || self.others.contains(&id) {
                continue;
            }
            let series = columns.series(row);
            if matchers.iter().all(|matcher| matcher.holds(&series)) {
                self.matching.insert(id, series);
            } else {
                self.others.insert(id);
            }
        }
        Ok(())
    }
}

struct Columns<'b> {
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
    fn of(batch: &'b RecordBatch) -> Option<Columns<'b>> {
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

    fn series(&self, row: usize) -> Series {
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
