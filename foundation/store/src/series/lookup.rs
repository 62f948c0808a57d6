//! Looking series up in the table `series`: by label postings where a segment has them, by a scan where it has none.
//!
//! Where it sits: what asks for series or labels ([`super::catalogue`], [`super::read_series`]) comes here with a view of
//! the metric rows that refer to them.
//!
//! Invariants:
//! - an answer is the same with postings and without: what cannot be read of them costs a scan, which the receipt tells;
//! - of all rows of a series the first one that is found counts: they say the same.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use daymark_model::{Receipt, TenantId, TimeRange};
use futures::TryStreamExt;

use super::catalogue::{COLUMNS, Columns, SeriesFilter, has_text, wrong_columns};
use super::{LabelTest, LabelValues, Resolution, Series};
use crate::index::{LabelIndex, RowSet};
use crate::reader::Segment;
use crate::{Filter, ReadSpec, Reader, RowChoice, StoreError, TableName, View};

/// What is looked for.
pub(super) struct Search<'a> {
    filter: &'a SeriesFilter,
    tests: Vec<LabelTest>,
    /// No other series matter.
    present: Option<&'a BTreeSet<i64>>,
}

/// What was found of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Series that match, without points; empty where labels are asked for.
    pub(super) matching: BTreeMap<i64, Series>,
    /// Series that do not match.
    pub(super) others: HashSet<i64>,
    /// Asked for instead of series.
    pub(super) labels: Option<Labels>,
}

/// Labels of the series that match.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Only this one.
    pub(super) only: Option<String>,
    pub(super) values: LabelValues,
    /// Series whose labels these are.
    of: HashSet<i64>,
}

impl<'a> Search<'a> {
    /// # Errors
    /// A matcher that cannot be used.
    pub(super) fn new(filter: &'a SeriesFilter) -> Result<Search<'a>, StoreError> {
        let tests = filter.matchers.iter().map(super::Matcher::compiled).collect::<Result<_, _>>()?;
        Ok(Search { filter, tests, present: None })
    }

    /// Only for these series.
    pub(super) fn among(self, present: &'a BTreeSet<i64>) -> Search<'a> {
        Search { present: Some(present), ..self }
    }

    fn concerns(&self, id: i64) -> bool {
        self.present.is_none_or(|present| present.contains(&id))
    }

    /// Rows of the metric and the service, and those of them that match.
    fn rows(&self, index: &LabelIndex) -> (RowSet, RowSet) {
        let mut candidates = RowSet::all(index.rows());
        let columns = [("metric", &self.filter.metric), ("service_name", &self.filter.service)];
        for (column, value) in columns {
            value.iter().for_each(|value| candidates.and(&index.with_column(column, value)));
        }
        let mut matching = candidates.clone();
        for test in self.tests.iter().take_while(|_| !candidates.is_empty()) {
            matching.and(&index.matching(test));
        }
        (candidates, matching)
    }
}

/// Looks for the series that the rows of `view`, of a metric table, may refer to.
///
/// # Errors
/// Faults of the store. Damage makes the receipt partial.
pub(super) async fn find(
    reader: &Reader,
    tenant: &TenantId,
    view: &View,
    search: &Search<'_>,
    found: &mut Found,
    receipt: &mut Receipt,
) -> Result<(), StoreError> {
    let spec = ReadSpec { filters: search.filter.row_filters(), ..ReadSpec::columns(&COLUMNS) };
    for segment in &view.segments {
        if has_text(segment).await.unwrap_or(false) {
            let batches = match segment.read_as(TableName::Series, &spec).await {
                // What cannot be read is reported by whoever reads its rows.
                Err(StoreError::Parquet { .. } | StoreError::Object(_)) => Vec::new(),
                read => read?,
            };
            for batch in &batches {
                found.add(batch, search)?;
            }
        }
    }
    let day_ns = Resolution::OneDay.window_ns();
    let days = TimeRange { start: view.range.start.window(day_ns), end: view.range.end };
    // Rows that are not published yet are chosen by their time.
    let columns = COLUMNS.into_iter().chain([TableName::Series.nanos_column()]).map(str::to_owned).collect();
    let mut catalogue = reader.view_columns(tenant, TableName::Series, days, Some(columns)).await?;
    let spec = catalogue.narrowed(&spec, None);
    for segment in catalogue.segments.clone() {
        match segment.labels().await {
            Ok(Some(index)) => look_up(&mut catalogue, &segment, &index, search, found).await?,
            Ok(None) => scan(&mut catalogue, &segment, &spec, search, found).await?,
            Err(error) => {
                // WARN: the answer is complete but slower; the index can be rebuilt.
                tracing::warn!(segment = segment.meta().path, %error, "label postings are not usable, scanning");
                catalogue
                    .receipt
                    .warn(format!("rows of series were scanned, their label postings are not usable: {error}"));
                scan(&mut catalogue, &segment, &spec, search, found).await?;
            }
        }
    }
    for batch in &catalogue.hot {
        found.add(&spec.apply(batch)?, search)?;
    }
    receipt.absorb(&catalogue.receipt);
    Ok(())
}

async fn scan(
    view: &mut View,
    segment: &Segment,
    spec: &ReadSpec,
    search: &Search<'_>,
    found: &mut Found,
) -> Result<(), StoreError> {
    let Some(rows) = view.choose(segment, spec, None).await? else { return Ok(()) };
    for batch in view.read_rows(segment, spec, rows).await?.unwrap_or_default() {
        found.add(&batch, search)?;
    }
    Ok(())
}

/// Of rows that match, the text is read once a series; of the others of the same metric and service, the id.
async fn look_up(
    view: &mut View,
    segment: &Segment,
    index: &LabelIndex,
    search: &Search<'_>,
    found: &mut Found,
) -> Result<(), StoreError> {
    let (candidates, matching) = search.rows(index);
    let ids = ReadSpec::columns(&["series_id", TableName::Series.nanos_column()]);
    let ids = ReadSpec { rows: candidates.choice(), ..ids };
    let Some(rows) = view.choose(segment, &ids, None).await? else { return Ok(()) };
    view.receipt.rows_scanned += rows.count(segment.meta().rows);
    let named = match name_rows(segment, ReadSpec { rows, ..ids }, view.range, &matching, search, found).await {
        Err(error) => return view.unreadable(segment, error),
        Ok(named) => named,
    };
    if let Some(labels) = &mut found.labels {
        index.add_labels(&named, labels.only.as_deref(), &mut labels.values);
    } else if !named.is_empty() {
        let filters = search.filter.row_filters();
        let spec = ReadSpec { rows: named.choice(), filters, ..ReadSpec::columns(&COLUMNS) };
        match segment.read(&spec).await {
            Err(error) => view.unreadable(segment, error)?,
            Ok(batches) => batches.iter().try_for_each(|batch| found.add(batch, search))?,
        }
    }
    Ok(())
}

/// One row of each series that matches and is new; the ids of others are noted.
async fn name_rows(
    segment: &Segment,
    spec: ReadSpec,
    range: TimeRange,
    matching: &RowSet,
    search: &Search<'_>,
    found: &mut Found,
) -> Result<RowSet, StoreError> {
    let ranges = match &spec.rows {
        RowChoice::All => std::iter::once(0..u64::from(matching.rows())).collect(),
        RowChoice::Ranges(ranges) => ranges.clone(),
    };
    let mut rows = ranges.into_iter().flatten();
    let in_range = Filter::time(TableName::Series, range);
    let mut named = RowSet::none(matching.rows());
    let mut new = HashSet::new();
    let mut batches = segment.stream(&spec).await?;
    while let Some(batch) = batches.try_next().await? {
        let ids = batch.column_by_name("series_id").and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        let ids = ids.ok_or_else(wrong_columns)?;
        let in_range = if range == TimeRange::ALL { None } else { Some(in_range.test(&batch)?) };
        for (at, (&id, row)) in ids.values().iter().zip(rows.by_ref()).enumerate() {
            let counts = in_range.as_ref().is_none_or(|in_range| in_range.value(at));
            if !counts || !search.concerns(id) || found.knows(id) {
                continue;
            }
            if !matching.contains(row as u32) {
                found.others.insert(id);
            } else if new.insert(id) {
                named.insert(row as u32..row as u32 + 1);
            }
        }
    }
    if let Some(labels) = &mut found.labels {
        labels.of.extend(new);
    }
    Ok(named)
}

impl Found {
    /// For labels, or `only` one, instead of series.
    pub(super) fn labels(only: Option<&str>) -> Found {
        let labels = Labels { only: only.map(str::to_owned), ..Labels::default() };
        Found { labels: Some(labels), ..Found::default() }
    }

    /// Whether the catalogue has a series of which nothing else is asked.
    pub(super) fn knows(&self, id: i64) -> bool {
        self.matching.contains_key(&id)
            || self.others.contains(&id)
            || self.labels.as_ref().is_some_and(|labels| labels.of.contains(&id))
    }

    fn add(&mut self, batch: &RecordBatch, search: &Search<'_>) -> Result<(), StoreError> {
        let columns = Columns::of(batch).ok_or_else(wrong_columns)?;
        for row in 0..batch.num_rows() {
            let id = columns.id(row);
            if !search.concerns(id) || self.knows(id) {
                continue;
            }
            let series = columns.series(row);
            if !search.tests.iter().all(|test| test.holds(&series)) {
                self.others.insert(id);
            } else if let Some(labels) = &mut self.labels {
                labels.add(series);
            } else {
                self.matching.insert(id, series);
            }
        }
        Ok(())
    }
}

impl Labels {
    fn add(&mut self, series: Series) {
        self.of.insert(series.id);
        for (label, value) in series.resource_attributes.into_iter().chain(series.attributes) {
            if self.only.as_ref().is_none_or(|only| *only == label) {
                self.values.entry(label).or_default().insert(value);
            }
        }
    }
}
