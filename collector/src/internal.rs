//! The collector's rows and state for other processes: `POST /internal/v1/hot`, `GET /internal/v1/status` and `/storage`.
//!
//! A hot answer is an Arrow IPC stream with the headers `daymark-through` and `daymark-behind`; 409 with `{"needed": offset}` says that the
//! caller's snapshot is too old. The caller is `daymark_store::HttpHotSource`.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use daymark_store::{BEHIND_HEADER, HotError, HotRequest, HotSource, StaleBody, THROUGH_HEADER};

use crate::CollectorHandle;

pub(crate) fn router(handle: CollectorHandle) -> Router {
    Router::new()
        .route("/internal/v1/hot", post(hot))
        .route("/internal/v1/status", get(status))
        .route("/internal/v1/storage", get(storage))
        .with_state(handle)
}

async fn hot(State(handle): State<CollectorHandle>, Json(request): Json<HotRequest>) -> Response {
    let schema = request.table.schema();
    let columns = request.columns.clone();
    let rows = match handle.hot(request).await {
        Ok(rows) => rows,
        Err(HotError::Stale { needed }) => return (StatusCode::CONFLICT, Json(StaleBody { needed })).into_response(),
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    let (through, behind) = (rows.through.to_string(), rows.behind.to_string());
    let encoded = tokio::task::spawn_blocking(move || encode(&schema, columns.as_deref(), &rows.batches)).await;
    match encoded {
        Ok(Ok(body)) => {
            let headers = [
                (HeaderName::from_static(THROUGH_HEADER), through),
                (HeaderName::from_static(BEHIND_HEADER), behind),
                (header::CONTENT_TYPE, "application/vnd.apache.arrow.stream".to_owned()),
            ];
            (headers, body).into_response()
        }
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "hot rows were not encoded").into_response(),
    }
}

async fn status(State(handle): State<CollectorHandle>) -> Response {
    match handle.status().await {
        Ok(status) => Json(status).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn storage(State(handle): State<CollectorHandle>) -> Response {
    match handle.storage().await {
        Ok(usage) => Json(usage).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// An IPC stream; without rows it still states the schema.
fn encode(table: &SchemaRef, columns: Option<&[String]>, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let schema = match (batches.first(), columns) {
        (Some(batch), _) => batch.schema(),
        (None, None) => SchemaRef::clone(table),
        (None, Some(columns)) => {
            let mut at = columns.iter().map(|name| table.index_of(name)).collect::<Result<Vec<_>, _>>()?;
            at.sort_unstable();
            at.dedup();
            table.project(&at)?.into()
        }
    };
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.into_inner()
}
