//! One request as its handler gets it.

use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::response::Response;
use daymark_model::{Receipt, Refusal, TenantId};
use http::request::Parts;
use serde::Serialize;

use crate::QueryError;
use crate::params::Params;
use crate::router::App;

/// Who asks, what, and since when.
pub(crate) struct Asked {
    pub(crate) app: App,
    pub(crate) tenant: TenantId,
    pub(crate) params: Params,
    started: Instant,
}

impl FromRequestParts<App> for Asked {
    type Rejection = QueryError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Asked, QueryError> {
        let started = Instant::now();
        // The guard of all routes put it there.
        let tenant = parts.extensions.get::<TenantId>().cloned();
        let tenant = tenant.ok_or_else(|| Refusal::reject("unknown_key", "the request has no tenant"))?;
        let params = Params::from_request_parts(parts, app).await?;
        Ok(Asked { app: app.clone(), tenant, params, started })
    }
}

impl Asked {
    /// Writes the answer with its receipt, within the byte limit.
    pub(crate) async fn answer<T>(&self, receipt: Receipt, body: T) -> Result<Response, QueryError>
    where
        T: Serialize + Send + 'static,
    {
        self.app.answer(self.started, receipt, body).await
    }
}
