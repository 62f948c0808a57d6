//! An agent in front of a collector that does what a script says.
#![expect(clippy::unwrap_used, reason = "test support")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daymark_agent::{Agent, AgentHandle, AgentOptions};
use daymark_guard::{BackoffOptions, Clock, Drain, ManualClock};
use daymark_model::{LedgerRow, Refusal, Signal, TenantId, UnixNanos};
use daymark_wire::{Heartbeat, Ingest, IngestAnswer, IngestRequest, Payload, content_hash};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::sync::Notify;
use tokio::time::sleep;

pub const NOON: u64 = 1_700_000_000_000_000_000;

/// What the collector does with one attempt.
#[derive(Clone, Debug)]
pub enum Reaction {
    Store,
    /// Stores, and the answer is lost on the way.
    StoreAndFail,
    RejectItems(u64),
    Fail(Refusal),
    Hang,
}

/// A collector by script; stores when the script has ended.
#[derive(Default)]
pub struct Collector {
    pub script: Mutex<VecDeque<Reaction>>,
    pub attempts: Mutex<Vec<IngestRequest>>,
    pub stored: Mutex<Vec<IngestRequest>>,
    pub beats: Mutex<Vec<Heartbeat>>,
    pub gate: Option<Arc<Notify>>,
    pub deaf: AtomicBool,
}

#[async_trait]
impl Ingest for Collector {
    async fn ingest(&self, request: IngestRequest) -> Result<IngestAnswer, Refusal> {
        self.attempts.lock().unwrap().push(request.clone());
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let reaction = self.script.lock().unwrap().pop_front().unwrap_or(Reaction::Store);
        let store = || {
            let mut stored = self.stored.lock().unwrap();
            if stored.iter().all(|before| before.stamp != request.stamp) {
                stored.push(request.clone());
            }
        };
        match reaction {
            Reaction::Store => store(),
            Reaction::StoreAndFail => {
                store();
                return Err(Refusal::unavailable("connection", "the connection broke", 1));
            }
            Reaction::RejectItems(items) => {
                store();
                return Ok(IngestAnswer { rejected_items: items, message: Some("too old".into()) });
            }
            Reaction::Fail(refusal) => return Err(refusal),
            Reaction::Hang => std::future::pending().await,
        }
        Ok(IngestAnswer::default())
    }

    async fn heartbeat(&self, beat: Heartbeat) -> Result<(), Refusal> {
        self.beats.lock().unwrap().push(beat);
        match self.deaf.load(SeqCst) {
            true => Err(Refusal::unavailable("connection", "nobody there", 1)),
            false => Ok(()),
        }
    }
}

pub struct Fixture {
    pub agent: AgentHandle,
    pub collector: Arc<Collector>,
    pub clock: Arc<ManualClock>,
    pub drain: Drain,
    _dir: tempfile::TempDir,
}

pub fn quick(options: &mut AgentOptions) {
    options.attempt_timeout_ms = 60;
    options.deliver_timeout_ms = 400;
    options.backoff = BackoffOptions { first_ms: 1, cap_ms: 4 };
    options.heartbeat_interval_ms = 10;
}

pub async fn start(collector: Collector, change: impl FnOnce(&mut AgentOptions)) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let mut options = AgentOptions::new(dir.path());
    quick(&mut options);
    change(&mut options);
    let (collector, drain) = (Arc::new(collector), Drain::new());
    let clock = Arc::new(ManualClock::at(UnixNanos(NOON)));
    let upstream: Arc<dyn Ingest> = Arc::clone(&collector) as _;
    let agent = Agent::start(options, upstream, Arc::clone(&clock) as Arc<dyn Clock>, drain.clone()).await.unwrap();
    Fixture { agent, collector, clock, drain, _dir: dir }
}

pub fn scripted(script: impl IntoIterator<Item = Reaction>) -> Collector {
    Collector { script: Mutex::new(script.into_iter().collect()), ..Collector::default() }
}

pub fn spans(valid: usize, invalid: usize) -> IngestRequest {
    let span = |at: usize| Span {
        trace_id: if at < valid { vec![1; 16] } else { vec![] },
        span_id: (at as u64 + 1).to_be_bytes().to_vec(),
        name: "GET /".into(),
        start_time_unix_nano: NOON - 5_000,
        end_time_unix_nano: NOON,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..valid + invalid).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    request(ExportTraceServiceRequest { resource_spans }.encode_to_vec())
}

pub fn request(payload: Vec<u8>) -> IngestRequest {
    IngestRequest {
        tenant: TenantId::default(),
        content_hash: content_hash(Signal::Traces, &payload),
        payload: Payload::Signal(Signal::Traces, payload.into()),
        stamp: None,
        closed_until: None,
        checked: None,
    }
}

pub fn traces_row(agent: &AgentHandle) -> LedgerRow {
    let row = agent.ledger().snapshot().rows.swap_remove(0);
    assert_eq!(row.unexplained(), 0, "{row:?}");
    row
}

pub fn unavailable() -> Refusal {
    Refusal::unavailable("busy", "later", 1)
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}
