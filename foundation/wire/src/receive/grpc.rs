//! OTLP/gRPC: three unary methods.
//!
//! The frame of a unary call is five bytes, so it is read and written here rather than by a codec: bodies go through
//! the same capped reading and decompression as over HTTP, where tonic has one limit for both sizes, and the message
//! stays the bytes that were sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

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
    if !is_grpc(&parts.headers) {
        let mut response = Response::new(empty());
        *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let Some(signal) = method(parts.uri.path()) else {
        let message = format!("there is no method {}: this is an OTLP receiver", parts.uri.path());
        return tonic::Status::unimplemented(message).into_http::<Empty<Bytes>>().map(|body| body.boxed_unsync());
    };
    let route = Route::Signal(signal);
    let answer = match encoding(&parts.headers).and_then(|encoding| Ok((encoding, deadline(&parts.headers)?))) {
        Ok((encoding, deadline)) => {
            let call = Call { route, format: Format::Protobuf, framing: Framing::Grpc(encoding), deadline };
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

/// Whether a request is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    content_type.starts_with(b"application/grpc")
}

/// How long the client waits, from `grpc-timeout`: up to eight digits and a unit.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| is_number)?;
        Some(match unit {
            "H" => Duration::from_secs(number * 3_600),
            "M" => Duration::from_secs(number * 60),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    let refused =
        || Refusal::reject("malformed", "the header grpc-timeout is not up to 8 digits and H, M, S, m, u or n");
    parsed.map(Some).ok_or_else(refused)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_timeout_is_read_or_explained() {
        let check = |text: &str, expected: Option<Duration>| {
            let name = http::HeaderName::from_static("grpc-timeout");
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(deadline(&headers).ok().flatten(), expected, "{text}");
        };
        check("100m", Some(Duration::from_millis(100)));
        check("2S", Some(Duration::from_secs(2)));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3_600)));
        check("5u", Some(Duration::from_micros(5)));
        check("7n", Some(Duration::from_nanos(7)));
        check("1M", Some(Duration::from_secs(60)));
        for wrong in ["", "m", "100", "-1m", "+1m", "1x", "123456789m", "1.5S"] {
            check(wrong, None);
        }
        assert_eq!(deadline(&HeaderMap::new()).unwrap(), None);
    }
}
