//! The agent between a client and a collector that fails: what each is told, and what the ledger says.

mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use daymark_agent::AgentOptions;
use daymark_model::{ErrorClass, Refusal, TenantId, UnixNanos};
use daymark_wire::{BatchView, Ingest, IngestRequest, Payload, walk_derived};
use proptest::prelude::*;
use scripted::{
    Collector, Fixture, NOON, Reaction, eventually, request, scripted, spans, start, traces_row, unavailable,
};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_batch_carries_spans_and_what_was_derived_from_them() {
    let it = start(Collector::default(), |_| ()).await;
    let sent = spans(3, 0);
    it.agent.ingest(sent.clone()).await.unwrap();
    let stored = it.collector.stored.lock().unwrap();
    let [batch] = &stored[..] else { panic!("one batch") };
    let stamp = batch.stamp.unwrap();
    assert_eq!((stamp.agent, stamp.epoch, stamp.sequence), (it.agent.id(), 1, 1));
    assert_eq!(batch.content_hash, sent.content_hash);
    assert_eq!(batch.closed_until, Some(UnixNanos(NOON)));
    let Payload::Batch(bytes) = &batch.payload else { panic!("not a batch") };
    let view = BatchView::parse(bytes).unwrap();
    assert_eq!(view.traces, Some(&sent.payload.bytes()[..]));
    assert_eq!(walk_derived(view.derived.unwrap(), |_| {}), Ok(1));
}

#[tokio::test]
async fn every_attempt_of_a_batch_has_the_same_stamp_and_bytes() {
    let script = [Reaction::Fail(unavailable()), Reaction::Hang, Reaction::StoreAndFail, Reaction::Store];
    let it = start(scripted(script), |_| ()).await;
    it.agent.ingest(spans(2, 0)).await.unwrap();
    it.agent.ingest(spans(2, 0)).await.unwrap();
    let attempts = it.collector.attempts.lock().unwrap();
    assert_eq!(attempts.len(), 5);
    for attempt in &attempts[..4] {
        assert_eq!(attempt.stamp, attempts[0].stamp);
        assert_eq!(attempt.payload.bytes(), attempts[0].payload.bytes());
    }
    assert_ne!(attempts[4].stamp, attempts[0].stamp, "another batch has another stamp");
    assert_eq!(it.collector.stored.lock().unwrap().len(), 2);
    assert_eq!(traces_row(&it.agent).stored, 4);
}

#[tokio::test]
async fn a_client_is_answered_only_after_the_collector() {
    let gate = Arc::new(Notify::new());
    let collector = Collector { gate: Some(Arc::clone(&gate)), ..Collector::default() };
    let it = start(collector, |options| options.attempt_timeout_ms = 5_000).await;
    let agent = it.agent.clone();
    let mut answer = tokio::spawn(async move { agent.ingest(spans(3, 0)).await });
    eventually("the batch is sent", || !it.collector.attempts.lock().unwrap().is_empty()).await;
    assert!(timeout(Duration::from_millis(50), &mut answer).await.is_err(), "answered before the ack");
    let row = traces_row(&it.agent);
    assert_eq!((row.received, row.stored, row.in_flight), (3, 0, 3));
    assert_eq!(it.agent.waiting().0, 3);
    gate.notify_one();
    answer.await.unwrap().unwrap();
    let row = traces_row(&it.agent);
    assert_eq!((row.stored, row.in_flight), (3, 0));
    assert_eq!(it.agent.waiting(), (0, 0));
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_its_items_with_an_outcome() {
    let gate = Arc::new(Notify::new());
    let it = start(Collector { gate: Some(Arc::clone(&gate)), ..Collector::default() }, |_| ()).await;
    assert!(timeout(Duration::from_millis(20), it.agent.ingest(spans(3, 0))).await.is_err());
    assert_eq!(traces_row(&it.agent).in_flight, 3);
    gate.notify_one();
    eventually("the batch is settled", || traces_row(&it.agent).in_flight == 0).await;
    assert_eq!(traces_row(&it.agent).stored, 3);
}

/// An agent whose collector answers nothing until the gate opens, and that waits for it.
async fn behind_a_gate(change: impl FnOnce(&mut AgentOptions)) -> (Fixture, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let it = start(Collector { gate: Some(Arc::clone(&gate)), ..Collector::default() }, |options| {
        options.attempt_timeout_ms = 5_000;
        options.deliver_timeout_ms = 5_000;
        change(options);
    });
    (it.await, gate)
}

#[tokio::test]
async fn a_full_queue_turns_clients_away_with_a_time_to_come_back() {
    let (it, gate) = behind_a_gate(|options| {
        options.queue_items = 5;
        options.retry_after_ms = 700;
    })
    .await;
    let agent = it.agent.clone();
    let first = tokio::spawn(async move { agent.ingest(spans(3, 0)).await });
    eventually("the first batch waits", || it.agent.waiting().0 == 3).await;
    let refusal = it.agent.ingest(spans(3, 0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Retry, "queue_full"));
    assert_eq!(refusal.retry_after_ms, Some(700));
    let never = it.agent.ingest(spans(6, 0)).await.unwrap_err();
    assert_eq!((never.class, never.reason), (ErrorClass::Reject, "too_large"));
    gate.notify_one();
    first.await.unwrap().unwrap();
    let row = traces_row(&it.agent);
    assert_eq!((row.received, row.stored, row.shed["queue_full"], row.rejected["too_large"]), (12, 3, 3, 6));
}

/// Scenario: the collector is slower than the clients. Guarantees: listeners are told so at once, and what was taken is not
/// forgotten; when the collector has caught up, the agent is not busy any more.
#[tokio::test]
async fn an_agent_with_a_slow_queue_is_busy() {
    let (it, gate) = behind_a_gate(|options| {
        options.queue_bytes = 600;
        options.slow_queue_ms = 30;
        options.retry_after_ms = 700;
    })
    .await;
    let agent = it.agent.clone();
    let first = tokio::spawn(async move { agent.ingest(spans(3, 0)).await });
    eventually("the first batch waits", || it.agent.waiting().0 == 3).await;
    assert!(it.agent.busy().is_none());
    it.clock.set(UnixNanos(NOON + 30_000_000));
    let refusal = it.agent.busy().unwrap();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Retry, "queue_slow"));
    assert_eq!(refusal.retry_after_ms, Some(700));
    gate.notify_one();
    first.await.unwrap().unwrap();
    assert!(it.agent.busy().is_none());
}

#[tokio::test]
async fn a_collector_that_stays_away_becomes_a_refusal_in_time() {
    let busy = Refusal::unavailable("busy", "later", 10);
    for (reaction, reason, wait) in [(Reaction::Hang, "timeout", 1_000), (Reaction::Fail(busy), "busy", 10)] {
        let it = start(scripted(vec![reaction; 1_000]), |_| ()).await;
        let refusal = timeout(Duration::from_secs(2), it.agent.ingest(spans(2, 0))).await.unwrap().unwrap_err();
        assert_eq!((refusal.class, refusal.reason), (ErrorClass::Retry, reason));
        assert!(refusal.retry_after_ms >= Some(wait));
        assert!(it.collector.attempts.lock().unwrap().len() > 2);
        assert_eq!(traces_row(&it.agent).shed[reason], 2);
    }
}

#[tokio::test]
async fn a_wait_asked_beyond_the_deadline_is_passed_on_at_once() {
    let it = start(scripted([Reaction::Fail(Refusal::unavailable("busy", "later", 60_000))]), |_| ()).await;
    let refusal = it.agent.ingest(spans(1, 0)).await.unwrap_err();
    assert_eq!((refusal.reason, &*refusal.message, refusal.retry_after_ms), ("busy", "later", Some(60_000)));
    assert_eq!(it.collector.attempts.lock().unwrap().len(), 1);
}

/// Guarantee: a tenant over its quota hears so at once and in the collector's words; no lane is kept for its batch.
#[tokio::test]
async fn a_quota_is_passed_on_unchanged_and_at_once() {
    let over = Refusal::overload("quota_items", "tenant default may send 5 items per second", 20);
    let it = start(scripted([Reaction::Fail(over)]), |_| ()).await;
    let refusal = it.agent.ingest(spans(1, 0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Overload, "quota_items"));
    assert_eq!((&*refusal.message, refusal.retry_after_ms), ("tenant default may send 5 items per second", Some(20)));
    assert_eq!(it.collector.attempts.lock().unwrap().len(), 1);
    assert_eq!(traces_row(&it.agent).shed["quota_items"], 1);
}

#[tokio::test]
async fn what_the_collector_refuses_for_good_goes_back_to_the_client() {
    let refused = Refusal::reject("unknown_tenant", "no such tenant");
    let it = start(scripted([Reaction::Fail(refused)]), |_| ()).await;
    let refusal = it.agent.ingest(spans(2, 0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Reject, "unknown_tenant"));
    assert_eq!(it.collector.attempts.lock().unwrap().len(), 1);
    assert_eq!(traces_row(&it.agent).rejected["unknown_tenant"], 2);
}

#[tokio::test]
async fn invalid_spans_are_rejected_alone() {
    // The collector meets the same invalid spans and counts them in its answer, here with one more.
    let it = start(scripted([Reaction::RejectItems(3)]), |_| ()).await;
    let answer = it.agent.ingest(spans(5, 2)).await.unwrap();
    assert_eq!((answer.rejected_items, answer.message.as_deref()), (3, Some("too old")));
    let row = traces_row(&it.agent);
    assert_eq!((row.stored, row.rejected["invalid_item"], row.rejected["collector"]), (4, 2, 1));

    let answer = it.agent.ingest(spans(0, 2)).await.unwrap();
    assert_eq!(answer.rejected_items, 2);
    assert!(answer.message.unwrap().contains("2 of 2 items rejected"));
    assert_eq!(it.collector.attempts.lock().unwrap().len(), 1, "nothing valid, nothing sent");
}

#[tokio::test]
async fn malformed_requests_and_foreign_batches_are_refused() {
    let it = start(Collector::default(), |_| ()).await;
    let refusal = it.agent.ingest(request(b"\x0a\xff\xff".to_vec())).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Reject, "malformed"));
    assert_eq!(traces_row(&it.agent).rejected["malformed"], 1);
    let batch = IngestRequest { payload: Payload::Batch(Bytes::new()), ..spans(1, 0) };
    assert_eq!(it.agent.ingest(batch).await.unwrap_err().reason, "not_a_collector");
}

#[tokio::test]
async fn large_requests_take_the_same_path() {
    let it = start(Collector::default(), |options| options.decode_inline_bytes = 16).await;
    it.agent.ingest(spans(1_000, 0)).await.unwrap();
    assert_eq!(it.agent.ingest(request(vec![0xff; 100])).await.unwrap_err().reason, "malformed");
    let row = traces_row(&it.agent);
    assert_eq!((row.received, row.stored), (1_001, 1_000));
}

#[tokio::test]
async fn heartbeats_close_time_up_to_the_oldest_request_in_flight() {
    let gate = Arc::new(Notify::new());
    let it = start(Collector { gate: Some(Arc::clone(&gate)), ..Collector::default() }, |options| {
        options.attempt_timeout_ms = 5_000;
        options.deliver_timeout_ms = 5_000;
    })
    .await;
    let newest = |it: &Fixture| it.collector.beats.lock().unwrap().last().cloned();
    eventually("the first beat", || newest(&it).is_some_and(|beat| beat.closed_until == UnixNanos(NOON))).await;
    let agent = it.agent.clone();
    let first = tokio::spawn(async move { agent.ingest(spans(1, 0)).await });
    eventually("in flight", || it.agent.waiting().0 == 1).await;
    it.clock.set(UnixNanos(NOON + 7));
    let beats = it.collector.beats.lock().unwrap().len();
    eventually("two more beats", || it.collector.beats.lock().unwrap().len() > beats + 2).await;
    assert_eq!(newest(&it).unwrap().closed_until, UnixNanos(NOON), "a request that arrived then is in flight");
    gate.notify_one();
    first.await.unwrap().unwrap();
    eventually("closed", || newest(&it).unwrap().closed_until == UnixNanos(NOON + 7)).await;
    let beat = newest(&it).unwrap();
    assert_eq!((beat.agent, beat.epoch), (it.agent.id(), it.agent.epoch()));
    assert_eq!(beat.ledger.component, "agent");
}

/// Scenario: an agent carries data of two tenants. Guarantee: its ledger, which counts for both, is told once.
#[tokio::test]
async fn heartbeats_of_several_tenants_carry_one_ledger() {
    let it = start(Collector::default(), |_| ()).await;
    let acme = TenantId::parse("acme").unwrap();
    it.agent.ingest(IngestRequest { tenant: acme.clone(), ..spans(1, 0) }).await.unwrap();
    let of = |it: &Fixture, tenant: &TenantId| {
        it.collector.beats.lock().unwrap().iter().rfind(|beat| beat.tenant == *tenant).cloned()
    };
    eventually("a beat for acme", || of(&it, &acme).is_some()).await;
    assert!(of(&it, &acme).unwrap().ledger.rows.is_empty());
    let ours = of(&it, &TenantId::default()).unwrap().ledger;
    assert_eq!((ours.rows.len(), ours.since), (3, UnixNanos(NOON)));
}

#[tokio::test]
async fn ready_means_that_the_collector_answers() {
    let it = start(Collector { deaf: AtomicBool::new(true), ..Collector::default() }, |_| ()).await;
    sleep(Duration::from_millis(30)).await;
    assert!(!it.agent.is_ready());
    it.collector.deaf.store(false, SeqCst);
    eventually("ready", || it.agent.is_ready()).await;
    it.drain.begin();
    assert!(!it.agent.is_ready());
}

#[tokio::test]
async fn a_draining_agent_finishes_what_it_has_and_takes_nothing_new() {
    let gate = Arc::new(Notify::new());
    let it = start(Collector { gate: Some(Arc::clone(&gate)), ..Collector::default() }, |_| ()).await;
    let agent = it.agent.clone();
    let first = tokio::spawn(async move { agent.ingest(spans(2, 0)).await });
    eventually("in flight", || it.agent.waiting().0 == 2).await;
    it.drain.begin();
    let refusal = it.agent.ingest(spans(1, 0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Retry, "draining"));
    gate.notify_one();
    first.await.unwrap().unwrap();
    assert!(it.drain.finished(Duration::from_secs(2)).await);
    assert_eq!(traces_row(&it.agent).stored, 2);
}

fn any_reaction() -> impl Strategy<Value = Reaction> {
    prop_oneof![
        4 => Just(Reaction::Store),
        2 => Just(Reaction::StoreAndFail),
        1 => Just(Reaction::RejectItems(2)),
        2 => Just(Reaction::Fail(unavailable())),
        1 => Just(Reaction::Fail(Refusal::reject("nope", "no"))),
        1 => Just(Reaction::Hang),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the collector does and however many clients hang up, every item is explained, every success is stored,
    /// and no two batches share a stamp.
    #[test]
    fn the_ledger_explains_every_item(
        script in prop::collection::vec(any_reaction(), 0..30),
        clients in prop::collection::vec((0_usize..6, 0_usize..3, prop::bool::weighted(0.2)), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let it = start(scripted(script), |options| {
                options.queue_items = 12;
                options.attempt_timeout_ms = 20;
                options.deliver_timeout_ms = 80;
            })
            .await;
            let sent: u64 = clients.iter().map(|(valid, invalid, _)| (valid + invalid) as u64).sum();
            let tasks: Vec<_> = clients
                .into_iter()
                .map(|(valid, invalid, hangs_up)| {
                    let agent = it.agent.clone();
                    tokio::spawn(async move {
                        let patience = Duration::from_millis(if hangs_up { 5 } else { 10_000 });
                        let answer = timeout(patience, agent.ingest(spans(valid, invalid))).await;
                        u64::from(matches!(answer, Ok(Ok(_))) && valid > 0)
                    })
                })
                .collect();
            let mut acknowledged = 0;
            for task in tasks {
                acknowledged += task.await.unwrap();
            }
            it.drain.begin();
            assert!(it.drain.finished(Duration::from_secs(5)).await);
            let row = traces_row(&it.agent);
            assert_eq!((row.received, row.in_flight, it.agent.waiting()), (sent, 0, (0, 0)));
            assert!(!row.rejected.contains_key("abandoned"), "{row:?}");
            let stored = it.collector.stored.lock().unwrap();
            assert!(stored.len() as u64 >= acknowledged);
            assert!(stored.iter().all(|batch| batch.closed_until.is_some()));
        });
    }
}
