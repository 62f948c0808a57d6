use ::http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::*;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn connect(listening: &Listening) -> Grpc<Channel> {
    let endpoint = Channel::from_shared(format!("http://{}", listening.grpc)).unwrap();
    Grpc::new(endpoint.tcp_nodelay(true).connect().await.unwrap())
}

async fn export(
    client: &mut Grpc<Channel>,
    path: &'static str,
    request: Request<ExportTraceServiceRequest>,
) -> Result<ExportTraceServiceResponse, Status> {
    client.ready().await.unwrap();
    let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
    let answer = client.unary(request, PathAndQuery::from_static(path), codec).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn every_encoding_is_accepted() {
    let recorder = Arc::new(Recorder::default());
    let listening = Listening::start(recorder.clone(), |_| {}).await;
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = connect(&listening).await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let sent = one_span(&"checkout".repeat(10_000));
        let answer = export(&mut client, EXPORT, Request::new(sent.clone())).await.unwrap();
        assert_eq!(answer.partial_success, None);
        let came = recorder.last();
        let Payload::Signal(Signal::Traces, bytes) = &came.payload else { panic!("{came:?}") };
        assert_eq!(ExportTraceServiceRequest::decode(&**bytes).unwrap(), sent);
        assert_eq!(came.content_hash, crate::content_hash(Signal::Traces, bytes));
    }
}

#[tokio::test]
async fn partial_success_and_refusals_reach_the_client() {
    let partial = IngestAnswer { rejected_items: 3, message: Some("why".into()) };
    let refusals = [
        (Refusal::unavailable("queue_full", "the queue is full", 1_500), Code::Unavailable),
        (Refusal::reject("malformed", "not that message: \u{fc}"), Code::InvalidArgument),
    ];
    let answers = [Ok(partial)].into_iter().chain(refusals.iter().map(|(refusal, _)| Err(refusal.clone())));
    let listening = Listening::start(Recorder::answering(answers), |_| {}).await;
    let mut client = connect(&listening).await;
    let answer = export(&mut client, EXPORT, Request::new(one_span("a"))).await.unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (3, "why"));
    for (refusal, code) in refusals {
        let status = export(&mut client, EXPORT, Request::new(one_span("a"))).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, refusal.message.as_str()));
        let details = RpcStatus::decode(status.details()).unwrap();
        assert_eq!((details.code, &details.message), (code as i32, &refusal.message));
        let retry_info = |any: &&Any| any.type_url == "type.googleapis.com/google.rpc.RetryInfo";
        let wait = details.details.iter().find(retry_info).map(|any| {
            let delay = RetryInfo::decode(&*any.value).unwrap().retry_delay.unwrap();
            delay.seconds as u64 * 1_000 + delay.nanos as u64 / 1_000_000
        });
        assert_eq!(wait, refusal.retry_after_ms);
    }
}

/// Scenario: calls that cannot be accepted. Guarantees: a code and a message each, a row in the ledger, and the
/// connection goes on.
#[tokio::test]
async fn bad_calls_get_a_clear_error_each() {
    let recorder = Arc::new(Recorder::default());
    let keys = TenantKeys::new([("key-of-acme".into(), TenantId::parse("acme").unwrap())]).unwrap();
    let listening = Listening::start(recorder.clone(), |options| {
        options.max_request_bytes = 100_000;
        options.max_decompressed_bytes = 200_000;
        options.keys = keys;
    });
    let listening = listening.await;
    let mut client = connect(&listening).await;
    let keyed = |span: ExportTraceServiceRequest| {
        let mut request = Request::new(span);
        request.metadata_mut().insert("authorization", "Bearer key-of-acme".parse().unwrap());
        request
    };
    let status = export(&mut client, EXPORT, Request::new(one_span("a"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let status = export(&mut client, "/opentelemetry.proto.Other/Export", keyed(one_span("a"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let status = export(&mut client, EXPORT, keyed(one_span(&"x".repeat(100_001)))).await.unwrap_err();
    assert_eq!((status.code(), status.message().contains("larger than 100000 bytes")), (Code::InvalidArgument, true));
    let mut packing = connect(&listening).await.send_compressed(CompressionEncoding::Gzip);
    let status = export(&mut packing, EXPORT, keyed(one_span(&"x".repeat(10_000_000)))).await.unwrap_err();
    assert_eq!((status.code(), status.message().contains("larger than 200000 bytes")), (Code::InvalidArgument, true));
    assert_eq!(recorder.count(), 0);
    assert_eq!(listening.refused(), ["traces/rejected/too_large=2", "traces/rejected/unknown_key=1"]);
    export(&mut client, EXPORT, keyed(one_span("a"))).await.unwrap();
    assert_eq!(recorder.last().tenant.as_str(), "acme");
}

/// Scenario: the client waits 200 ms, ingest takes a minute. Guarantees: DEADLINE_EXCEEDED long before our own limit, and
/// what ingest has seen is not counted here. (A client library would answer by itself, so this one has none.)
#[tokio::test]
async fn a_clients_deadline_ends_the_wait() {
    let recorder = Arc::new(Recorder { delay: Some(Duration::from_secs(60)), ..Recorder::default() });
    let listening = Listening::start(recorder.clone(), |options| options.request_timeout_ms = 50_000).await;
    let message = one_span("late").encode_to_vec();
    let frame = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let call = client.post(format!("http://{}{EXPORT}", listening.grpc)).header("content-type", "application/grpc");
    let answer = call.header("grpc-timeout", "200m").timeout(Duration::from_secs(30)).body(frame).send().await.unwrap();
    assert_eq!(answer.headers()["grpc-status"].to_str().unwrap(), "4");
    assert_eq!(recorder.count(), 1);
    assert_eq!(listening.refused(), [""; 0]);
}

/// Scenario: 50 small calls one after the other on one connection. Guarantees: none waits for a delayed ACK (40 ms),
/// as answers in several pieces without TCP_NODELAY can.
#[tokio::test]
async fn small_calls_on_one_connection_are_fast() {
    let listening = Listening::start(Arc::new(Recorder::default()), |_| {}).await;
    let mut client = connect(&listening).await;
    let mut times = Vec::new();
    for _ in 0..50 {
        let started = Instant::now();
        export(&mut client, EXPORT, Request::new(one_span("tick"))).await.unwrap();
        times.push(started.elapsed());
    }
    assert!(median(times.clone()) < Duration::from_millis(20), "{times:?}");
}

/// `google.rpc.Status` and what it may hold, as the specification has them.
#[derive(Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

#[derive(Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[derive(Message)]
pub(super) struct RetryInfo {
    #[prost(message, tag = "1")]
    pub(super) retry_delay: Option<Delay>,
}

#[derive(Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}
