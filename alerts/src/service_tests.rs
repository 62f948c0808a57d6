//! The role end to end, with a store that is empty and a collector that says what the test wants: from a burning series to
//! a delivered page, across a restart.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use daymark_guard::{BackoffOptions, Drain, ManualClock};
use daymark_model::{AgentId, TenantId, UnixNanos};
use daymark_store::{AgentStatus, CollectorStatus, HotError, HotRequest, HotRows, HotSource, Reader, Store};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::definition::{Definitions, Receiver, Route, Severity};
use crate::evaluation::Evaluation;
use crate::incident::IncidentEvent;
use crate::journal::Record;
use crate::service::{AlertsOptions, Shared, open, start_outbox};
use crate::sli::{Counts, Slot};

const SLO: &str = "apiVersion: daymark/v1\nkind: SLO\nid: checkout\nservice: checkout\nowner: team\ndescription: Buy.\n\
                   target: \"99.9\"\nwindow: 30d\nsli: { availability: {} }\nrunbook: https://example.com/r\n\
                   dashboard: https://example.com/d\n";
const START: Slot = Slot(178_000_000);
const HOUR: u64 = 360;

/// A collector without rows, whose status the test sets.
#[derive(Default)]
struct Collector(Mutex<Option<CollectorStatus>>);

#[async_trait]
impl HotSource for Collector {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        Ok(HotRows { through: request.after, batches: Vec::new(), behind: false })
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        self.0.lock().unwrap().clone().ok_or_else(|| HotError::Unreachable("refused".into()))
    }
}

/// A receiver that answers `failures` times 503 before it takes anything.
#[derive(Clone, Default)]
struct Pager {
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    failures: Arc<AtomicUsize>,
    refusal: Arc<AtomicU16>,
}

impl Pager {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/page", listener.local_addr().unwrap());
        let pager = self.clone();
        let receive = move |headers: HeaderMap, Json(body): Json<Value>| async move {
            if pager.refusal.load(SeqCst) > 0 {
                return StatusCode::from_u16(pager.refusal.load(SeqCst)).unwrap();
            }
            if pager.failures.load(SeqCst) > 0 {
                pager.failures.fetch_sub(1, SeqCst);
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            let key = headers["idempotency-key"].to_str().unwrap().to_owned();
            pager.seen.lock().unwrap().push((key, body));
            StatusCode::OK
        };
        let router = Router::new().route("/page", post(receive));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn wait_for(&self, count: usize) -> Vec<(String, Value)> {
        for _ in 0..500 {
            if self.seen.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.seen.lock().unwrap().clone()
    }
}

struct Role {
    shared: Arc<Shared>,
    evaluation: Evaluation,
    collector: Arc<Collector>,
    clock: Arc<ManualClock>,
    drain: Drain,
    _store: tempfile::TempDir,
}

impl Role {
    fn start(data_dir: &std::path::Path, pager_url: &str) -> Role {
        let store_dir = tempfile::tempdir().unwrap();
        let definitions_dir = tempfile::tempdir().unwrap();
        std::fs::write(definitions_dir.path().join("checkout.yaml"), SLO).unwrap();
        let mut definitions = Definitions::load(definitions_dir.path()).unwrap();
        definitions.receivers = vec![Receiver { name: "pager".into(), url: pager_url.into() }];
        definitions.routes = vec![Route { severity: Severity::Page, receiver: "pager".into() }];
        let mut options = AlertsOptions::new(data_dir, definitions);
        options.notify_backoff = BackoffOptions { first_ms: 1, cap_ms: 5 };
        options.notify_max_attempts = 10;
        let clock = Arc::new(ManualClock::at(Slot(START.0 + 3 * HOUR).start()));
        let shared = Arc::new(open(options, clock.clone()).unwrap());
        let drain = Drain::new();
        start_outbox(&shared, &drain).unwrap();
        let reader = Arc::new(Reader::new(Arc::new(Store::open_local(store_dir.path()).unwrap()), None));
        let collector = Arc::new(Collector::default());
        let evaluation = Evaluation::new(shared.clone(), reader, collector.clone());
        Role { shared, evaluation, collector, clock, drain, _store: store_dir }
    }

    /// Two healthy hours, five minutes of `bad` in a hundred, then health.
    fn fill(&self, bad: u64) {
        let slots = |n: u64, bad: u64| vec![Counts { good: 100 - bad, total: 100 }; n as usize];
        let history = [slots(2 * HOUR, 0), slots(30, bad), slots(2 * HOUR, 0)].concat();
        let slo = &self.shared.options.definitions.slos[0];
        self.shared.cache(&slo.id).unwrap().series.replace_from(START, &history);
    }

    async fn step(&self, slots: u64) {
        let slo = &self.shared.options.definitions.slos[0];
        self.evaluation.step(slo, Slot(START.0 + slots), None).await.unwrap();
    }

    fn unknown(&self) -> Option<String> {
        let state = self.shared.recorder.state();
        let latest = state.latest.values().next()?;
        latest.missing.as_ref().map(|unknown| unknown.sentence())
    }

    async fn get(&self, path: &str) -> Value {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = crate::api::router(self.shared.clone()).oneshot(request).await.unwrap();
        let bytes = axum::body::to_bytes(answer.into_body(), 10_000_000).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

#[tokio::test]
async fn a_page_is_delivered_once_and_its_end_too() {
    let dir = tempfile::tempdir().unwrap();
    let pager = Pager::default();
    pager.failures.store(3, SeqCst);
    let role = Role::start(dir.path(), &pager.start().await);
    role.fill(50);
    for slot in 2 * HOUR..2 * HOUR + 100 {
        role.step(slot).await;
    }
    let seen = pager.wait_for(2).await;
    let statuses: Vec<&str> = seen.iter().map(|(_, body)| body["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["firing", "resolved"]);
    let page = &seen[0].1;
    assert_eq!((page["version"].as_str(), page["receiver"].as_str()), (Some("4"), Some("pager")));
    assert_eq!(page["commonLabels"]["severity"], "page");
    assert_eq!(page["commonAnnotations"]["runbook_url"], "https://example.com/r");
    assert_eq!(page["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(page["alerts"][0]["fingerprint"], seen[1].1["alerts"][0]["fingerprint"]);
    assert_ne!(seen[0].0, seen[1].0);

    let incidents = role.get("/api/v1/incidents?state=resolved").await;
    let incident = &incidents["incidents"][0];
    assert_eq!(incident["slo"], "checkout");
    assert_eq!(incident["notifications"][0]["attempts"], 4);
    assert_eq!(incident["notifications"][0]["status"], "delivered");
    let slo = role.get("/api/v1/slos/checkout").await;
    assert_eq!((slo["state"].as_str(), slo["tiers"].as_array().map(Vec::len)), (Some("met"), Some(4)));
    assert_eq!(role.get("/api/v1/slos").await["slos"][0]["burn"]["page-fast"]["firing"], false);
    assert_eq!(role.get("/api/v1/slos/none").await["error"]["class"], "reject");
}

#[tokio::test]
async fn a_restart_continues_where_the_journal_ends() {
    let dir = tempfile::tempdir().unwrap();
    let pager = Pager::default();
    pager.failures.store(usize::MAX, SeqCst);
    let url = pager.start().await;
    {
        let role = Role::start(dir.path(), &url);
        role.fill(50);
        for slot in 2 * HOUR..2 * HOUR + 20 {
            role.step(slot).await;
        }
        role.drain.begin();
        assert!(role.drain.finished(Duration::from_secs(5)).await);
    }
    pager.failures.store(0, SeqCst);
    let role = Role::start(dir.path(), &url);
    let seen = pager.wait_for(1).await;
    assert_eq!(seen.len(), 1, "the page that was never delivered leaves after the restart");
    role.fill(50);
    for slot in 2 * HOUR + 20..2 * HOUR + 100 {
        role.step(slot).await;
    }
    let seen = pager.wait_for(2).await;
    let statuses: Vec<&str> = seen.iter().map(|(_, body)| body["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["firing", "resolved"]);
    assert_eq!(role.shared.recorder.state().incidents.iter().count(), 1);
}

#[tokio::test]
async fn a_notification_that_is_refused_for_good_is_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let pager = Pager::default();
    pager.refusal.store(404, SeqCst);
    let role = Role::start(dir.path(), &pager.start().await);
    role.fill(50);
    for slot in 2 * HOUR..2 * HOUR + 20 {
        role.step(slot).await;
    }
    for _ in 0..500 {
        let incidents = role.get("/api/v1/incidents").await;
        if incidents["incidents"][0]["notifications"][0]["status"] == "dead_letter" {
            assert_eq!(incidents["incidents"][0]["notifications"][0]["http_status"], 404);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no dead letter: {}", role.get("/api/v1/incidents").await);
}

#[tokio::test]
async fn what_cannot_be_known_has_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let role = Role::start(dir.path(), "http://127.0.0.1:9/");
    role.fill(0);
    role.step(2 * HOUR + 20).await;
    assert_eq!(role.unknown(), None);

    role.evaluation.tick().await;
    assert_eq!(role.unknown().as_deref(), Some("collector unreachable: collector: refused"));

    let now = Slot(START.0 + 3 * HOUR).start();
    role.clock.set(now);
    let agent = AgentStatus {
        tenant: TenantId::default(),
        agent: AgentId([7; 16]),
        epoch: 1,
        closed_until: now,
        last_seen: now.minus(40_000_000_000),
        silent: true,
        services: vec!["checkout".into()],
    };
    let status =
        |watermark: UnixNanos| CollectorStatus { watermark, agents: vec![agent.clone()], ..CollectorStatus::default() };
    let mut foreign = status(now.minus(6_000_000_000));
    foreign.agents[0].tenant = TenantId::parse("acme").unwrap();
    *role.collector.0.lock().unwrap() = Some(foreign);
    role.evaluation.tick().await;
    assert_ne!(role.unknown().as_deref(), Some("agent down: 07070707070707070707070707070707 is silent"));

    *role.collector.0.lock().unwrap() = Some(status(now.minus(6_000_000_000)));
    role.evaluation.tick().await;
    assert_eq!(role.unknown().as_deref(), Some("agent down: 07070707070707070707070707070707 is silent"));

    // Another tenant's agent lags for hours: not ours.
    let mut lagging = status(now.minus(7_200_000_000_000));
    lagging.agents.clear();
    lagging.arrived = Some(now.minus(6_000_000_000));
    lagging.watermarks.insert(TenantId::parse("acme").unwrap(), lagging.watermark);
    *role.collector.0.lock().unwrap() = Some(lagging);
    role.evaluation.tick().await;
    assert!(!role.unknown().unwrap_or_default().contains("watermark stalled"), "{:?}", role.unknown());

    let mut stalled = status(now.minus(300_000_000_000));
    stalled.agents.clear();
    *role.collector.0.lock().unwrap() = Some(stalled);
    role.evaluation.tick().await;
    assert_eq!(role.unknown().as_deref(), Some("watermark stalled: 300 s behind"));
    let slo = role.get("/api/v1/slos/checkout").await;
    assert_eq!(slo["state"], "unknown");
    assert_eq!(slo["receipt"]["complete"], false);
    assert_eq!(role.shared.recorder.state().incidents.iter().count(), 0);
}

#[tokio::test]
async fn an_incident_of_a_removed_slo_ends_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let slo = crate::definition::SloId::parse("removed").unwrap();
    let id = crate::incident::IncidentId::new(&slo, START);
    let opened = IncidentEvent::Opened { slo, service: "gone".into(), at: START };
    let (mut journal, _) = crate::journal::Journal::open(&dir.path().join("alerts"), 1_000_000).unwrap();
    journal.append(&[Record::Incident { incident: id.clone(), event: opened }]).unwrap();
    let role = Role::start(dir.path(), "http://127.0.0.1:9/");
    assert!(role.shared.recorder.state().incidents.get(&id).unwrap().is_resolved());
}
