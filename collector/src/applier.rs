//! The half of the path after the acknowledgement: decode -> stitch -> roll up -> seal. Publishing ([`crate::seal`]),
//! merging ([`crate::compact`]) and retention ([`crate::retain`]) follow behind.
//!
//! Where it sits: one thread takes the durable frames in offset order.
//!
//! Invariants:
//! - a frame is applied once per table: what a table has committed is skipped when the log is replayed (G2);
//! - when publishing cannot keep up, the applier slows down and then waits, the log stops committing, and clients are told to retry (G4);
//! - it waits for no read of the store beyond what [`crate::late`] grants.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use daymark_guard::fault::{self, Fault};
use daymark_log::{DurableFrames, Frame, Next, Recovered};
use daymark_model::TenantId;
use daymark_store::{Lost, TableName};

use crate::account::Account;
use crate::core::{Seal, Shared};
use crate::error::CollectorError;
use crate::hot_batch::HotBatch;
use crate::late::{Late, Patience};
use crate::pace::Pace;
use crate::tenant::Tenant;
use crate::vitals::Stage;
use crate::{decode, dedup, lost};

/// Between looks at traces that are due and rows that are old, also when no frame comes.
const TICK_MS: u64 = 200;
/// Traces that wait for their stored part before a replay waits for them: it has no ticks, and memory must not grow with
/// its length.
const MAX_WAITING: usize = 4_096;

/// The half behind the acknowledgement.
pub(crate) struct Applier {
    shared: Arc<Shared>,
    late: Late,
    /// How long reads may hold it up now.
    patience: Patience,
    next_tick_ms: u64,
    /// Bytes of frames applied since everything was sealed.
    unsealed_bytes: u64,
    pace: Pace,
}

impl Applier {
    pub(crate) fn new(shared: Arc<Shared>) -> Applier {
        let late = Late::new(Arc::clone(&shared));
        let pace = Pace::new(shared.options.sealing_bytes);
        Applier { shared, late, patience: Patience::Tick, next_tick_ms: 0, unsealed_bytes: 0, pace }
    }

    /// Brings the tables' unpublished rows and the dedup window back from the log, before anything new is admitted.
    ///
    /// # Errors
    /// When a frame cannot be read, or rows do not fit their columns.
    pub(crate) fn replay(&mut self, recovered: Recovered) -> Result<(), CollectorError> {
        self.patience = Patience::Start;
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
        for tenant in &tenants {
            self.late.wait(tenant, self.patience)?;
        }
        Ok(())
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
                let account = Account::fresh(self.shared.started_at);
                let fresh = Tenant::new(options, Default::default(), account);
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
        self.keep_pace(frame);
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
            (full, tenant.stitcher.waiting() > MAX_WAITING)
        };
        if wanting && self.patience == Patience::Start {
            self.late.wait(tenant, self.patience)?;
        }
        full.into_iter().try_for_each(|table| self.seal(tenant, table))
    }

    /// Waits a little when publishing is behind; a replay hurries.
    fn keep_pace(&mut self, frame: &Frame) {
        if self.patience == Patience::Start {
            return;
        }
        let under_way = self.shared.write().sealing_bytes();
        if let Some(wait) = self.pace.after(frame.payload.len(), under_way) {
            let _waiting = self.shared.vitals.at(Stage::WaitingForSealer);
            std::thread::sleep(wait);
        }
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

    fn seal_everything(&mut self) -> Result<(), CollectorError> {
        let tenants: Vec<TenantId> = self.shared.write().tenants.keys().cloned().collect();
        for tenant in &tenants {
            TableName::ALL.into_iter().try_for_each(|table| self.seal(tenant, table))?;
        }
        Ok(())
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
                if tenant.stitcher.waiting() > 0 {
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
        for tenant in &wanting {
            self.late.wait(tenant, self.patience)?;
        }
        due.into_iter().try_for_each(|(tenant, table)| self.seal(&tenant, table))
    }

    /// Seals a table; those of metric windows together, because they are folded from the same fragments, and after the
    /// catalogue that names their series; edges with the traces they are of, so that a replay need not bring traces back
    /// for the edges alone.
    fn seal(&mut self, tenant: &TenantId, table: TableName) -> Result<(), CollectorError> {
        match table {
            TableName::Traces | TableName::Edges => {
                if !self.late.may_seal(tenant, self.patience)? {
                    // Late spans are in the log only: a commit now would claim to hold them. The next tick tries again.
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
            let bytes = batches.iter().map(HotBatch::size_bytes).sum();
            let seal = Seal { tenant: tenant.clone(), table, batches, through, bytes };
            self.shared.queue_seal(&mut core, seal);
        }
        Ok(())
    }

    /// The log has ended: publishes everything, so that the next start has nothing to replay.
    fn finish(&mut self) -> Result<(), CollectorError> {
        self.patience = Patience::Last;
        self.seal_everything()?;
        drop(self.shared.seals_finished());
        self.shared.stop_seals();
        Ok(())
    }
}
