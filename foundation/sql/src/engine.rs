//! Runs one statement from text to text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use daymark_model::{Receipt, TenantId};
use daymark_store::Reader;
use futures::StreamExt;

use crate::render::render;
use crate::table::{Scope, SharedReceipt, TenantTables};
use crate::{SqlError, SqlOptions, functions};

const CATALOG: &str = "daymark";
const SCHEMA: &str = "public";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `{"columns":[{name,type}],"rows":[[..]],"receipt":{..}}`
    Json,
    /// A header line, then a line a row.
    Csv,
    /// A table for eyes.
    Table,
}

/// An answer as text, with what was read for it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// In the format asked for.
    pub text: Vec<u8>,
    /// Complete or partial, segments and rows read.
    pub receipt: Receipt,
}

/// Runs statements over one store. Cheap to share behind an `Arc`.
pub struct SqlEngine {
    options: SqlOptions,
    reader: Arc<Reader>,
    runtime: Arc<RuntimeEnv>,
}

impl SqlEngine {
    /// An engine that reads through `reader`.
    ///
    /// # Errors
    /// When DataFusion's runtime cannot be set up.
    pub fn new(options: SqlOptions, reader: Arc<Reader>) -> Result<SqlEngine, SqlError> {
        let no_spill = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(options.memory_bytes)))
            .with_disk_manager_builder(no_spill)
            .build_arc()
            .map_err(|error| SqlError::from_datafusion(error, options.memory_bytes))?;
        Ok(SqlEngine { options, reader, runtime })
    }

    /// Runs one read-only statement for `tenant`.
    ///
    /// # Errors
    /// [`SqlError`]: a statement that is wrong or no read, a limit, or a fault of the store.
    pub async fn run(&self, tenant: &TenantId, statement: &str, format: Format) -> Result<Answer, SqlError> {
        let started = Instant::now();
        if statement.len() > self.options.max_query_bytes {
            return Err(SqlError::Limit {
                what: "the statement is too long",
                option: "max_query_bytes",
                limit: self.options.max_query_bytes as u64,
                advice: "shorten it",
            });
        }
        let timeout_ms = self.options.timeout_ms;
        let receipt = SharedReceipt::new();
        let running = self.collect(tenant, statement, receipt.clone());
        // Dropping the stream on time-out stops the statement at its next batch.
        let (schema, batches) = tokio::time::timeout(Duration::from_millis(timeout_ms), running)
            .await
            .map_err(|_| SqlError::Timeout { timeout_ms })??;
        let mut receipt = receipt.get();
        receipt.elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
        let max_bytes = self.options.max_answer_bytes;
        let render = move || {
            let text = render(&schema, &batches, format, &receipt, max_bytes)?;
            Ok(Answer { text, receipt })
        };
        let rendered = tokio::task::spawn_blocking(render).await;
        rendered.map_err(|error| SqlError::Engine(error.to_string()))?
    }

    fn session(&self, scope: Scope) -> Result<SessionContext, SqlError> {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_information_schema(true)
            .with_target_partitions(scope.parallel_segments.max(1));
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        for function in functions::all() {
            context.register_udf(function.as_ref().clone());
        }
        let catalog = context.catalog(CATALOG).ok_or_else(|| SqlError::Engine("no catalog".to_owned()))?;
        let tables = Arc::new(TenantTables(scope));
        catalog.register_schema(SCHEMA, tables).map_err(|error| self.error(error))?;
        Ok(context)
    }

    async fn collect(
        &self,
        tenant: &TenantId,
        statement: &str,
        receipt: SharedReceipt,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), SqlError> {
        let scope = Scope {
            reader: Arc::clone(&self.reader),
            tenant: tenant.clone(),
            receipt,
            parallel_segments: self.options.parallel_segments,
        };
        let context = self.session(scope)?;
        let plan = context.state().create_logical_plan(statement).await.map_err(|error| self.error(error))?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(|error| self.error(error))?;
        let frame = context.execute_logical_plan(plan).await.map_err(|error| self.error(error))?;
        let mut rows = frame.execute_stream().await.map_err(|error| self.error(error))?;
        let schema = rows.schema();
        let mut batches = Vec::new();
        let (mut row_count, mut bytes) = (0, 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| self.error(error))?;
            row_count += batch.num_rows();
            bytes += batch.get_array_memory_size();
            self.check_size(row_count, bytes)?;
            batches.push(batch);
        }
        Ok((schema, batches))
    }

    fn check_size(&self, rows: usize, bytes: usize) -> Result<(), SqlError> {
        let advice = "add LIMIT, or narrow the statement";
        if rows > self.options.max_rows {
            let limit = self.options.max_rows as u64;
            return Err(SqlError::Limit { what: "the answer has too many rows", option: "max_rows", limit, advice });
        }
        // Slices of one large batch count it again each time: four times the limit is far from false alarms.
        if bytes > self.options.max_answer_bytes.saturating_mul(4) {
            let limit = self.options.max_answer_bytes as u64;
            return Err(SqlError::Limit { what: "the answer is too large", option: "max_answer_bytes", limit, advice });
        }
        Ok(())
    }

    fn error(&self, error: datafusion::error::DataFusionError) -> SqlError {
        SqlError::from_datafusion(error, self.options.memory_bytes)
    }
}
