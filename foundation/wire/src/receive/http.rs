//! HTTP: routes, content types and content encodings.

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use daymark_model::{Refusal, Signal};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::receiver::{Call, Format, Framing, Receiver, Route};
use super::{answer, body, grpc};
use crate::decompress::Encoding;

pub(super) fn router(receiver: Arc<Receiver>) -> Router {
    let signals = Signal::ALL.map(|signal| (format!("/v1/{signal}"), Route::Signal(signal)));
    let others = [("/v1/events", Route::Events), ("/v1/batch", Route::Batch), ("/v1/heartbeat", Route::Heartbeat)];
    let routes = signals.into_iter().chain(others.map(|(path, route)| (path.to_owned(), route)));
    let routes = routes
        .fold(Router::new(), |router, (path, route)| {
            let handler =
                move |State(receiver): State<Arc<Receiver>>, request: Request| handle(receiver, route, request);
            router.route(&path, post(handler))
        })
        .with_state(receiver);
    routes.method_not_allowed_fallback(wrong_method).fallback(not_found)
}

/// What clients send here; agents know their own paths.
const PATHS: &str = "/v1/traces, /v1/logs, /v1/metrics and /v1/events";

async fn not_found(request: Request) -> Response {
    let path = shown_path(&request);
    if grpc::is_grpc(request.headers()) {
        let message = format!("{path}: this port takes OTLP over HTTP (POST to {PATHS}); OTLP over gRPC has its own");
        return tonic::Status::unimplemented(message).into_http();
    }
    let message = format!("there is nothing at {path}: POST to {PATHS}");
    elsewhere(request, Refusal::reject("not_found", message)).await
}

async fn wrong_method(request: Request) -> Response {
    let message = format!("{} {} is not possible: use POST", request.method(), shown_path(&request));
    let mut response = elsewhere(request, Refusal::reject("method", message)).await;
    response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static("POST"));
    response
}

/// The path as asked for, up to a length that fits a message.
fn shown_path(request: &Request) -> String {
    request.uri().path().chars().take(200).collect()
}

/// Refuses a request that no route takes, in the format that it came in.
async fn elsewhere(request: Request, refusal: Refusal) -> Response {
    let (parts, body) = request.into_parts();
    let sent = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let format = if sent.starts_with(b"application/x-protobuf") { Format::Protobuf } else { Format::Json };
    body::discard(pin!(body)).await;
    answer::refuse_http(&refusal, format)
}

async fn handle(receiver: Arc<Receiver>, route: Route, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let call = match call(route, &parts.headers) {
        Ok(call) => call,
        Err(refusal) => {
            receiver.count(route, &refusal);
            body::discard(pin!(body)).await;
            return answer::refuse_http(&refusal, Format::Json);
        }
    };
    match receiver.handle(call, &parts.headers, body).await {
        Ok(accepted) => answer::accept_http(route, &accepted, call.format),
        Err(refusal) => answer::refuse_http(&refusal, call.format),
    }
}

fn call(route: Route, headers: &HeaderMap) -> Result<Call, Refusal> {
    let format = format(route, headers)?;
    let name = headers.get(CONTENT_ENCODING).map_or(&b"identity"[..], |value| value.as_bytes());
    let Some(encoding) = Encoding::from_name(name) else {
        let name = String::from_utf8_lossy(name);
        return Err(media_type(format!("content-encoding {name:?} is not supported: send gzip, zstd or identity")));
    };
    Ok(Call { route, format, framing: Framing::Http(encoding), deadline: None })
}

fn format(route: Route, headers: &HeaderMap) -> Result<Format, Refusal> {
    let sent = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let essence = sent.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let (accepted, expected): (&[(&str, Format)], _) = match route {
        Route::Signal(_) => (
            &[("application/x-protobuf", Format::Protobuf), ("application/json", Format::Json)],
            "application/x-protobuf or application/json",
        ),
        Route::Events => (
            &[("application/json", Format::Json), ("application/x-ndjson", Format::Json)],
            "application/json or application/x-ndjson",
        ),
        Route::Batch => (&[("application/x-protobuf", Format::Protobuf)], "application/x-protobuf"),
        Route::Heartbeat => (&[("application/json", Format::Json)], "application/json"),
    };
    let found = accepted.iter().find(|(name, _)| name.as_bytes() == essence);
    found.map(|(_, format)| *format).ok_or_else(|| {
        let sent = String::from_utf8_lossy(sent);
        media_type(format!("content-type {sent:?} is not supported here: send {expected}"))
    })
}

fn media_type(message: String) -> Refusal {
    Refusal::reject("media_type", message)
}
