//! The path of a request through the agent, top to bottom:
//! refuse when busy → receive → check → derive → queue → stamp → send → ack.
//!
//! Invariants:
//! - checking and deriving are one pass over the bytes: what is derived is exactly what is valid;
//! - derived metrics travel in the batch of the spans they count: one ack covers both, and a batch that is refused or
//!   repeated counts nothing twice;
//! - from the stamp on, the batch lives in a task of its own: a client that hangs up cannot leave its items without an
//!   outcome in the ledger.

use std::sync::Arc;

use bytes::Bytes;
use daymark_model::{InFlight, Refusal, Signal, UnixNanos};
use daymark_wire::{BatchView, Checked, IngestAnswer, IngestRequest, Payload, Walked, encode_batch};
use tokio::sync::oneshot;

use crate::agent::Shared;
use crate::closed::Open;
use crate::derive::{Derived, Unsound};
use crate::queue::{InHand, NoRoom, Place};

/// Ledger reason of items whose ids or times are invalid.
const INVALID_ITEM: &str = "invalid_item";

/// Why clients are turned away while that costs little: what would wait too long anyhow is not read.
pub(crate) fn busy(shared: &Shared) -> Option<Refusal> {
    let options = &shared.options;
    let waited = options.slow_queue_ms;
    shared.queue.is_slow(options.queue_bytes / 4, waited, shared.clock.now()).then(|| {
        let message =
            format!("the collector is slower than the services: what came {waited} ms ago still waits; send it again");
        Refusal::unavailable("queue_slow", message, options.retry_after_ms)
    })
}

/// Carries one client request to the collector. `Ok` means that its items are durable there.
pub(crate) async fn carry(shared: &Arc<Shared>, request: IngestRequest) -> Result<IngestAnswer, Refusal> {
    let (signal, payload, open) = receive(shared, &request)?;
    let in_hand = shared.queue.take(payload.len() as u64, shared.clock.now());
    let Derived { walked, series, latest, checked } = check_and_derive(shared, signal, &payload, &open).await?;
    let mut in_flight = shared.ledger.receive(signal, walked.items);
    in_flight.reject(INVALID_ITEM, walked.rejected);
    if in_flight.items() == 0 {
        return Ok(answer(&walked, IngestAnswer::default()));
    }
    let batch = encode(signal, &payload, series.as_deref(), latest);
    let place = queue(shared, in_hand, &mut in_flight, batch.len())?;
    let batch = stamp(shared, request, batch, checked);
    let accounts = Accounts { in_flight, rejected: walked.rejected, _place: place, _open: open };
    // The batch holds a copy: what waits is counted once.
    drop(payload);
    let outcome = send(shared, batch, accounts).await?;
    Ok(answer(&walked, outcome))
}

/// Takes the request in hand: from here on, time is not closed beyond its arrival.
fn receive(shared: &Shared, request: &IngestRequest) -> Result<(Signal, Bytes, Open), Refusal> {
    let Payload::Signal(signal, payload) = &request.payload else {
        return Err(Refusal::reject("not_a_collector", "an agent takes OTLP, not the batches of other agents"));
    };
    if shared.drain.has_begun() {
        return Err(Refusal::unavailable("draining", "the agent is stopping", shared.options.retry_after_ms));
    }
    shared.tenants.saw(&request.tenant);
    Ok((*signal, payload.clone(), shared.closed.open(shared.clock.now())))
}

/// Walks the bytes once: counts items, refuses what is malformed, derives metrics.
async fn check_and_derive(
    shared: &Arc<Shared>,
    signal: Signal,
    payload: &Bytes,
    open: &Open,
) -> Result<Derived, Refusal> {
    let arrived = open.arrived();
    let pass = if payload.len() <= shared.options.decode_inline_bytes {
        shared.derivers.derive(signal, payload, arrived)
    } else {
        // As many at once as there are cores, first come first served: more would only finish later, all of them.
        let _turn = shared.decoding.acquire().await.map_err(|_| stopped())?;
        let (shared, payload) = (Arc::clone(shared), payload.clone());
        let pass = tokio::task::spawn_blocking(move || shared.derivers.derive(signal, &payload, arrived));
        pass.await.map_err(|_| stopped())?
    };
    pass.map_err(|Unsound { items, refusal }| {
        shared.ledger.receive(signal, items).reject(refusal.reason, items);
        refusal
    })
}

fn encode(signal: Signal, payload: &[u8], derived: Option<&[u8]>, latest: UnixNanos) -> Bytes {
    let judged = BatchView { latest: Some(latest), derived, ..BatchView::default() };
    encode_batch(&match signal {
        Signal::Traces => BatchView { traces: Some(payload), ..judged },
        Signal::Logs => BatchView { logs: Some(payload), ..judged },
        Signal::Metrics => BatchView { metrics: Some(payload), ..judged },
    })
}

/// Finds room for the batch, or turns the client away.
fn queue(shared: &Shared, in_hand: InHand, in_flight: &mut InFlight, bytes: usize) -> Result<Place, Refusal> {
    let items = in_flight.items();
    shared.queue.enter(in_hand, items, bytes as u64).map_err(|no_room| match no_room {
        NoRoom::Now => {
            in_flight.shed("queue_full", items);
            let message = "the agent's queue is full: the collector is slower than the services; send it again";
            Refusal::unavailable("queue_full", message, shared.options.retry_after_ms)
        }
        NoRoom::Ever => {
            in_flight.reject("too_large", items);
            let message = format!("a batch of {items} items and {bytes} bytes exceeds the agent's queue");
            Refusal::reject("too_large", message)
        }
    })
}

/// Gives the batch its stamp, once and for all attempts.
fn stamp(shared: &Shared, request: IngestRequest, batch: Bytes, checked: Option<Checked>) -> IngestRequest {
    IngestRequest {
        tenant: request.tenant,
        payload: Payload::Batch(batch),
        stamp: Some(shared.sequence.stamp(&shared.identity)),
        closed_until: Some(shared.closed.until(shared.clock.now())),
        content_hash: request.content_hash,
        checked,
    }
}

/// What ends with the batch's outcome, in this order: its items in the ledger, its room, its hold on time.
struct Accounts {
    in_flight: InFlight,
    /// Items that were rejected here; the collector rejects the same ones and counts them in its answer.
    rejected: u64,
    _place: Place,
    _open: Open,
}

/// Delivers the batch in a task of its own and waits for the outcome.
async fn send(shared: &Arc<Shared>, batch: IngestRequest, accounts: Accounts) -> Result<IngestAnswer, Refusal> {
    let (tell, told) = oneshot::channel();
    let task = Arc::clone(shared);
    shared.drain.spawn(async move {
        let outcome = task.sender.deliver(task.upstream.as_ref(), batch).await;
        settle(accounts, &outcome);
        // A client that hung up hears nothing; its items have their outcome all the same.
        let _ = tell.send(outcome);
    });
    told.await.unwrap_or_else(|_| Err(stopped()))
}

fn stopped() -> Refusal {
    Refusal::unavailable("stopped", "the agent is stopping", 1_000)
}

/// Enters the outcome in the ledger.
fn settle(mut accounts: Accounts, outcome: &Result<IngestAnswer, Refusal>) {
    let items = accounts.in_flight.items();
    match outcome {
        Ok(answer) => {
            accounts.in_flight.reject("collector", answer.rejected_items.saturating_sub(accounts.rejected));
            accounts.in_flight.stored();
        }
        Err(refusal) if refusal.retry_after_ms.is_some() => accounts.in_flight.shed(refusal.reason, items),
        Err(refusal) => accounts.in_flight.reject(refusal.reason, items),
    }
}

/// The client's answer: what the collector said, and what was rejected before it.
fn answer(walked: &Walked, collector: IngestAnswer) -> IngestAnswer {
    let ours = (walked.rejected > 0)
        .then(|| format!("{} of {} items rejected: {}", walked.rejected, walked.items, walked.reasons));
    IngestAnswer { rejected_items: collector.rejected_items.max(walked.rejected), message: collector.message.or(ours) }
}
