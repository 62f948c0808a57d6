//! Runs one statement from text to text, on threads of its own.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use daymark_model::{Receipt, TenantId};
use daymark_store::Reader;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::bounded::Bounds;
use crate::statement::Statement;
use crate::{SqlError, SqlOptions};

/// Planning walks expressions recursively.
const STACK_BYTES: usize = 64 << 20;
/// Reads of files a thread may wait for at a time.
const READS_PER_THREAD: usize = 8;

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
    statement: Statement,
    threads: Threads,
}

impl SqlEngine {
    /// An engine that reads through `reader`.
    ///
    /// # Errors
    /// When DataFusion's runtime or the threads cannot be set up.
    pub fn new(options: SqlOptions, reader: Arc<Reader>) -> Result<SqlEngine, SqlError> {
        let no_spill = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(options.memory_bytes)))
            .with_disk_manager_builder(no_spill)
            .build_arc()
            .map_err(|error| SqlError::from_datafusion(error, options.memory_bytes))?;
        let threads = Threads::start(options.threads)?;
        Ok(SqlEngine { statement: Statement { options: Arc::new(options), reader, runtime }, threads })
    }

    /// Runs one read-only statement for `tenant`. Dropping the future stops the statement.
    ///
    /// # Errors
    /// [`SqlError`]: a statement that is wrong or no read, a limit, or a fault of the store.
    pub async fn run(&self, tenant: &TenantId, text: &str, format: Format) -> Result<Answer, SqlError> {
        let options = &self.statement.options;
        if text.len() > options.max_query_bytes {
            return Err(SqlError::Limit {
                what: "the statement is too long".to_owned(),
                option: "max_query_bytes",
                limit: options.max_query_bytes as u64,
                advice: "shorten it",
            });
        }
        let timeout_ms = options.timeout_ms;
        let bounds = Arc::new(Bounds::new(options, &self.statement.runtime.memory_pool));
        let work = self.statement.clone().run(tenant.clone(), text.to_owned(), format, Arc::clone(&bounds));
        let running = self.threads.spawn(work)?;
        let _stop = StopOnDrop { bounds, task: running.abort_handle() };
        match tokio::time::timeout(Duration::from_millis(timeout_ms), running).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(died)) => Err(SqlError::Engine(died.to_string())),
            Err(_) => Err(SqlError::Timeout { timeout_ms }),
        }
    }
}

/// Ends a statement whose answer nobody waits for: at its next batch, or at the next call of a function.
struct StopOnDrop {
    bounds: Arc<Bounds>,
    task: AbortHandle,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.bounds.stop();
        self.task.abort();
    }
}

/// The threads of the engine: what keeps one busy does not keep connections waiting.
struct Threads(Option<Runtime>);

impl Threads {
    fn start(count: usize) -> Result<Threads, SqlError> {
        let runtime = Builder::new_multi_thread()
            .thread_name("daymark-sql")
            .worker_threads(count.max(1))
            .max_blocking_threads(READS_PER_THREAD.saturating_mul(count.max(1)))
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| SqlError::Engine(format!("cannot start threads: {error}")))?;
        Ok(Threads(Some(runtime)))
    }

    fn spawn<F>(&self, work: F) -> Result<tokio::task::JoinHandle<F::Output>, SqlError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let runtime = self.0.as_ref().ok_or(SqlError::Stopped)?;
        Ok(runtime.spawn(work))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for threads is not allowed where an engine may be dropped.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
