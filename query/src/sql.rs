//! `/api/v1/sql`: hands a SQL text to the engine the binary was built with.

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use bytes::Bytes;
use daymark_model::{Receipt, Refusal, TenantId};
use http::{HeaderValue, header};
use serde::Deserialize;

use crate::QueryError;
use crate::params::Params;
use crate::router::App;

/// The SQL engine, which this crate does not know: the binary adapts one, or is built without.
#[async_trait]
pub trait SqlEngine: Send + Sync + 'static {
    /// Runs one read-only statement for `tenant`.
    async fn run(&self, tenant: &TenantId, request: SqlRequest) -> Result<SqlAnswer, Refusal>;
}

/// One SQL request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One read-only statement.
    pub query: String,
    /// How to write the answer.
    #[serde(default)]
    pub format: SqlFormat,
}

/// How a SQL answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlFormat {
    /// `{"columns":[{name,type}],"rows":[[..]],"receipt":{..}}`
    #[default]
    Json,
    /// A header line, then a line a row.
    Csv,
    /// A table for eyes.
    Table,
}

impl SqlFormat {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            SqlFormat::Json => "application/json",
            SqlFormat::Csv => "text/csv; charset=utf-8",
            SqlFormat::Table => "text/plain; charset=utf-8",
        })
    }
}

/// A written answer.
#[derive(Clone, Debug)]
pub struct SqlAnswer {
    /// The text in the format asked for.
    pub text: Bytes,
    /// What was read for it.
    pub receipt: Receipt,
}

pub(crate) async fn get_sql(
    State(app): State<App>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, QueryError> {
    params.check(&["query", "format"], &[])?;
    let query = params.one("query").ok_or_else(|| QueryError::parameter("query", "no SQL given"))?.to_owned();
    let format = match params.one("format") {
        None | Some("json") => SqlFormat::Json,
        Some("csv") => SqlFormat::Csv,
        Some("table") => SqlFormat::Table,
        Some(other) => {
            return Err(QueryError::parameter("format", format!("expected json, csv or table, got {other:?}")));
        }
    };
    run(&app, &tenant, SqlRequest { query, format }).await
}

pub(crate) async fn post_sql(
    State(app): State<App>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
    request: Result<Json<SqlRequest>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, QueryError> {
    params.check(&[], &[])?;
    let Json(request) = request.map_err(|rejection| QueryError::parameter("body", rejection.body_text()))?;
    run(&app, &tenant, request).await
}

async fn run(app: &App, tenant: &TenantId, request: SqlRequest) -> Result<Response, QueryError> {
    let engine = app.sql.as_ref().ok_or(QueryError::MissingFeature("sql"))?;
    let format = request.format;
    let answer = engine.run(tenant, request).await?;
    app.check_answer_bytes(answer.text.len())?;
    let mut response = Response::new(Body::from(answer.text));
    response.headers_mut().insert(header::CONTENT_TYPE, format.content_type());
    let receipt = serde_json::to_string(&answer.receipt).ok().and_then(|text| HeaderValue::from_str(&text).ok());
    if let Some(receipt) = receipt {
        response.headers_mut().insert("daymark-receipt", receipt);
    }
    Ok(response)
}
