//! Which requests become dead letters.

use daymark_guard::SystemClock;

use super::*;
use crate::{DeadLetter, DeadLetterFile, DeadLetterOptions, DeadLetters};

async fn post(url: String, headers: &[(&str, &str)], body: Vec<u8>) -> u16 {
    let request = reqwest::Client::new().post(url).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap().status().as_u16()
}

/// Guarantee: what cannot be unpacked, or what ingest cannot decode, is kept as it was sent, over HTTP and gRPC; requests
/// that are taken, turned away or refused for another reason are not.
#[tokio::test]
async fn only_what_cannot_be_decoded_becomes_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let letters = DeadLetters::start(DeadLetterOptions::new(dir.path().to_owned()), Arc::new(SystemClock)).unwrap();
    let given = letters.clone();
    let recorder = Recorder::answering([
        Ok(IngestAnswer::default()),
        Err(Refusal::unavailable("queue_full", "later", 1)),
        Err(Refusal::reject("too_large", "smaller")),
        Err(Refusal::reject("malformed", "spans[0]: no")),
        Err(Refusal::reject("malformed", "spans[1]: no")),
    ]);
    let listening = Listening::start(recorder, |options| options.dead_letters = Some(given)).await;
    let url = |path: &str| listening.url(path);
    let protobuf = [("content-type", "application/x-protobuf")];
    for expected in [200, 503, 413, 400] {
        assert_eq!(post(url("/v1/traces"), &protobuf, b"\x0a\x01".to_vec()).await, expected);
    }
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    assert_eq!(post(url("/v1/logs"), &gzip, b"garbage".to_vec()).await, 400);
    assert_eq!(post(url("/v1/events"), &[("content-type", "application/x-ndjson")], b"{".to_vec()).await, 400);
    let replayed = [("content-type", "application/json"), ("daymark-replay", "1")];
    assert_eq!(post(url("/v1/logs"), &replayed, b"again".to_vec()).await, 400);
    assert_eq!(post(url("/v1/logs"), &[("content-type", "text/plain")], b"{".to_vec()).await, 415);
    assert_eq!(post(url("/v1/heartbeat"), &[("content-type", "application/json")], b"{".to_vec()).await, 400);
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let export = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let call = client.post(format!("http://{}{export}", listening.grpc)).header("content-type", "application/grpc");
    let answer = call.body(b"\0\0\0\0\x02\x0a\x02".to_vec()).send().await.unwrap();
    assert_eq!(answer.headers()["grpc-status"].to_str().unwrap(), "3");
    while letters.counts().kept < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let files = DeadLetterFile::all(dir.path()).unwrap();
    let found: Vec<_> = files
        .iter()
        .map(|file| {
            let DeadLetter { path, content_type, content_encoding, content, .. } =
                DeadLetter::read(&file.path).unwrap();
            (path, content_type, content_encoding, content.to_vec())
        })
        .collect();
    let letter = |path: &str, kind: &str, encoding: &str, content: &[u8]| {
        (path.to_owned(), kind.to_owned(), encoding.to_owned(), content.to_vec())
    };
    let expected = [
        letter("/v1/traces", "application/x-protobuf", "identity", b"\x0a\x01"),
        letter("/v1/logs", "application/json", "gzip", b"garbage"),
        letter("/v1/events", "application/x-ndjson", "identity", b"{"),
        letter("/v1/metrics", "application/x-protobuf", "identity", b"\x0a\x02"),
    ];
    assert_eq!(found, expected);
    assert_eq!(letters.counts().dropped, 0);
}
