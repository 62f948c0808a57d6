//! Every refusal in every protocol: status, time to wait, class and reason, and that an agent's client reads them back.

use ::http::uri::PathAndQuery;
use daymark_model::{ErrorClass, Refusal};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use serde_json::json;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::grpc::{Any, RetryInfo, RpcStatus};
use super::*;
use crate::{CollectorClient, CollectorClientOptions};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Class, reason, time to wait, HTTP status, gRPC code.
type Case = (ErrorClass, &'static str, Option<u64>, u16, Code);

/// One of every class, and every reason with an answer of its own.
const CASES: [Case; 17] = [
    (ErrorClass::Overload, "quota_bytes", Some(1_500), 429, Code::ResourceExhausted),
    (ErrorClass::Overload, "quota_items", Some(12_223), 429, Code::ResourceExhausted),
    (ErrorClass::Overload, "queue_full", Some(1_000), 429, Code::ResourceExhausted),
    (ErrorClass::Retry, "concurrency", Some(1_000), 503, Code::Unavailable),
    (ErrorClass::Retry, "memory_soft", Some(1_000), 503, Code::Unavailable),
    (ErrorClass::Retry, "memory_hard", Some(1_000), 503, Code::Unavailable),
    (ErrorClass::Retry, "disk_full", Some(1_000), 503, Code::Unavailable),
    (ErrorClass::Retry, "timeout", Some(1), 503, Code::Unavailable),
    (ErrorClass::Reject, "malformed", None, 400, Code::InvalidArgument),
    (ErrorClass::Reject, "quota_bytes", None, 400, Code::InvalidArgument),
    (ErrorClass::Reject, "too_large", None, 413, Code::InvalidArgument),
    (ErrorClass::Reject, "unknown_key", None, 401, Code::Unauthenticated),
    (ErrorClass::Reject, "expired_key", None, 401, Code::Unauthenticated),
    (ErrorClass::Reject, "wrong_scope", None, 403, Code::PermissionDenied),
    (ErrorClass::Corrupt, "log_failed", None, 500, Code::DataLoss),
    (ErrorClass::Bug, "internal", None, 500, Code::Internal),
    (ErrorClass::Reject, "media_type", None, 415, Code::Unimplemented),
];

fn refusal(case: &Case) -> Refusal {
    let (class, reason, retry_after_ms, ..) = *case;
    Refusal { class, reason, message: format!("why: {reason}, \u{fc}"), retry_after_ms }
}

/// `google.rpc.ErrorInfo`, as the specification has it.
#[derive(Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: std::collections::HashMap<String, String>,
}

fn class_name(class: ErrorClass) -> String {
    serde_json::to_value(class).unwrap().as_str().unwrap().to_owned()
}

fn check_status(bytes: &[u8], case: &Case) {
    let (class, reason, wait, _, code) = *case;
    let status = RpcStatus::decode(bytes).unwrap();
    assert_eq!((status.code, status.message), (code as i32, refusal(case).message), "{reason}");
    let detail = |kind: &str| -> Option<&Any> {
        status.details.iter().find(|any| any.type_url == format!("type.googleapis.com/google.rpc.{kind}"))
    };
    let told = detail("RetryInfo").map(|any| RetryInfo::decode(&*any.value).unwrap().retry_delay.unwrap());
    assert_eq!(told.map(|delay| delay.seconds as u64 * 1_000 + delay.nanos as u64 / 1_000_000), wait, "{reason}");
    let info = ErrorInfo::decode(&*detail("ErrorInfo").unwrap().value).unwrap();
    assert_eq!((info.reason, info.domain.as_str()), (reason.to_ascii_uppercase(), "daymark"));
    assert_eq!(info.metadata, [("class".to_owned(), class_name(class))].into(), "{reason}");
}

/// Seconds of `Retry-After`: never less than the wait.
fn header_wait(response: &reqwest::Response) -> Option<u64> {
    response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap())
}

async fn post(listening: &Listening, content_type: &str) -> reqwest::Response {
    let body = if content_type == JSON { b"{}".to_vec() } else { one_span("a").encode_to_vec() };
    let request = reqwest::Client::new().post(listening.url("/v1/traces")).header("content-type", content_type);
    request.body(body).send().await.unwrap()
}

fn answers(cases: &[Case]) -> impl Iterator<Item = Result<IngestAnswer, Refusal>> + '_ {
    cases.iter().map(|case| Err(refusal(case)))
}

/// Guarantee: over OTLP/HTTP each refusal has its status, `Retry-After` where there is a wait, and a body in the format of
/// the request with message, `RetryInfo`, reason and class.
#[tokio::test]
async fn every_refusal_is_complete_over_http() {
    for content_type in [PROTOBUF, JSON] {
        let listening = Listening::start(Recorder::answering(answers(&CASES)), |_| {}).await;
        for case in &CASES {
            let (class, reason, wait, status, code) = *case;
            let response = post(&listening, content_type).await;
            assert_eq!(response.status().as_u16(), status, "{reason}");
            assert_eq!(response.headers()["content-type"].to_str().unwrap(), content_type);
            assert_eq!(response.headers().contains_key("www-authenticate"), status == 401, "{reason}");
            assert_eq!(header_wait(&response), wait.map(|ms| ms.div_ceil(1_000)), "{reason}");
            let body = response.bytes().await.unwrap();
            if content_type == PROTOBUF {
                check_status(&body, case);
                continue;
            }
            let delay = wait.map(|ms| {
                let delay = format!("{}.{:03}s", ms / 1_000, ms % 1_000);
                json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
            });
            let info = json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason.to_ascii_uppercase(),
                "domain": "daymark",
                "metadata": {"class": class_name(class)},
            });
            let details: Vec<_> = delay.into_iter().chain([info]).collect();
            let expected = json!({"code": code as i32, "message": refusal(case).message, "details": details});
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap(), expected, "{reason}");
        }
    }
}

/// Guarantee: over OTLP/gRPC each refusal has its code, and the same details.
#[tokio::test]
async fn every_refusal_is_complete_over_grpc() {
    let listening = Listening::start(Recorder::answering(answers(&CASES)), |_| {}).await;
    let endpoint = Channel::from_shared(format!("http://{}", listening.grpc)).unwrap();
    let mut client = Grpc::new(endpoint.connect().await.unwrap());
    for case in &CASES {
        client.ready().await.unwrap();
        let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
        let path = PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        let status = client.unary(Request::new(one_span("a")), path, codec).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (case.4, &*refusal(case).message));
        check_status(status.details(), case);
    }
}

/// Scenario: an agent's client in front of a collector's listener, and a listener of its own behind it. Guarantee: clients
/// of the agent are told what the collector said: status, wait, message, reason and class. Only what is about the agent's own
/// key or wire is the agent's to say.
#[tokio::test]
async fn an_agent_passes_on_what_the_collector_said() {
    let passed: Vec<Case> = CASES
        .into_iter()
        .filter(|(_, reason, ..)| !reason.ends_with("_key") && !["wrong_scope", "media_type"].contains(reason))
        .collect();
    let collector = Listening::start(Recorder::answering(answers(&passed)), |_| {}).await;
    let client = CollectorClient::new(CollectorClientOptions::new(collector.url("/"))).unwrap();
    let agent = Listening::before(Arc::new(client), |_| {}).await;
    for case in &passed {
        let response = post(&agent, PROTOBUF).await;
        assert_eq!((response.status().as_u16(), header_wait(&response)), (case.3, case.2.map(|ms| ms.div_ceil(1_000))));
        check_status(&response.bytes().await.unwrap(), case);
    }
    let partial = IngestAnswer { rejected_items: 2, message: Some("span without a valid trace id".into()) };
    let collector = Listening::start(Recorder::answering([Ok(partial)]), |_| {}).await;
    let client = CollectorClient::new(CollectorClientOptions::new(collector.url("/"))).unwrap();
    let agent = Listening::before(Arc::new(client), |_| {}).await;
    let answer = ExportTraceServiceResponse::decode(post(&agent, PROTOBUF).await.bytes().await.unwrap()).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2, "span without a valid trace id"));
}
