//! One statement: plan, check that it only reads, run, collect within the limits, write.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use daymark_model::TenantId;
use daymark_store::Reader;
use futures::StreamExt;

use crate::bounded::{Bounds, bounded, bounded_plan};
use crate::concat::ConcatPlanner;
use crate::depth::check_depth;
use crate::ids::lower_case_ids;
use crate::render::render;
use crate::size::{column_bytes, largest_cell};
use crate::stopping::{AskingJoins, YieldingJoins};
use crate::table::{Scope, SharedReceipt, TenantTables};
use crate::{Answer, Format, SqlError, SqlOptions, functions};

const CATALOG: &str = "daymark";
const SCHEMA: &str = "public";

/// What every statement is run with.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) options: Arc<SqlOptions>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) runtime: Arc<RuntimeEnv>,
}

impl Statement {
    /// From text to text.
    pub(crate) async fn run(
        self,
        tenant: TenantId,
        text: String,
        format: Format,
        bounds: Arc<Bounds>,
    ) -> Result<Answer, SqlError> {
        let started = Instant::now();
        let receipt = SharedReceipt::new();
        let scope = Scope {
            reader: Arc::clone(&self.reader),
            tenant,
            receipt: receipt.clone(),
            parallel_segments: self.options.parallel_segments,
            batch_rows: self.options.batch_rows.max(1),
        };
        let context = self.session(scope, &bounds)?;
        let plan = self.plan(&context, &text, &bounds).await?;
        let (schema, batches) = self.collect(&context, plan, &bounds).await?;
        let mut receipt = receipt.get();
        receipt.elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
        let text = render(&schema, &batches, format, &receipt, self.options.max_answer_bytes, &bounds)?;
        Ok(Answer { text, receipt })
    }

    fn session(&self, scope: Scope, bounds: &Arc<Bounds>) -> Result<SessionContext, SqlError> {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_information_schema(true)
            .with_batch_size(scope.batch_rows)
            .with_target_partitions(scope.parallel_segments.max(1));
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features()
            .with_optimizer_rule(Arc::new(AskingJoins(Arc::clone(bounds))))
            .with_physical_optimizer_rule(Arc::new(YieldingJoins));
        builder.expr_planners().get_or_insert_default().push(Arc::new(ConcatPlanner));
        builder.scalar_functions().get_or_insert_default().extend(functions::scalar());
        builder.aggregate_functions().get_or_insert_default().extend(functions::aggregate());
        for function in builder.scalar_functions().iter_mut().flatten() {
            *function = bounded(function, bounds);
        }
        let context = SessionContext::new_with_state(builder.build());
        let catalog = context.catalog(CATALOG).ok_or_else(|| SqlError::Engine("no catalog".to_owned()))?;
        let tables = Arc::new(TenantTables(scope));
        catalog.register_schema(SCHEMA, tables).map_err(|error| self.error(error))?;
        Ok(context)
    }

    async fn plan(&self, context: &SessionContext, text: &str, bounds: &Arc<Bounds>) -> Result<LogicalPlan, SqlError> {
        check_depth(text, &self.options)?;
        let plan = context.state().create_logical_plan(text).await.map_err(|error| self.error(error))?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(|error| self.error(error))?;
        let plan = lower_case_ids(plan).map_err(|error| self.error(error))?;
        bounded_plan(plan, bounds).map_err(|error| self.error(error))
    }

    async fn collect(
        &self,
        context: &SessionContext,
        plan: LogicalPlan,
        bounds: &Bounds,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), SqlError> {
        let frame = context.execute_logical_plan(plan).await.map_err(|error| self.error(error))?;
        let mut rows = frame.execute_stream().await.map_err(|error| self.error(error))?;
        let schema = rows.schema();
        let mut batches = Vec::new();
        let (mut row_count, mut bytes) = (0, 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| self.error(error))?;
            row_count += batch.num_rows();
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                bounds.check_cell(field.name(), largest_cell(column, self.options.max_cell_bytes) as u64)?;
                bytes += column_bytes(column);
            }
            self.check_size(row_count, bytes)?;
            batches.push(batch);
        }
        Ok((schema, batches))
    }

    fn check_size(&self, rows: usize, bytes: usize) -> Result<(), SqlError> {
        let (what, option, limit) = if rows > self.options.max_rows {
            ("the answer has too many rows", "max_rows", self.options.max_rows)
        } else if bytes > self.options.max_answer_bytes {
            ("the answer is too large", "max_answer_bytes", self.options.max_answer_bytes)
        } else {
            return Ok(());
        };
        let advice = "add LIMIT, or narrow the statement";
        Err(SqlError::Limit { what: what.to_owned(), option, limit: limit as u64, advice })
    }

    fn error(&self, error: DataFusionError) -> SqlError {
        SqlError::from_datafusion(error, self.options.memory_bytes)
    }
}
