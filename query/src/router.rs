//! The routes, and what guards every query: the tenant, a place among the running ones, the time limit.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daymark_guard::Clock;
use daymark_model::{Receipt, Refusal, TenantId, TimeRange};
use daymark_store::{HotSource, Reader, TableName, View};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;

use crate::{QueryError, QueryOptions, SqlEngine, graph, ledger, logs, metrics, services, sql, storage, traces, ui};

/// Tells the tenant of a request from its headers.
pub type TenantOf = Arc<dyn Fn(&HeaderMap) -> Result<TenantId, Refusal> + Send + Sync>;

/// What the query service is put together from.
#[derive(Clone)]
pub struct QueryParts {
    /// Segments and hot rows.
    pub reader: Arc<Reader>,
    /// The collector's status (ledgers, agents, watermark), when there is a collector.
    pub hot: Option<Arc<dyn HotSource>>,
    /// The SQL engine, unless the binary was built without.
    pub sql: Option<Arc<dyn SqlEngine>>,
    /// Tenant of a request.
    pub tenant_of: TenantOf,
    /// The clock that "the last hour" refers to.
    pub clock: Arc<dyn Clock>,
}

/// State of the handlers. Clones share it.
#[derive(Clone)]
pub(crate) struct App(Arc<AppState>);

pub(crate) struct AppState {
    pub(crate) options: QueryOptions,
    pub(crate) reader: Arc<Reader>,
    pub(crate) hot: Option<Arc<dyn HotSource>>,
    pub(crate) sql: Option<Arc<dyn SqlEngine>>,
    pub(crate) clock: Arc<dyn Clock>,
    tenant_of: TenantOf,
    places: Arc<Semaphore>,
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

/// All routes of the query service below `/api/v1`, and the web app as the fallback of every other path.
/// Routers of other components may be merged into it as long as they set no fallback of their own.
pub fn router(options: QueryOptions, parts: QueryParts) -> Router {
    let app = App(Arc::new(AppState {
        places: Arc::new(Semaphore::new(options.max_concurrent_queries)),
        reader: parts.reader,
        hot: parts.hot,
        sql: parts.sql,
        clock: parts.clock,
        tenant_of: parts.tenant_of,
        options,
    }));
    Router::new()
        .route("/api/v1/services", get(services::list))
        .route("/api/v1/services/graph", get(graph::show))
        .route("/api/v1/traces", get(traces::search))
        .route("/api/v1/traces/{trace_id}", get(traces::by_id))
        .route("/api/v1/logs", get(logs::search))
        .route("/api/v1/logs/facets", get(logs::facets))
        .route("/api/v1/metrics", get(metrics::list))
        .route("/api/v1/metrics/range", get(metrics::range))
        .route("/api/v1/metrics/labels", get(metrics::labels))
        .route("/api/v1/metrics/series", get(metrics::series))
        .route("/api/v1/metrics/cardinality", get(metrics::cardinality))
        .route("/api/v1/ledger", get(ledger::show))
        .route("/api/v1/storage", get(storage::show))
        .route("/api/v1/sql", get(sql::get_sql).post(sql::post_sql))
        .layer(DefaultBodyLimit::max(app.options.max_request_bytes))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .fallback(ui::serve)
        .layer(CompressionLayer::new().gzip(true))
        .with_state(app)
}

/// Every query passes here first: cheapest check first.
async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let tenant = match (app.tenant_of)(request.headers()) {
        Ok(tenant) => tenant,
        Err(refusal) => return QueryError::Refused(refusal).into_response(),
    };
    let Ok(_place) = app.places.try_acquire() else {
        return QueryError::Busy { limit: app.options.max_concurrent_queries }.into_response();
    };
    request.extensions_mut().insert(tenant);
    let timeout_ms = app.options.timeout_ms;
    // Dropping the future on time-out or disconnect stops the query at its next read.
    match tokio::time::timeout(Duration::from_millis(timeout_ms), next.run(request)).await {
        Ok(response) => response,
        Err(_) => QueryError::Timeout { timeout_ms }.into_response(),
    }
}

#[derive(Serialize)]
struct Answer<T> {
    #[serde(flatten)]
    body: T,
    receipt: Receipt,
}

impl AppState {
    /// Writes the answer with its receipt, within the byte limit.
    pub(crate) async fn answer<T>(
        &self,
        started: Instant,
        mut receipt: Receipt,
        body: T,
    ) -> Result<Response, QueryError>
    where
        T: Serialize + Send + 'static,
    {
        receipt.elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
        let limit = self.options.max_answer_bytes;
        let text = on_cpu(move || write_json(&Answer { body, receipt }, limit)).await??;
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    pub(crate) fn check_answer_bytes(&self, bytes: usize) -> Result<(), QueryError> {
        let limit = self.options.max_answer_bytes;
        if bytes > limit { Err(answer_too_large(limit)) } else { Ok(()) }
    }

    /// A view of one table, refused when reading all its rows would be too much.
    pub(crate) async fn view(&self, tenant: &TenantId, table: TableName, range: TimeRange) -> Result<View, QueryError> {
        let view = self.reader.view(tenant, table, range).await?;
        self.check_scanned(table, view.segments.iter().map(|segment| segment.meta().rows).sum())?;
        Ok(view)
    }

    /// Refuses what would read all published rows of a table in `range` when that is too much.
    pub(crate) async fn check_rows(
        &self,
        tenant: &TenantId,
        table: TableName,
        range: TimeRange,
    ) -> Result<(), QueryError> {
        let snapshot = self.reader.table(tenant, table).snapshot().await?;
        let inside = snapshot.segments.iter().filter(|segment| segment.overlaps(range));
        self.check_scanned(table, inside.map(|segment| segment.rows).sum())
    }

    fn check_scanned(&self, table: TableName, rows: u64) -> Result<(), QueryError> {
        let limit = self.options.max_scanned_rows;
        if rows <= limit {
            return Ok(());
        }
        Err(QueryError::Limit {
            what: format!("the query would examine {rows} rows of {table}"),
            option: "max_scanned_rows",
            limit,
            advice: "narrow the time range or the filters",
        })
    }
}

/// Runs work that keeps a core busy off the threads that serve connections.
pub(crate) async fn on_cpu<T, F>(work: F) -> Result<T, QueryError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Ok(tokio::task::spawn_blocking(work).await?)
}

fn answer_too_large(limit: usize) -> QueryError {
    QueryError::Limit {
        what: "the answer is too large".to_owned(),
        option: "max_answer_bytes",
        limit: limit as u64,
        advice: "lower limit, or narrow the time range or the filters",
    }
}

fn write_json(value: &impl Serialize, limit: usize) -> Result<Vec<u8>, QueryError> {
    let mut writer = CappedWriter { bytes: Vec::new(), limit };
    match serde_json::to_writer(&mut writer, value) {
        Ok(()) => Ok(writer.bytes),
        Err(error) if error.is_io() => Err(answer_too_large(limit)),
        Err(error) => Err(QueryError::Damaged(format!("answer cannot be written: {error}"))),
    }
}

/// Grows to `limit` bytes and not beyond.
struct CappedWriter {
    bytes: Vec<u8>,
    limit: usize,
}

impl std::io::Write for CappedWriter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + buffer.len() > self.limit {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
