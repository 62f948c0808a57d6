//! Passes requests on to another role, so that the UI finds everything at one address when roles run apart.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

/// Largest request body passed on.
const MAX_BODY_BYTES: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Upstream {
    base: String,
    client: reqwest::Client,
}

/// Routes `paths` to the service at `base`.
///
/// # Errors
/// When the HTTP client cannot be built.
pub(crate) fn router(base: &str, paths: &[&str]) -> anyhow::Result<Router> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let upstream = Upstream { base: base.trim_end_matches('/').to_owned(), client };
    Ok(paths.iter().fold(Router::new(), |router, path| router.route(path, any(pass))).with_state(upstream))
}

async fn pass(State(upstream): State<Upstream>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut passed = upstream.client.request(parts.method, format!("{}{path}", upstream.base)).body(body);
    for name in [header::CONTENT_TYPE, header::AUTHORIZATION, HeaderName::from_static("x-daymark-key")] {
        if let Some(value) = parts.headers.get(&name) {
            passed = passed.header(name, value);
        }
    }
    let answer = match passed.send().await {
        Ok(answer) => answer,
        Err(_) => return unreachable(&upstream.base),
    };
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap_or_else(|_| unreachable(&upstream.base))
}

fn unreachable(base: &str) -> Response {
    let message = format!("the evaluator at {base} does not answer: is `daymark alerts` running?");
    let body = serde_json::json!({ "error": { "class": "retry", "message": message } });
    (StatusCode::BAD_GATEWAY, axum::Json(body)).into_response()
}
