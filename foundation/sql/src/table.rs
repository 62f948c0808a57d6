//! One table of one tenant, as DataFusion sees it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use daymark_model::{Receipt, TenantId, TimeRange};
use daymark_store::{Reader, StoreError, TableName, View};

use crate::prune::Pruning;
use crate::pushdown::Hints;
use crate::scan::{Part, SegmentScan};
use crate::shape::{HIST, HIST_PARTS, shown_schema};

/// How far before the time asked for the newest version of a trace may begin, nanoseconds: a late span moves the start
/// of a trace back.
const TRACE_LENGTH_NS: u64 = 600_000_000_000;

/// The receipt of one statement, which all its scans write to.
#[derive(Clone, Debug)]
pub(crate) struct SharedReceipt(Arc<Mutex<Receipt>>);

impl SharedReceipt {
    pub(crate) fn new() -> SharedReceipt {
        SharedReceipt(Arc::new(Mutex::new(Receipt::new())))
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Receipt)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn get(&self) -> Receipt {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a statement runs over: fixed before it is parsed.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) reader: Arc<Reader>,
    pub(crate) tenant: TenantId,
    pub(crate) receipt: SharedReceipt,
    pub(crate) parallel_segments: usize,
    pub(crate) batch_rows: usize,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {}", self.tenant)
    }
}

/// All tables of the tenant.
#[derive(Debug)]
pub(crate) struct TenantTables(pub(crate) Scope);

#[async_trait]
impl SchemaProvider for TenantTables {
    fn table_names(&self) -> Vec<String> {
        TableName::ALL.iter().map(|table| table.as_str().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = |table| Arc::new(StoreTable::new(table, self.0.clone())) as Arc<dyn TableProvider>;
        Ok(TableName::parse(name).map(table))
    }

    fn table_exist(&self, name: &str) -> bool {
        TableName::parse(name).is_some()
    }
}

/// One table.
#[derive(Debug)]
struct StoreTable {
    table: TableName,
    schema: SchemaRef,
    scope: Scope,
}

impl StoreTable {
    fn new(table: TableName, scope: Scope) -> StoreTable {
        StoreTable { table, schema: shown_schema(&table.schema()), scope }
    }

    async fn view(&self, range: TimeRange, columns: &[String]) -> Result<View> {
        let (reader, tenant) = (&self.scope.reader, &self.scope.tenant);
        reader.view_columns(tenant, self.table, range, Some(columns.to_vec())).await.map_err(external)
    }

    /// Rows of `traces`: the newest version of each, decided before any filter.
    async fn newest_traces(&self, pruning: &Pruning, time: TimeRange, columns: Vec<String>) -> Result<Vec<Part>> {
        let range = TimeRange { start: time.start.minus(TRACE_LENGTH_NS), end: time.end };
        let (reader, tenant) = (&self.scope.reader, &self.scope.tenant);
        let mut view = reader.view(tenant, self.table, range).await.map_err(external)?;
        let batch = view.newest_traces(&pruning.spec(columns, None)).await.map_err(external)?;
        self.scope.receipt.update(|receipt| receipt.absorb(&view.receipt));
        Ok(vec![Part::Rows(batch)])
    }

    async fn parts(&self, pruning: &Pruning, time: TimeRange, columns: &[String]) -> Result<Vec<Part>> {
        let view = self.view(time, columns).await?;
        self.scope.receipt.update(|receipt| receipt.absorb(&view.receipt));
        let segments = view.segments.into_iter().filter(|segment| !pruning.excludes(segment));
        Ok(view.hot.into_iter().map(Part::Rows).chain(segments.map(Part::Segment)).collect())
    }
}

#[async_trait]
impl TableProvider for StoreTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Never exact: DataFusion applies the filter again to what the scan returns.
        let support = |filter: &&Expr| {
            if Hints::helps(self.table, filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let hints = Hints::of(self.table, filters);
        let time = hints.time;
        let pruning = Pruning::new(self.table, hints);
        let shown = match projection {
            Some(positions) => Arc::new(self.schema.project(positions)?),
            None => Arc::clone(&self.schema),
        };
        let mut columns: Vec<String> = shown.fields().iter().map(|field| field.name().clone()).collect();
        if columns.is_empty() {
            // count(*) needs rows, not values: one small column stands for them.
            columns.push(self.table.nanos_column().to_owned());
        }
        // Only metric rows leave out the histograms that other columns stand for.
        if columns.iter().any(|column| column == HIST) && self.schema.column_with_name(HIST_PARTS[0]).is_some() {
            let missing: Vec<&str> =
                HIST_PARTS.into_iter().filter(|part| !columns.iter().any(|column| column == part)).collect();
            columns.extend(missing.into_iter().map(str::to_owned));
        }
        let parts = if self.table.rows_are_versioned() {
            self.newest_traces(&pruning, time, columns.clone()).await?
        } else {
            // Filters are applied to hot rows by DataFusion alone, so that only the shown columns have to come.
            self.parts(&pruning, time, &columns).await?
        };
        let spec = pruning.spec(columns, limit);
        Ok(Arc::new(SegmentScan::new(self.table, self.scope.clone(), parts, Arc::new(pruning), spec, shown)))
    }
}

/// A fault of the store on its way through DataFusion.
pub(crate) fn external(error: StoreError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
