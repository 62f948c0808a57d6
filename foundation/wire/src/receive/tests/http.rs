use std::io::Write;

use daymark_model::{AgentId, ErrorClass, Stamp, UnixNanos};

use super::*;
use crate::{CollectorClient, CollectorClientOptions, content_hash};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Status and body of a POST.
async fn post(url: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> (u16, reqwest::Response) {
    let mut request = reqwest::Client::new().post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Scenario: the same request in every format and encoding. Guarantees: the same protobuf arrives, and the
/// fingerprint is of the decompressed bytes.
#[tokio::test]
async fn every_format_and_encoding_is_accepted() {
    let recorder = Arc::new(Recorder::default());
    let listening = Listening::start(recorder.clone(), |_| {}).await;
    let request = one_span("checkout");
    let (protobuf, json) = (request.encode_to_vec(), serde_json::to_vec(&request).unwrap());
    for (content_type, plain) in [(PROTOBUF, &protobuf), (JSON, &json), ("application/json; charset=utf-8", &json)] {
        let encodings =
            [("identity", plain.clone()), ("gzip", gzip(plain)), ("zstd", zstd::encode_all(&plain[..], 3).unwrap())];
        for (encoding, body) in encodings {
            let headers = [("content-type", content_type), ("content-encoding", encoding)];
            let (status, response) = post(&listening.url("/v1/traces"), &headers, body).await;
            assert_eq!(status, 200, "{content_type} {encoding}");
            let answered = response.headers()["content-type"].to_str().unwrap().to_owned();
            assert!(content_type.starts_with(&answered), "{answered}");
            let expected = if answered == JSON { "{}" } else { "" };
            assert_eq!(response.text().await.unwrap(), expected);
            let came = recorder.last();
            let Payload::Signal(Signal::Traces, bytes) = &came.payload else { panic!("{came:?}") };
            assert_eq!(ExportTraceServiceRequest::decode(&**bytes).unwrap(), request);
            assert_eq!((came.content_hash, came.stamp), (content_hash(Signal::Traces, plain), None));
        }
    }
}

/// Scenario: requests that cannot be accepted. Guarantees: a status, a clear message, and a row in the ledger each;
/// nothing reaches ingest; the listener goes on.
#[tokio::test]
async fn bad_requests_get_a_clear_error_each() {
    let recorder = Arc::new(Recorder::default());
    let listening = Listening::start(recorder.clone(), |options| {
        options.max_request_bytes = 100_000;
        options.max_decompressed_bytes = 200_000;
    });
    let listening = listening.await;
    let bomb = gzip(&vec![0; 10_000_000]);
    type Case = (&'static str, &'static [(&'static str, &'static str)], Vec<u8>, u16, &'static str);
    let cases: &[Case] = &[
        (
            "/v1/traces",
            &[("content-type", "text/plain")],
            vec![],
            415,
            "send application/x-protobuf or application/json",
        ),
        ("/v1/traces", &[], vec![], 415, "is not supported here"),
        ("/v1/logs", &[("content-type", JSON)], b"{\"resource_logs\":[]}".into(), 400, "expected \\\"resourceLogs\\\""),
        ("/v1/logs", &[("content-type", JSON)], b"garbage".into(), 400, "not an OTLP/JSON logs request"),
        (
            "/v1/traces",
            &[("content-type", JSON), ("content-encoding", "br")],
            vec![],
            415,
            "send gzip, zstd or identity",
        ),
        (
            "/v1/traces",
            &[("content-type", JSON), ("content-encoding", "gzip")],
            b"garbage".into(),
            400,
            "cannot decompress",
        ),
        ("/v1/traces", &[("content-type", JSON), ("content-encoding", "gzip")], bomb, 413, "larger than 200000 bytes"),
        ("/v1/metrics", &[("content-type", JSON)], vec![b' '; 100_001], 413, "larger than 100000 bytes"),
        ("/v1/events", &[("content-type", JSON)], b"{\"service\":\"x\"}".into(), 400, "event 1: the key"),
        ("/v1/heartbeat", &[("content-type", JSON)], b"{}".into(), 400, "not a heartbeat"),
        (
            "/v1/traces/",
            &[],
            vec![],
            404,
            "nothing at /v1/traces/: POST to /v1/traces, /v1/logs, /v1/metrics and /v1/events",
        ),
        ("/", &[("content-type", PROTOBUF)], vec![], 404, "nothing at /: POST to /v1/traces"),
    ];
    for (path, headers, body, expected, message) in cases {
        let (status, response) = post(&listening.url(path), headers, body.clone()).await;
        let text = response.text().await.unwrap();
        assert_eq!(status, *expected, "{path} {headers:?}: {text}");
        assert!(text.contains(message), "{path} {headers:?}: {text}");
    }
    assert_eq!(recorder.count(), 0);
    let expected = [
        "traces/rejected/malformed=1",
        "traces/rejected/media_type=3",
        "traces/rejected/too_large=1",
        "logs/rejected/malformed=3",
        "metrics/rejected/too_large=1",
    ];
    assert_eq!(listening.refused(), expected);
    let (status, _) = post(&listening.url("/v1/traces"), &[("content-type", PROTOBUF)], vec![]).await;
    assert_eq!(status, 200);
}

/// Scenario: an exporter that speaks gRPC is pointed at the HTTP port, and a browser at a route. Guarantees: the first
/// is told in its own protocol, the second which method to use.
#[tokio::test]
async fn another_protocol_or_method_is_told_what_is_here() {
    let listening = Listening::start(Arc::new(Recorder::default()), |_| {}).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let url = listening.url("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    let answer = client.post(url).header("content-type", "application/grpc").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["grpc-status"].to_str().unwrap()), (200, "12"));
    let message = answer.headers()["grpc-message"].to_str().unwrap();
    assert!(message.contains("OTLP%20over%20HTTP"), "{message}");
    let answer = reqwest::get(listening.url("/v1/traces")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "POST"));
    assert!(answer.text().await.unwrap().contains("GET /v1/traces is not possible: use POST"));
}

/// Scenario: a client that writes all of a far too large request before it reads. Guarantees: it gets the reason, not
/// a reset connection.
#[tokio::test]
async fn oversize_gets_an_answer_not_a_reset() {
    let listening = Listening::start(Arc::new(Recorder::default()), |_| {}).await;
    for encoding in ["identity", "gzip"] {
        let headers = [("content-type", PROTOBUF), ("content-encoding", encoding)];
        let (status, response) = post(&listening.url("/v1/logs"), &headers, vec![0; 40 << 20]).await;
        assert_eq!(status, 413);
        assert!(String::from_utf8_lossy(&response.bytes().await.unwrap()).contains("larger than 16777216 bytes"));
    }
}

#[tokio::test]
async fn partial_success_and_refusals_reach_the_client() {
    let partial = IngestAnswer { rejected_items: 3, message: Some("span without a valid trace id".into()) };
    let overload = Refusal {
        class: ErrorClass::Overload,
        reason: "quota",
        message: "too fast".into(),
        retry_after_ms: Some(1_500),
    };
    let recorder = Recorder::answering([
        Ok(partial.clone()),
        Ok(partial),
        Err(overload.clone()),
        Err(overload),
        Err(Refusal::unavailable("queue_full", "the queue is full", 2_000)),
    ]);
    let listening = Listening::start(recorder, |_| {}).await;
    let url = listening.url("/v1/metrics");
    let json = [("content-type", JSON)];
    let protobuf = [("content-type", PROTOBUF)];

    let text = post(&url, &json, "{}").await.1.text().await.unwrap();
    assert_eq!(text, r#"{"partialSuccess":{"errorMessage":"span without a valid trace id","rejectedDataPoints":"3"}}"#);
    let bytes = post(&url, &protobuf, "").await.1.bytes().await.unwrap();
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
    let partial = ExportMetricsServiceResponse::decode(bytes).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_data_points, partial.error_message.as_str()), (3, "span without a valid trace id"));

    let (status, response) = post(&url, &json, "{}").await;
    assert_eq!((status, response.headers()["retry-after"].to_str().unwrap()), (429, "2"));
    let expected = r#"{"code":8,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"daymark","metadata":{"class":"overload"},"reason":"QUOTA"}],"message":"too fast"}"#;
    assert_eq!(response.text().await.unwrap(), expected);
    let (status, response) = post(&url, &protobuf, "").await;
    assert_eq!((status, response.headers()["content-type"].to_str().unwrap()), (429, PROTOBUF));
    let (status, response) = post(&url, &protobuf, "").await;
    assert_eq!((status, response.headers()["retry-after"].to_str().unwrap()), (503, "2"));
}

#[tokio::test]
async fn a_key_decides_the_tenant() {
    let recorder = Arc::new(Recorder::default());
    let tenant = |name| TenantId::parse(name).unwrap();
    let keys = [("key-of-acme".into(), tenant("acme")), ("key-of-umbrella".into(), tenant("umbrella"))];
    let listening = Listening::start(recorder.clone(), |options| options.keys = TenantKeys::new(keys).unwrap()).await;
    let url = listening.url("/v1/traces");
    for (header, value, name) in
        [("authorization", "Bearer key-of-acme", "acme"), ("x-daymark-key", "key-of-umbrella", "umbrella")]
    {
        assert_eq!(post(&url, &[("content-type", PROTOBUF), (header, value)], "").await.0, 200);
        assert_eq!(recorder.last().tenant, tenant(name));
    }
    for headers in
        [&[("content-type", PROTOBUF)][..], &[("content-type", PROTOBUF), ("x-daymark-key", "key-of-nobody")]]
    {
        let (status, response) = post(&url, headers, "").await;
        assert_eq!((status, response.headers().contains_key("www-authenticate")), (401, true));
    }
    assert_eq!(listening.refused(), ["traces/rejected/unknown_key=2"]);
}

/// Scenario: more requests at once than allowed, and one that ingest does not answer. Guarantees: 503 with the time
/// to wait, at once for the former, in time for the latter.
#[tokio::test]
async fn too_many_and_too_slow_are_turned_away() {
    let recorder = Arc::new(Recorder { delay: Some(Duration::from_secs(60)), ..Recorder::default() });
    let listening = Listening::start(recorder.clone(), |options| {
        options.max_concurrent_requests = 1;
        options.max_waiting_requests = 0;
        options.request_timeout_ms = 500;
    });
    let listening = listening.await;
    let url = listening.url("/v1/logs");
    let slow = tokio::spawn({
        let url = url.clone();
        async move { post(&url, &[("content-type", PROTOBUF)], "").await }
    });
    while recorder.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (status, response) = post(&url, &[("content-type", PROTOBUF)], "").await;
    assert_eq!((status, response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let (status, response) = slow.await.unwrap();
    assert_eq!((status, response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    // What ingest has seen is its to count.
    assert_eq!(listening.refused(), ["logs/shed/concurrency=1"]);
}

/// Scenario: what takes the requests says that it is busy. Guarantees: they are refused unread, with the time to come back,
/// also when they waited for a slot meanwhile; heartbeats are taken.
#[tokio::test]
async fn a_busy_ingest_is_not_given_requests() {
    let recorder = Arc::new(Recorder { delay: Some(Duration::from_millis(300)), ..Recorder::default() });
    let listening = Listening::start(recorder.clone(), |options| {
        options.max_concurrent_requests = 1;
        options.max_waiting_requests = 1;
    });
    let listening = listening.await;
    let url = listening.url("/v1/traces");
    let send = |content: &'static [u8]| {
        let url = url.clone();
        tokio::spawn(async move { post(&url, &[("content-type", PROTOBUF)], content).await })
    };
    let first = send(b"");
    while recorder.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let waiting = send(b"not OTLP");
    tokio::time::sleep(Duration::from_millis(50)).await;
    recorder.busy.store(true, Relaxed);
    let (status, response) = send(b"not OTLP either").await.unwrap();
    assert_eq!((status, response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!((first.await.unwrap().0, waiting.await.unwrap().0, recorder.count()), (200, 503, 1));
    assert_eq!(listening.refused(), ["traces/shed/queue_slow=2"]);
    let beat = Heartbeat {
        agent: AgentId([7; 16]),
        epoch: 3,
        tenant: TenantId::default(),
        closed_until: UnixNanos(5),
        ledger: Ledger::new("agent").snapshot(),
    };
    let beat = serde_json::to_vec(&beat).unwrap();
    assert_eq!(post(&listening.url("/v1/heartbeat"), &[("content-type", "application/json")], beat).await.0, 200);
}

/// Scenario: a request is larger than the memory left. Guarantees: turned away, and the memory is free afterwards.
#[tokio::test]
async fn memory_of_all_requests_is_capped() {
    let recorder = Arc::new(Recorder::default());
    let listening = Listening::start(recorder, |options| options.max_inflight_bytes = 50_000).await;
    let url = listening.url("/v1/traces");
    for _ in 0..3 {
        assert_eq!(post(&url, &[("content-type", PROTOBUF)], vec![0x7a; 60_000]).await.0, 503);
        let packed = gzip(&vec![0x7a; 100_000]);
        assert_eq!(post(&url, &[("content-type", PROTOBUF), ("content-encoding", "gzip")], packed).await.0, 503);
        assert_eq!(post(&url, &[("content-type", PROTOBUF)], vec![0x7a; 40_000]).await.0, 200);
    }
}

#[tokio::test]
async fn events_arrive_as_logs_and_untimed_ones_are_never_alike() {
    let recorder = Arc::new(Recorder::default());
    let listening = Listening::start(recorder.clone(), |_| {}).await;
    let hash = async |body: &'static str| {
        let (status, response) =
            post(&listening.url("/v1/events"), &[("content-type", "application/x-ndjson")], body).await;
        assert_eq!((status, response.text().await.unwrap().as_str()), (200, "{}"));
        let came = recorder.last();
        assert!(matches!(came.payload, Payload::Signal(Signal::Logs, _)));
        came.content_hash
    };
    let timed = "{\"name\":\"a\",\"time\":1700000000123}\n";
    assert_eq!(hash(timed).await, hash(timed).await);
    assert_ne!(hash("{\"name\":\"a\"}").await, hash("{\"name\":\"a\"}").await);
}

/// Scenario: an agent's client and a collector's listener. Guarantees: batch, stamp, hash and heartbeat arrive as
/// they were sent; answers and refusals come back with their class.
#[tokio::test]
async fn client_and_listener_understand_each_other() {
    let partial = IngestAnswer { rejected_items: 2, message: Some("why".into()) };
    let recorder = Recorder::answering([Ok(partial.clone()), Err(Refusal::reject("malformed", "no such thing"))]);
    let acme = TenantId::parse("acme").unwrap();
    let keys = TenantKeys::new([("key-of-acme".into(), acme.clone())]).unwrap();
    let listening = Listening::start(recorder.clone(), |options| options.keys = keys).await;
    let mut options = CollectorClientOptions::new(listening.url("/"));
    options.tenant_keys.insert(acme.clone(), "key-of-acme".into());
    let client = CollectorClient::new(options.clone()).unwrap();

    let stamp = Stamp { agent: AgentId([7; 16]), epoch: 3, sequence: 41 };
    let request = IngestRequest {
        tenant: acme.clone(),
        payload: Payload::Batch(crate::encode_batch(&crate::BatchView {
            traces: Some(b""),
            metrics: Some(b""),
            ..Default::default()
        })),
        stamp: Some(stamp),
        closed_until: Some(UnixNanos(1_700_000_000_000_000_000)),
        content_hash: u128::MAX - 5,
        checked: None,
    };
    assert_eq!(client.ingest(request.clone()).await.unwrap(), partial);
    let came = recorder.last();
    assert_eq!((&came.tenant, came.stamp, came.closed_until), (&acme, Some(stamp), request.closed_until));
    assert_eq!((came.content_hash, came.payload.bytes()), (request.content_hash, request.payload.bytes()));

    let refusal = client.ingest(request.clone()).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason, &*refusal.message), (ErrorClass::Reject, "malformed", "no such thing"));

    let beat = Heartbeat {
        agent: AgentId([7; 16]),
        epoch: 3,
        tenant: acme.clone(),
        closed_until: UnixNanos(5),
        ledger: Ledger::new("agent").snapshot(),
    };
    client.heartbeat(beat.clone()).await.unwrap();
    assert_eq!(*recorder.beats.lock().unwrap(), [beat]);

    let other = IngestRequest { tenant: TenantId::parse("umbrella").unwrap(), ..request.clone() };
    assert_eq!(client.ingest(other).await.unwrap_err().reason, "no_tenant_key");
    options.tenant_keys.insert(acme, "key-of-nobody".into());
    let refusal = CollectorClient::new(options.clone()).unwrap().ingest(request.clone()).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Retry, "collector_key"));
    options.url = "http://127.0.0.1:9".into();
    let refusal = CollectorClient::new(options).unwrap().ingest(request).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Retry, "collector_unreachable"));
    assert!(CollectorClient::new(CollectorClientOptions::new("collector:14318")).is_err());
}

#[tokio::test]
async fn half_a_stamp_is_refused() {
    let recorder = Arc::new(Recorder::default());
    let listening = Listening::start(recorder, |_| {}).await;
    let headers = [("content-type", PROTOBUF), ("daymark-epoch", "1")];
    let (status, response) = post(&listening.url("/v1/batch"), &headers, "").await;
    assert_eq!(status, 400);
    assert!(String::from_utf8_lossy(&response.bytes().await.unwrap()).contains("a stamp needs"));
    let headers = [("content-type", PROTOBUF), ("daymark-closed-until", "soon")];
    assert_eq!(post(&listening.url("/v1/batch"), &headers, "").await.0, 400);
}

/// Scenario: 50 small requests one after the other on one connection. Guarantees: none waits for a delayed ACK
/// (40 ms), as answers in several pieces without TCP_NODELAY can.
#[tokio::test]
async fn small_requests_on_one_connection_are_fast() {
    let listening = Listening::start(Arc::new(Recorder::default()), |_| {}).await;
    let client = reqwest::Client::builder().pool_max_idle_per_host(1).build().unwrap();
    let mut times = Vec::new();
    for _ in 0..50 {
        let body = one_span("tick").encode_to_vec();
        let started = Instant::now();
        let request = client.post(listening.url("/v1/traces")).header("content-type", PROTOBUF).body(body);
        assert_eq!(request.send().await.unwrap().status(), 200);
        times.push(started.elapsed());
    }
    assert!(median(times.clone()) < Duration::from_millis(20), "{times:?}");
}
