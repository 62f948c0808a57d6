//! Keeps routes that know no tenants behind keys.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use daymark_model::TenantId;
use daymark_wire::{Scope, TenantKeys};

/// Lets only requests of the default tenant's keys through, whose SLOs, incidents and dashboards these are: reading
/// needs scope `query`, changing needs scope `admin`.
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
    let scope = match *request.method() {
        Method::GET | Method::HEAD => Scope::Query,
        _ => Scope::Admin,
    };
    match keys.tenant(request.headers(), scope) {
        Ok(tenant) if tenant == TenantId::default() => next.run(request).await,
        Ok(tenant) => refuse(
            StatusCode::FORBIDDEN,
            &format!("what lies here belongs to tenant default; this key is of tenant {tenant}"),
        ),
        Err(refusal) if refusal.reason == "wrong_scope" => refuse(StatusCode::FORBIDDEN, &refusal.message),
        Err(refusal) => refuse(StatusCode::UNAUTHORIZED, &refusal.message),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use daymark_guard::Drain;
    use daymark_wire::KeyFile;

    use super::*;

    /// Guarantee: a key does in the API what its scopes say, and what lies behind an internal key is open to no tenant.
    #[tokio::test]
    async fn a_scope_decides_what_a_key_does() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = |tenant: &str, key: &str, scope: &str| {
            format!("  - tenant: {tenant}\n    key: {key}\n    scopes: [{scope}]\n")
        };
        let text = [
            "version: 1\nkeys:\n".to_owned(),
            key("default", "reads-only", "query"),
            key("default", "sends-only", "ingest"),
            key("default", "administers", "admin"),
            key("acme", "other-tenant", "query, admin"),
        ];
        std::fs::write(file.path(), text.concat()).unwrap();
        let keys = TenantKeys::of(KeyFile::read(file.path()).unwrap().keys).unwrap();
        let route = |path: &str| Router::new().route(path, get(async || "ok").post(async || "ok"));
        let router = for_default_tenant(route("/incidents"), keys);
        let router = router.merge(with_key(route("/internal"), "key-of-roles".into()).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(daymark_wire::serve_http(listener, router, Drain::new()));
        let http = reqwest::Client::new();
        for (method, path, key, status, part) in [
            (Method::GET, "/incidents", "reads-only", 200, "ok"),
            (Method::POST, "/incidents", "reads-only", 403, "needs scope `admin`"),
            (Method::POST, "/incidents", "administers", 200, "ok"),
            (Method::GET, "/incidents", "administers", 403, "needs scope `query`"),
            (Method::GET, "/incidents", "sends-only", 403, "this key of tenant default has ingest"),
            (Method::GET, "/incidents", "other-tenant", 403, "belongs to tenant default"),
            (Method::GET, "/incidents", "nobodys-key", 401, "not known"),
            (Method::GET, "/internal", "reads-only", 401, "not known"),
            (Method::POST, "/internal", "administers", 401, "not known"),
            (Method::POST, "/internal", "key-of-roles", 200, "ok"),
        ] {
            let answer = http.request(method.clone(), format!("{base}{path}")).bearer_auth(key).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{method} {path} {key}");
            let text = answer.text().await.unwrap();
            assert!(text.contains(part) && (status == 200 || !text.contains(key)), "{method} {path} {key}: {text}");
        }
    }
}
