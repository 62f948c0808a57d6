//! Keeps routes that know no tenants behind keys.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use daymark_model::TenantId;
use daymark_wire::TenantKeys;

/// Lets only requests of the default tenant's keys through, whose SLOs, incidents and dashboards these are.
pub(crate) fn for_default_tenant(router: Router, keys: TenantKeys) -> Router {
    router.layer(middleware::from_fn_with_state(keys, check))
}

/// Lets only requests with `key` through: other roles of this Daymark, which may read every tenant.
///
/// # Errors
/// When the key cannot be used.
pub(crate) fn with_key(router: Router, key: String) -> anyhow::Result<Router> {
    Ok(for_default_tenant(router, TenantKeys::new([(key, TenantId::default())])?))
}

async fn check(State(keys): State<TenantKeys>, request: Request, next: Next) -> Response {
    let refuse = |status: StatusCode, message: &str| {
        (status, axum::Json(serde_json::json!({ "error": { "class": "reject", "message": message } }))).into_response()
    };
    match keys.tenant(request.headers()) {
        Ok(tenant) if tenant == TenantId::default() => next.run(request).await,
        Ok(tenant) => refuse(
            StatusCode::FORBIDDEN,
            &format!("what lies here belongs to tenant default; this key is of tenant {tenant}"),
        ),
        Err(refusal) => refuse(StatusCode::UNAUTHORIZED, &refusal.message),
    }
}
