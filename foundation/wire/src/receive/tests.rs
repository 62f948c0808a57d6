//! The listeners over real sockets, with real clients.

mod dead_letters;
mod grpc;
mod http;
mod quotas;
mod refusals;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use daymark_guard::Drain;
use daymark_model::{Ledger, Refusal, Signal, TenantId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpListener;

use super::*;
use crate::{Heartbeat, IngestAnswer, IngestRequest, Payload};

/// Remembers what it was given and answers what it was told to, then success.
#[derive(Default)]
struct Recorder {
    requests: Mutex<Vec<IngestRequest>>,
    beats: Mutex<Vec<Heartbeat>>,
    answers: Mutex<VecDeque<Result<IngestAnswer, Refusal>>>,
    delay: Option<Duration>,
    busy: AtomicBool,
}

impl Recorder {
    fn answering(answers: impl IntoIterator<Item = Result<IngestAnswer, Refusal>>) -> Arc<Recorder> {
        Arc::new(Recorder { answers: Mutex::new(answers.into_iter().collect()), ..Recorder::default() })
    }

    fn last(&self) -> IngestRequest {
        self.requests.lock().unwrap().last().expect("no request came through").clone()
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

#[async_trait]
impl Ingest for Recorder {
    async fn ingest(&self, request: IngestRequest) -> Result<IngestAnswer, Refusal> {
        self.requests.lock().unwrap().push(request);
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(IngestAnswer::default()))
    }

    async fn heartbeat(&self, beat: Heartbeat) -> Result<(), Refusal> {
        self.beats.lock().unwrap().push(beat);
        Ok(())
    }

    fn busy(&self) -> Option<Refusal> {
        self.busy.load(Relaxed).then(|| Refusal::unavailable("queue_slow", "what came 1000 ms ago still waits", 700))
    }
}

/// A listener of each kind in front of one recorder.
struct Listening {
    http: SocketAddr,
    grpc: SocketAddr,
    ledger: Ledger,
    drain: Drain,
}

impl Listening {
    async fn start(recorder: Arc<Recorder>, adjust: impl FnOnce(&mut ReceiveOptions)) -> Listening {
        Listening::before(recorder, adjust).await
    }

    async fn before(recorder: Arc<dyn Ingest>, adjust: impl FnOnce(&mut ReceiveOptions)) -> Listening {
        let ledger = Ledger::new("test");
        let mut options = ReceiveOptions::new(ledger.clone());
        adjust(&mut options);
        let drain = Drain::new();
        let (http, grpc) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let listening = Listening {
            http: http.local_addr().unwrap(),
            grpc: grpc.local_addr().unwrap(),
            ledger,
            drain: drain.clone(),
        };
        let router = http_router(recorder.clone(), options.clone());
        tokio::spawn(serve_http(http, router, drain.clone()));
        tokio::spawn(serve_grpc(grpc, recorder, options, drain));
        listening
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Items refused before ingest, as `signal/outcome/reason=count`.
    fn refused(&self) -> Vec<String> {
        let snapshot = self.ledger.snapshot();
        assert!(snapshot.rows.iter().all(|row| row.unexplained() == 0 && row.in_flight == 0));
        let rows = snapshot.rows.iter().flat_map(|row| {
            let rejected = row.rejected.iter().map(|(reason, n)| format!("{}/rejected/{reason}={n}", row.signal));
            let shed = row.shed.iter().map(|(reason, n)| format!("{}/shed/{reason}={n}", row.signal));
            rejected.chain(shed).collect::<Vec<_>>()
        });
        rows.collect()
    }
}

/// A request with one valid span called `name`.
fn one_span(name: &str) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Scenario: a connection is accepted. Guarantees: TCP_NODELAY is set on it.
#[tokio::test]
async fn accepted_connections_have_nodelay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, _client) = tokio::join!(serve::accept(&listener), tokio::net::TcpStream::connect(address));
    assert!(accepted.nodelay().unwrap());
}

/// Scenario: the drain begins while a request waits for its ack. Guarantees: it gets its answer; new ones none.
#[tokio::test]
async fn a_drain_finishes_what_is_in_hand() {
    let recorder = Arc::new(Recorder { delay: Some(Duration::from_millis(300)), ..Recorder::default() });
    let listening = Listening::start(recorder.clone(), |_| {}).await;
    let url = listening.url("/v1/traces");
    let body = one_span("last").encode_to_vec();
    let request = reqwest::Client::new().post(&url).header("content-type", "application/x-protobuf").body(body);
    let in_hand = tokio::spawn(request.send());
    while recorder.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    listening.drain.begin();
    assert_eq!(in_hand.await.unwrap().unwrap().status(), 200);
    assert!(listening.drain.finished(Duration::from_secs(5)).await);
    assert!(reqwest::Client::new().post(&url).send().await.is_err());
}
