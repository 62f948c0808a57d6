//! Which rows of each table a deletion means: those that meet its conditions, and the metric rows of series that do.
//!
//! Where it sits: above [`Table::delete`], which works on one table. Metric rows carry the id of their series; what an
//! attribute says of them is in the table `series`, or in their own rows where an older version wrote them.
//!
//! Invariant: `series` comes last, so that a deletion that ends early finds the rows of its series again.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use daymark_model::TenantId;
use futures::TryStreamExt;

use crate::reader::Segment;
use crate::series::has_text;
use crate::table::is_damage;
use crate::{Filter, ReadSpec, Rows, SegmentMeta, Store, StoreError, Table, TableName};

/// What a deletion means.
#[derive(Clone)]
pub struct Meant {
    /// What to delete of each table, in this order.
    pub tables: Vec<(Table, Rows)>,
    /// Segments that cannot be read: series named there, and their rows, are not found.
    pub unreadable: Vec<String>,
}

impl Store {
    /// What `rows` means in each of the tables `names` of `tenant`, as published now.
    ///
    /// # Errors
    /// [`StoreError::WrongCondition`], faults of the object store.
    pub async fn meant(&self, tenant: &TenantId, names: &[TableName], rows: &Rows) -> Result<Meant, StoreError> {
        let mut meant = Meant { tables: Vec::new(), unreadable: Vec::new() };
        let mut of_series = None;
        for name in TableName::ALL.into_iter().filter(|name| names.contains(name)) {
            let by_series = TableName::METRICS.contains(&name) && rows.test(name)?.is_none();
            let rows = match (&of_series, by_series) {
                (_, false) => rows.clone(),
                (Some(found), true) => Rows::OfSeries(Arc::clone(found)),
                (None, true) => {
                    let found = Arc::new(self.series_of(tenant, rows, &mut meant.unreadable).await?);
                    of_series = Some(Arc::clone(&found));
                    Rows::OfSeries(found)
                }
            };
            meant.tables.push((self.table(tenant, name), rows));
        }
        Ok(meant)
    }

    /// Ids of the series that meet the conditions.
    async fn series_of(
        &self,
        tenant: &TenantId,
        rows: &Rows,
        unreadable: &mut Vec<String>,
    ) -> Result<HashSet<i64>, StoreError> {
        let mut found = HashSet::new();
        let Some(test) = rows.test(TableName::Series)? else { return Ok(found) };
        let columns = test.columns();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let filter = Filter::new(&columns, move |batch| test.matches(batch));
        let spec = ReadSpec::columns(&["series_id"]).filter(filter);
        for name in TableName::METRICS.into_iter().chain([TableName::Series]) {
            let table = self.table(tenant, name);
            for meta in table.snapshot().await?.segments.iter() {
                match ids(&table, meta, &spec).await {
                    Ok(ids) => found.extend(ids),
                    // What is left of it is counted where its rows are looked at.
                    Err(error) if is_damage(&error) => {
                        tracing::error!(segment = meta.path, %error, "series to delete may be named in a segment that is not readable");
                        unreadable.push(table.path_of(&meta.path).to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(found)
    }
}

async fn ids(table: &Table, meta: &Arc<SegmentMeta>, spec: &ReadSpec) -> Result<HashSet<i64>, StoreError> {
    let segment = Segment::new(table.clone(), Arc::clone(meta));
    if table.name() != TableName::Series && !has_text(&segment).await? {
        return Ok(HashSet::new());
    }
    let mut found = HashSet::new();
    let mut batches = segment.stream_as(TableName::Series, spec).await?;
    while let Some(batch) = batches.try_next().await? {
        let ids = batch.column_by_name("series_id").and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        found.extend(ids.into_iter().flat_map(|ids| ids.values().iter().copied()));
    }
    Ok(found)
}
