//! Quotas at the listeners: what is counted, what is told, what is given back.

use std::io::Write;

use daymark_guard::{Clock, Counted, ManualClock, QuotaLimit, QuotaLimits, Quotas};
use daymark_model::UnixNanos;

use super::*;

const PROTOBUF: &str = "application/x-protobuf";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A listener at which the default tenant may send 1,000 bytes in 10 s.
async fn limited(recorder: &Arc<Recorder>) -> (Listening, Arc<Quotas>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(1_000)));
    let default = QuotaLimit { bytes_per_second: Some(100), items_per_second: None };
    let quotas = Quotas::new(QuotaLimits { default, ..QuotaLimits::default() }, clock.clone());
    let given = Arc::clone(&quotas);
    (Listening::start(recorder.clone(), |options| options.quotas = given).await, quotas, clock)
}

async fn post(listening: &Listening, encoding: &str, body: Vec<u8>) -> reqwest::Response {
    let request = reqwest::Client::new().post(listening.url("/v1/traces")).header("content-type", PROTOBUF);
    request.header("content-encoding", encoding).body(body).send().await.unwrap()
}

fn used(quotas: &Arc<Quotas>) -> u64 {
    quotas.usage().first().map_or(0, |(_, counted, used, _)| {
        assert_eq!(*counted, Counted::Bytes);
        *used
    })
}

/// Scenario: a client goes over its quota, waits as told, and comes back. Guarantee: 429 with the time and the numbers, and
/// success afterwards; size counts after decompression.
#[tokio::test]
async fn a_client_that_waits_as_told_gets_through() {
    let recorder = Arc::new(Recorder::default());
    let (listening, quotas, clock) = limited(&recorder).await;
    let body = one_span(&"x".repeat(700)).encode_to_vec();
    let size = body.len() as u64;
    assert_eq!(post(&listening, "gzip", gzip(&body)).await.status(), 200);
    assert_eq!(used(&quotas), size, "after decompression");
    let answer = post(&listening, "gzip", gzip(&body)).await;
    assert_eq!(answer.status(), 429);
    let wait_s: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
    let excess = format!(
        "tenant default may send 100 bytes per second, 1000 bytes in 10 s: this request is {} bytes too much",
        2 * size - 1_000
    );
    assert!(text.contains(&excess), "{text}");
    assert_eq!((recorder.count(), used(&quotas)), (1, size), "what is refused is not charged");
    assert_eq!(listening.refused(), ["traces/shed/quota_bytes=1"]);
    clock.set(clock.now().plus(wait_s * 1_000_000_000));
    assert_eq!(post(&listening, "identity", body).await.status(), 200);
}

/// Guarantee: what can never fit is refused for good, before its body is read; what ingest turns away is given back;
/// what is malformed counts.
#[tokio::test]
async fn only_what_was_taken_or_wrong_is_charged() {
    let unavailable = Refusal::unavailable("queue_full", "later", 1_000);
    let malformed = Refusal::reject("malformed", "not that");
    let recorder = Recorder::answering([Err(unavailable), Err(malformed)]);
    let (listening, quotas, _clock) = limited(&recorder).await;
    let answer = post(&listening, "identity", vec![0; 1_001]).await;
    assert_eq!(answer.status(), 400);
    let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
    assert!(text.contains("1001 bytes can never fit; send smaller batches"), "{text}");
    let body = one_span("a").encode_to_vec();
    assert_eq!(post(&listening, "identity", body.clone()).await.status(), 503);
    assert_eq!(used(&quotas), 0, "given back");
    assert_eq!(post(&listening, "identity", body.clone()).await.status(), 400);
    assert_eq!(used(&quotas), body.len() as u64, "the work was done");
    assert_eq!(post(&listening, "gzip", b"garbage".to_vec()).await.status(), 400);
    assert_eq!(used(&quotas), body.len() as u64 + 7);
    assert_eq!(listening.refused(), ["traces/rejected/malformed=1", "traces/rejected/quota_bytes=1"]);
}

/// Scenario: a bomb of a tenant that has little quota left. Guarantee: refused before it is unpacked when even its packed
/// size does not fit, and charged for nothing.
#[tokio::test]
async fn what_does_not_fit_packed_is_not_unpacked() {
    let recorder = Arc::new(Recorder::default());
    let (listening, quotas, _clock) = limited(&recorder).await;
    assert_eq!(post(&listening, "identity", one_span(&"x".repeat(900)).encode_to_vec()).await.status(), 200);
    let before = used(&quotas);
    // Not gzip at all: unpacking it would say so.
    assert_eq!(post(&listening, "gzip", vec![7; 200]).await.status(), 429);
    assert_eq!(used(&quotas), before);
}

/// Scenario: every slot is taken by one tenant's slow requests, hundreds more of it come, and one of another tenant each
/// now and then. Guarantee: all of the quiet tenant's requests get through.
#[tokio::test]
async fn a_noisy_tenant_leaves_room_for_a_quiet_one() {
    let recorder = Arc::new(Recorder { delay: Some(Duration::from_millis(5)), ..Recorder::default() });
    let tenant = |name| TenantId::parse(name).unwrap();
    let keys = TenantKeys::new([("key-of-noisy".into(), tenant("noisy")), ("key-of-quiet".into(), tenant("quiet"))]);
    let listening = Listening::start(recorder.clone(), |options| {
        options.keys = keys.unwrap();
        (options.max_concurrent_requests, options.max_waiting_requests) = (4, 8);
    });
    let listening = listening.await;
    let (url, http) = (listening.url("/v1/traces"), reqwest::Client::new());
    let body = one_span("a").encode_to_vec();
    let send = move |key: &'static str| {
        let request = http.post(&url).header("content-type", PROTOBUF).bearer_auth(key).body(body.clone());
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let noise: Vec<_> = (0..50)
        .map(|_| {
            let send = send.clone();
            tokio::spawn(async move {
                let mut refused = 0;
                for _ in 0..10 {
                    refused += u32::from(send("key-of-noisy").await == 503);
                }
                refused
            })
        })
        .collect();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(send("key-of-quiet").await, 200);
    }
    let mut refused = 0;
    for task in noise {
        refused += task.await.unwrap();
    }
    assert!(refused > 0, "the noisy tenant was turned away");
    let of_quiet = recorder.requests.lock().unwrap().iter().filter(|request| request.tenant == tenant("quiet")).count();
    assert_eq!(of_quiet, 5);
    assert_eq!(listening.refused(), [format!("traces/shed/concurrency={refused}")]);
}

/// Scenario: unpublished rows of one tenant take most of the memory. Guarantee: its requests are turned away, those of
/// others and all heartbeats are not; when memory is full, all requests are.
#[tokio::test]
async fn short_memory_turns_the_biggest_tenant_away_first() {
    use daymark_guard::{MemoryGate, MemoryOptions};
    let tenant = |name| TenantId::parse(name).unwrap();
    let keys = TenantKeys::new([("key-of-large".into(), tenant("large")), ("key-of-small".into(), tenant("small"))]);
    let gate = MemoryGate::new(MemoryOptions::new(100_000));
    let given = Arc::clone(&gate);
    let recorder = Arc::new(Recorder::default());
    let listening = Listening::start(recorder.clone(), |options| {
        options.keys = keys.unwrap();
        options.memory = given;
    });
    let listening = listening.await;
    let send = async |key: &str| post_as(&listening, key, "/v1/traces", PROTOBUF, one_span("a").encode_to_vec()).await;
    let beat = async |key: &str| {
        let beat = Heartbeat {
            agent: daymark_model::AgentId([7; 16]),
            epoch: 1,
            tenant: tenant("large"),
            closed_until: UnixNanos(5),
            ledger: Ledger::new("agent").snapshot(),
        };
        post_as(&listening, key, "/v1/heartbeat", "application/json", serde_json::to_vec(&beat).unwrap()).await
    };
    let rows = |large: u64, small: u64| gate.report(&[(tenant("large"), large), (tenant("small"), small)].into(), 0);
    rows(70_000, 1_000);
    assert_eq!((send("key-of-large").await, send("key-of-small").await), (200, 200));
    rows(80_000, 1_000);
    assert_eq!((send("key-of-large").await, send("key-of-small").await, beat("key-of-large").await), (503, 200, 200));
    rows(99_000, 1_000);
    assert_eq!((send("key-of-large").await, send("key-of-small").await, beat("key-of-large").await), (503, 503, 200));
    rows(10_000, 1_000);
    assert_eq!((send("key-of-large").await, send("key-of-small").await), (200, 200));
    assert_eq!(listening.refused(), ["traces/shed/memory_hard=2", "traces/shed/memory_soft=1"]);
    assert_eq!(gate.status().used_bytes, 11_000, "requests in hand give back what they held");
}

async fn post_as(listening: &Listening, key: &str, path: &str, content_type: &str, body: Vec<u8>) -> u16 {
    let request = reqwest::Client::new().post(listening.url(path)).header("content-type", content_type);
    request.bearer_auth(key).body(body).send().await.unwrap().status().as_u16()
}
