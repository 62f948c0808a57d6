//! Answers: success, partial success, and refusals as `google.rpc.Status`, over HTTP and gRPC.

use bytes::Bytes;
use daymark_model::{ErrorClass, Refusal, Signal};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use tonic::{Code, Status};

use super::receiver::{Format, Route};
use crate::{IngestAnswer, proto, status};

/// Longest message that is sent in a gRPC header, bytes.
const GRPC_MESSAGE_MAX: usize = 2_000;

/// The HTTP status of a refusal.
pub(super) fn http_status(refusal: &Refusal) -> StatusCode {
    match (refusal.reason, refusal.class) {
        ("unknown_key" | "expired_key", _) => StatusCode::UNAUTHORIZED,
        ("wrong_scope", _) => StatusCode::FORBIDDEN,
        ("too_large", _) => StatusCode::PAYLOAD_TOO_LARGE,
        ("media_type", _) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ("not_found", _) => StatusCode::NOT_FOUND,
        ("method", _) => StatusCode::METHOD_NOT_ALLOWED,
        (_, ErrorClass::Retry) => StatusCode::SERVICE_UNAVAILABLE,
        (_, ErrorClass::Overload) => StatusCode::TOO_MANY_REQUESTS,
        (_, ErrorClass::Reject) => StatusCode::BAD_REQUEST,
        (_, ErrorClass::Corrupt | ErrorClass::Bug) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn grpc_code(refusal: &Refusal) -> Code {
    match (refusal.reason, refusal.class) {
        ("unknown_key" | "expired_key", _) => Code::Unauthenticated,
        ("wrong_scope", _) => Code::PermissionDenied,
        ("media_type" | "method", _) => Code::Unimplemented,
        ("not_found", _) => Code::NotFound,
        ("deadline", _) => Code::DeadlineExceeded,
        (_, ErrorClass::Retry) => Code::Unavailable,
        (_, ErrorClass::Overload) => Code::ResourceExhausted,
        (_, ErrorClass::Reject) => Code::InvalidArgument,
        (_, ErrorClass::Corrupt) => Code::DataLoss,
        (_, ErrorClass::Bug) => Code::Internal,
    }
}

/// A refusal as an HTTP answer.
pub(super) fn refuse_http(refusal: &Refusal, format: Format) -> axum::response::Response {
    let body = match format {
        Format::Protobuf => status::to_protobuf(refusal, grpc_code(refusal) as u64),
        Format::Json => status::to_json(refusal, grpc_code(refusal) as i32).into_bytes(),
    };
    let mut response = respond(http_status(refusal), format, body.into());
    if let Some(ms) = refusal.retry_after_ms {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
    }
    if matches!(refusal.reason, "unknown_key" | "expired_key") {
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A refusal as a gRPC status.
pub(super) fn refuse_grpc(refusal: &Refusal) -> Status {
    let message: String = refusal.message.chars().take(GRPC_MESSAGE_MAX).collect();
    let code = grpc_code(refusal);
    let details = status::to_protobuf(&Refusal { message: message.clone(), ..refusal.clone() }, code as u64);
    Status::with_details(code, message, details.into())
}

/// A success as an HTTP answer.
pub(super) fn accept_http(route: Route, answer: &IngestAnswer, format: Format) -> axum::response::Response {
    let body = match format {
        Format::Protobuf => accepted_protobuf(answer),
        Format::Json => accepted_json(route, answer).into_bytes(),
    };
    respond(StatusCode::OK, format, body.into())
}

fn respond(status: StatusCode, format: Format, body: Bytes) -> axum::response::Response {
    let content_type = match format {
        Format::Protobuf => "application/x-protobuf",
        Format::Json => "application/json",
    };
    let mut response = axum::response::Response::new(axum::body::Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An `Export*ServiceResponse`: the three signals have the same numbers.
pub(super) fn accepted_protobuf(answer: &IngestAnswer) -> Vec<u8> {
    let mut out = Vec::new();
    if answer.rejected_items == 0 && answer.message.is_none() {
        return out;
    }
    let start = proto::open(&mut out, 1);
    proto::put_number(&mut out, 1, answer.rejected_items);
    proto::put_bytes(&mut out, 2, answer.message.as_deref().unwrap_or_default().as_bytes());
    proto::close(&mut out, start);
    out
}

fn accepted_json(route: Route, answer: &IngestAnswer) -> String {
    if answer.rejected_items == 0 && answer.message.is_none() {
        return "{}".to_owned();
    }
    let rejected = match route {
        Route::Signal(Signal::Traces) => "rejectedSpans",
        Route::Signal(Signal::Metrics) => "rejectedDataPoints",
        _ => "rejectedLogRecords",
    };
    let message = answer.message.as_deref().unwrap_or_default();
    json!({"partialSuccess": {rejected: answer.rejected_items.to_string(), "errorMessage": message}}).to_string()
}
