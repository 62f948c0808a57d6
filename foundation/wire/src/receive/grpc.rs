//! OTLP/gRPC: three unary methods.
//!
//! The frame of a unary call is five bytes, so it is read and written here rather than by a codec: bodies go through
//! the same capped reading and decompression as over HTTP, where tonic has one limit for both sizes, and the message
//! stays the bytes that were sent.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use daymark_model::{Refusal, Signal};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;

use super::answer;
use super::receiver::{Call, Format, Framing, Receiver, Route};
use crate::IngestAnswer;
use crate::decompress::Encoding;

/// Body of an answer: nothing, or one frame and trailers.
pub(super) type GrpcBody = UnsyncBoxBody<Bytes, Infallible>;

/// Answers one call.
pub(super) async fn handle(receiver: Arc<Receiver>, request: Request<Incoming>) -> Response<GrpcBody> {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if !content_type.starts_with(b"application/grpc") {
        let mut response = Response::new(empty());
        *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let Some(signal) = method(parts.uri.path()) else {
        let message = format!("there is no method {}: this is an OTLP receiver", parts.uri.path());
        return tonic::Status::unimplemented(message).into_http::<Empty<Bytes>>().map(|body| body.boxed_unsync());
    };
    let route = Route::Signal(signal);
    let answer = match encoding(&parts.headers) {
        Ok(encoding) => {
            let call = Call { route, format: Format::Protobuf, framing: Framing::Grpc(encoding) };
            receiver.handle(call, &parts.headers, body).await
        }
        Err(refusal) => {
            receiver.count(route, &refusal);
            Err(refusal)
        }
    };
    let mut response = match answer {
        Ok(accepted) => accept(&accepted),
        Err(refusal) => answer::refuse_grpc(&refusal).into_http::<Empty<Bytes>>().map(|body| body.boxed_unsync()),
    };
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("gzip,zstd,identity"));
    response
}

fn method(path: &str) -> Option<Signal> {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Some(Signal::Traces),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Signal::Logs),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        _ => None,
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let name = headers.get("grpc-encoding").map_or(&b"identity"[..], |value| value.as_bytes());
    Encoding::from_name(name).ok_or_else(|| {
        let name = String::from_utf8_lossy(name);
        Refusal::reject("media_type", format!("grpc-encoding {name:?} is not supported: send gzip, zstd or identity"))
    })
}

fn accept(answer: &IngestAnswer) -> Response<GrpcBody> {
    let message = answer::accepted_protobuf(answer);
    let mut frame = Vec::with_capacity(5 + message.len());
    frame.push(0);
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn empty() -> GrpcBody {
    Empty::new().boxed_unsync()
}
