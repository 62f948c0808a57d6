//! The path of data through the collector, top to bottom:
//! admit -> log -> ack -> decode -> stitch -> roll up -> seal -> publish -> retain.
//!
//! [`accept`] is the half before the acknowledgement, one call per request, many at once. [`Applier`] is the half
//! after it: one thread that takes the durable frames in offset order. Publishing ([`crate::seal`]) and retention
//! ([`crate::retain`]) follow behind.
//!
//! Invariants:
//! - a request is answered with success only after its frame is durable (G1);
//! - a frame is applied once per table: what a table has committed is skipped when the log is replayed (G2);
//! - when publishing cannot keep up, the applier waits, the log stops committing, and clients are told to retry (G4).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use daymark_guard::Counted;
use daymark_guard::fault::{self, Fault};
use daymark_log::{DurableFrames, Frame, NewFrame, Next, Recovered};
use daymark_model::{ErrorClass, InFlight, Refusal, Signal, TenantId, UnixNanos};
use daymark_store::{Lost, TableName};
use daymark_wire::{IngestAnswer, IngestRequest, Payload};

use crate::admit::{self, Admitted};
use crate::agents::Declared;
use crate::core::{Seal, Shared};
use crate::dedup::{self, Dedup, Key, Seen};
use crate::error::CollectorError;
use crate::tenant::Tenant;
use crate::vitals::Stage;
use crate::{decode, lookup, lost};

/// Between looks at traces that are due and rows that are old, also when no frame comes.
const TICK_MS: u64 = 200;
/// Between looks at the outcome of an earlier copy of the same request.
const REPEAT_POLL: Duration = Duration::from_millis(5);
/// Traces that wait for their stored part before they are looked up without waiting for the next tick.
const MAX_WANTED: usize = 4_096;
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

/// The half behind the acknowledgement.
pub(crate) struct Applier {
    shared: Arc<Shared>,
    next_tick_ms: u64,
    /// Bytes of frames applied since everything was sealed.
    unsealed_bytes: u64,
}

impl Applier {
    pub(crate) fn new(shared: Arc<Shared>) -> Applier {
        Applier { shared, next_tick_ms: 0, unsealed_bytes: 0 }
    }

    /// Brings the tables' unpublished rows and the dedup window back from the log, before anything new is admitted.
    ///
    /// # Errors
    /// When a frame cannot be read, or rows do not fit their columns.
    pub(crate) fn replay(&mut self, recovered: Recovered) -> Result<(), CollectorError> {
        let mut frames = recovered.frames;
        let shared = Arc::clone(&self.shared);
        let _replaying = shared.vitals.at(Stage::Replaying);
        shared.vitals.replay_begins(frames.bytes_left());
        for frame in frames.by_ref() {
            let frame = frame?;
            if let Some(stamp) = frame.stamp {
                let agent = (frame.tenant.clone(), stamp.agent);
                self.shared.agents.found_in_log(agent, stamp.epoch, frame.received);
            }
            if fault::active(Fault::SkipReplay) {
                continue;
            }
            self.take(&frame)?;
            shared.vitals.replayed(frame.cost_bytes() as u64);
        }
        let now = self.shared.clock.now();
        self.lose(frames.unreadable().iter().map(|damage| lost::of_damage(damage, now)).collect());
        let tenants: Vec<TenantId> = {
            let mut core = self.shared.write();
            core.applied = core.applied.max(recovered.last);
            shared.vitals.applied.store(core.applied.0, Relaxed);
            core.tenants.keys().cloned().collect()
        };
        tenants.iter().try_for_each(|tenant| lookup::add_stored_parts(&self.shared, tenant))
    }

    /// Applies durable frames until the log ends, then publishes what is left.
    pub(crate) fn run(&mut self, mut frames: DurableFrames) {
        let outcome = loop {
            let step = match frames.blocking_recv(Duration::from_millis(TICK_MS)) {
                Next::Frame(frame) => self.take(&frame),
                Next::Idle => self.upkeep(),
                Next::Ended => break self.finish(),
            };
            if step.is_err() || self.shared.failure.borrow().is_some() {
                break step;
            }
        };
        if let Err(error) = outcome {
            self.shared.fail(error);
        }
    }

    /// One frame: decode, stitch, roll up; then seal what is full.
    fn take(&mut self, frame: &Frame) -> Result<(), CollectorError> {
        let now_ms = self.shared.now_ms();
        let vitals = Arc::clone(&self.shared.vitals);
        let _applying = vitals.at(Stage::Applying);
        vitals.offset.store(frame.offset.0, Relaxed);
        fault::hang(Fault::StallApplier);
        self.shared.dedup.stored(&dedup::keys(&frame.tenant, frame.stamp, frame.content_hash), frame.received);
        let applied = {
            let mut core = self.shared.write();
            let options = &self.shared.options;
            if !core.tenants.contains_key(&frame.tenant) {
                let fresh = Tenant::new(options, Default::default());
                core.tenants.insert(frame.tenant.clone(), fresh);
            }
            let outcome = core
                .tenants
                .get_mut(&frame.tenant)
                .map_or(Ok(decode::Applied::default()), |t| decode::apply(t, frame, options, now_ms));
            if let Some(tenant) = core.tenants.get_mut(&frame.tenant) {
                tenant.freeze_large()?;
            }
            if let (Some(stamp), Ok(applied)) = (frame.stamp, &outcome) {
                let agent = (frame.tenant.clone(), stamp.agent);
                self.shared.agents.carries(&agent, &applied.services);
            }
            core.applied = frame.offset;
            core.applied_received = frame.received;
            vitals.applied.store(frame.offset.0, Relaxed);
            outcome
        };
        match applied {
            Ok(_) => {}
            Err(error @ CollectorError::Frame { .. }) => {
                tracing::error!(%error, "a stored frame was left out");
                self.lose(vec![lost::of_frame(frame, &error, self.shared.clock.now())]);
            }
            Err(error) => return Err(error),
        }
        self.seal_full(&frame.tenant)?;
        self.bound_replay(frame.payload.len() as u64)?;
        if now_ms >= self.next_tick_ms { self.upkeep() } else { Ok(()) }
    }

    /// Notes acknowledged frames that are lost.
    fn lose(&self, found: Vec<Lost>) {
        if !found.is_empty() {
            self.shared.runtime.block_on(lost::note(&self.shared, found));
        }
    }

    /// Seals the tables of one tenant that have reached a size limit.
    fn seal_full(&mut self, tenant: &TenantId) -> Result<(), CollectorError> {
        let options = &self.shared.options;
        let (full, wanting): (Vec<TableName>, bool) = {
            let core = self.shared.write();
            let Some(tenant) = core.tenants.get(tenant) else { return Ok(()) };
            let is_full = |table: &TableName| {
                tenant.unsealed_rows(*table) >= options.seal_rows || tenant.unsealed_bytes(*table) >= options.seal_bytes
            };
            let full = TableName::ALL.into_iter().filter(is_full).collect();
            (full, tenant.stitcher.wanted().len() > MAX_WANTED)
        };
        if wanting {
            // A replay has no ticks: memory must not grow with its length.
            self.look_up(tenant);
        }
        full.into_iter().try_for_each(|table| self.seal(tenant, table))
    }

    /// Seals every table once half of what a start may have to replay was applied: the other half is for the seals
    /// that are on their way by then.
    fn bound_replay(&mut self, bytes: u64) -> Result<(), CollectorError> {
        self.unsealed_bytes += bytes;
        if self.unsealed_bytes < self.shared.options.replay_bytes / 2 {
            return Ok(());
        }
        self.unsealed_bytes = 0;
        self.seal_everything()
    }

    fn seal_everything(&self) -> Result<(), CollectorError> {
        let tenants: Vec<TenantId> = self.shared.write().tenants.keys().cloned().collect();
        let tables = |tenant| TableName::ALL.into_iter().try_for_each(|table| self.seal(tenant, table));
        tenants.iter().try_for_each(tables)
    }

    /// What time brings: traces that are idle, rows that are old enough to be sealed, memory above its cap.
    fn upkeep(&mut self) -> Result<(), CollectorError> {
        let now_ms = self.shared.now_ms();
        self.next_tick_ms = now_ms + TICK_MS;
        let vitals = Arc::clone(&self.shared.vitals);
        let _upkeep = vitals.at(Stage::Upkeep);
        let options = &self.shared.options;
        let mut due: Vec<(TenantId, TableName)> = Vec::new();
        let mut wanting: Vec<TenantId> = Vec::new();
        let mut sizes: Vec<(usize, TenantId, TableName)> = Vec::new();
        {
            let mut core = self.shared.write();
            let applied = core.applied;
            for (id, tenant) in &mut core.tenants {
                tenant.tick(applied, now_ms, options.keep_published_ms)?;
                if !tenant.stitcher.wanted().is_empty() {
                    wanting.push(id.clone());
                }
                for table in TableName::ALL {
                    let Some(pending) = tenant.pending(table) else { continue };
                    if pending.since_ms + options.seal_interval_ms <= now_ms {
                        due.push((id.clone(), table));
                    }
                    sizes.push((tenant.unsealed_bytes(table), id.clone(), table));
                }
            }
        }
        self.shared.report_memory(&sizes);
        if sizes.iter().map(|(bytes, ..)| bytes).sum::<usize>() > options.hot_bytes {
            due.extend(sizes.into_iter().max().map(|(_, tenant, table)| (tenant, table)));
        }
        wanting.iter().for_each(|tenant| self.look_up(tenant));
        due.into_iter().try_for_each(|(tenant, table)| self.seal(&tenant, table))
    }

    fn look_up(&self, tenant: &TenantId) {
        if let Err(error) = lookup::add_stored_parts(&self.shared, tenant) {
            tracing::warn!(%tenant, %error, "stored traces not found yet: late spans wait");
        }
    }

    /// Seals a table; those of metric windows together, because they are folded from the same fragments, and after the
    /// catalogue that names their series; edges with the traces they are of, so that a replay need not bring traces back
    /// for the edges alone.
    fn seal(&self, tenant: &TenantId, table: TableName) -> Result<(), CollectorError> {
        match table {
            TableName::Traces | TableName::Edges => {
                if let Err(error) = lookup::add_stored_parts(&self.shared, tenant) {
                    // Their spans are in the log only: a commit now would claim to hold them.
                    tracing::warn!(%tenant, %error, "traces and edges are not sealed while stored parts cannot be read");
                    return Ok(());
                }
                self.seal_one(tenant, TableName::Traces)?;
                self.seal_one(tenant, TableName::Edges)
            }
            table if table.is_sorted_by_series() => {
                let mut tables = [TableName::Series].into_iter().chain(TableName::METRICS);
                tables.try_for_each(|table| self.seal_one(tenant, table))
            }
            table => self.seal_one(tenant, table),
        }
    }

    /// Takes all rows of a table and puts them in line for publishing. Waits while too many are under way.
    fn seal_one(&self, tenant: &TenantId, table: TableName) -> Result<(), CollectorError> {
        let mut core = self.shared.room_for_seal();
        let through = core.applied;
        let Some(rows) = core.tenants.get_mut(tenant).map(|tenant| tenant.seal(table, through)) else { return Ok(()) };
        if let Some(batches) = rows? {
            let seal = Seal { tenant: tenant.clone(), table, batches, through };
            self.shared.queue_seal(&mut core, seal);
        }
        Ok(())
    }

    /// The log has ended: publishes everything, so that the next start has nothing to replay.
    fn finish(&mut self) -> Result<(), CollectorError> {
        self.seal_everything()?;
        drop(self.shared.seals_finished());
        self.shared.stop_seals();
        Ok(())
    }
}
