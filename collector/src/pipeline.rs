//! The half of the path before the acknowledgement: admit -> log -> ack. The half after it is [`crate::applier`].
//!
//! Where it sits: [`accept`] is one call per request, many at once.
//!
//! Invariants:
//! - a request is answered with success only after its frame is durable (G1);
//! - however a request ends, each of its items has one outcome in the ledger (G3).

use std::sync::Arc;
use std::time::Duration;

use daymark_guard::Counted;
use daymark_log::NewFrame;
use daymark_model::{ErrorClass, InFlight, Refusal, Signal, UnixNanos};
use daymark_wire::{IngestAnswer, IngestRequest, Payload};

use crate::admit::{self, Admitted};
use crate::agents::Declared;
use crate::core::Shared;
use crate::dedup::{self, Dedup, Key, Seen};
use crate::error::CollectorError;

/// Between looks at the outcome of an earlier copy of the same request.
const REPEAT_POLL: Duration = Duration::from_millis(5);
/// Longest wait for that outcome. Beyond it the copy is turned away, so that copies do not pile up while the log stalls.
const REPEAT_WAIT: Duration = Duration::from_secs(1);
/// What a client is told when it should come again, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Admits one request, makes it durable and answers it.
///
/// # Errors
/// [`Refusal`]: nothing was stored, or (class `Retry`) it is not known whether it was.
pub(crate) async fn accept(shared: Arc<Shared>, request: IngestRequest) -> Result<IngestAnswer, Refusal> {
    // The one instant by which admission and, later, the applier judge the request's times.
    let received = shared.clock.now();
    let (request, admitted) = check(&shared, request, received).await?;
    let mut counted = count(&shared, &admitted);

    let keys = dedup::keys(&request.tenant, request.stamp, request.content_hash);
    let Ok(seen) = tokio::time::timeout(REPEAT_WAIT, first_seen(&shared, &keys)).await else {
        let message = "an earlier copy of this request is still under way: send it again later";
        let refusal = Refusal::unavailable("under_way", message, RETRY_AFTER_MS);
        counted.iter_mut().for_each(|items| turn_away(items, &refusal));
        return Err(refusal);
    };
    if seen == Seen::Stored {
        counted.iter_mut().for_each(|items| items.reject("duplicate", items.items()));
        return Ok(answer(&admitted));
    }

    let frame = NewFrame {
        kind: admitted.kind,
        tenant: request.tenant.clone(),
        stamp: request.stamp,
        content_hash: request.content_hash,
        received,
        payload: request.payload.bytes().clone(),
    };
    let claim = Claim { dedup: &shared.dedup, keys: &keys };
    let mut charge = shared.options.quotas.charge(&request.tenant, Counted::Items);
    if let Err(refusal) = charge.set(counted.iter().map(InFlight::items).sum()) {
        counted.iter_mut().for_each(|items| turn_away(items, &refusal));
        return Err(refusal);
    }
    let durable = match shared.log.append(frame).await {
        Ok(durable) => durable,
        Err(error) => {
            let refusal = Refusal::from(error);
            counted.iter_mut().for_each(|items| turn_away(items, &refusal));
            return Err(refusal);
        }
    };
    if durable.offset <= shared.consumed_at_start {
        // Replay and readers would take the frame for one that the tables hold.
        shared.fail(CollectorError::LogBehind { offset: durable.offset.0, consumed: shared.consumed_at_start.0 });
        let refusal = Refusal::unavailable("failed", "the collector has failed", RETRY_AFTER_MS);
        counted.iter_mut().for_each(|items| turn_away(items, &refusal));
        return Err(refusal);
    }
    shared.dedup.stored(&keys, shared.clock.now());
    drop(claim);
    charge.keep();
    counted.into_iter().for_each(InFlight::stored);

    if let Some(stamp) = request.stamp {
        let (agent, epoch, closed_until) = ((request.tenant, stamp.agent), stamp.epoch, request.closed_until);
        let declared = Declared { agent, epoch, closed_until, durable: durable.offset, ledger: None };
        shared.agents.heard(declared, shared.clock.now());
    }
    Ok(answer(&admitted))
}

/// Checks a request off the async threads; a malformed one is counted as one item, because its number is not known.
async fn check(
    shared: &Arc<Shared>,
    request: IngestRequest,
    received: UnixNanos,
) -> Result<(IngestRequest, Admitted), Refusal> {
    if let (Payload::Batch(_), Some(checked)) = (&request.payload, &request.checked) {
        let admitted = admit::take(checked, &shared.options);
        debug_assert_eq!(
            admitted.as_ref().ok(),
            admit::check(&request.payload, &shared.options, received).as_ref().ok()
        );
        let admitted =
            admitted.inspect_err(|refusal| shared.ledger.receive(checked.signal, 1).reject(refusal.reason, 1))?;
        return Ok((request, admitted));
    }
    let options = Arc::clone(shared);
    let checked = tokio::task::spawn_blocking(move || {
        let admitted = admit::check(&request.payload, &options.options, received);
        (request, admitted)
    });
    let (request, admitted) = checked
        .await
        .map_err(|_| Refusal::unavailable("stopping", "the collector is shutting down", RETRY_AFTER_MS))?;
    match admitted {
        Ok(admitted) => Ok((request, admitted)),
        Err(refusal) => {
            let signal = match &request.payload {
                Payload::Signal(signal, _) => *signal,
                Payload::Batch(_) => Signal::Traces,
            };
            shared.ledger.receive(signal, 1).reject(refusal.reason, 1);
            Err(refusal)
        }
    }
}

/// Takes the items of a request into the ledger, one guard a signal; items that cannot be stored get their outcome.
fn count(shared: &Shared, admitted: &Admitted) -> Vec<InFlight> {
    let present = Signal::ALL.into_iter().filter(|signal| admitted.items[*signal as usize] > 0);
    present
        .map(|signal| {
            let mut items = shared.ledger.receive(signal, admitted.items[signal as usize]);
            items.reject("invalid_item", admitted.rejected[signal as usize]);
            items
        })
        .collect()
}

/// [`Seen::New`] or [`Seen::Stored`]: waits while an earlier copy is under way.
async fn first_seen(shared: &Shared, keys: &[Key]) -> Seen {
    loop {
        match shared.dedup.begin(keys) {
            Seen::UnderWay => tokio::time::sleep(REPEAT_POLL).await,
            seen => return seen,
        }
    }
}

/// A request under way. However its task ends, repeats of it must not wait for an outcome that never comes.
struct Claim<'a> {
    dedup: &'a Dedup,
    keys: &'a [Key],
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.dedup.failed(self.keys);
    }
}

fn turn_away(items: &mut InFlight, refusal: &Refusal) {
    match refusal.class {
        ErrorClass::Reject | ErrorClass::Corrupt => items.reject(refusal.reason, items.items()),
        ErrorClass::Retry | ErrorClass::Overload | ErrorClass::Bug => items.shed(refusal.reason, items.items()),
    }
}

fn answer(admitted: &Admitted) -> IngestAnswer {
    let rejected_items = admitted.rejected.iter().sum();
    let items: u64 = admitted.items.iter().sum();
    let message =
        (rejected_items > 0).then(|| format!("{rejected_items} of {items} items rejected: {}", admitted.reasons));
    IngestAnswer { rejected_items, message }
}
