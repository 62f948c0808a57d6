//! What the collector's threads share: the tenants behind one lock, the seals under way, and how it failed if it did.
//!
//! Lock order: `Core`, then the agents; nothing is awaited and no IO is done while one is held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daymark_guard::Clock;
use daymark_log::IngestLog;
use daymark_model::{Ledger, LogOffset, TenantId, UnixNanos};
use daymark_store::{Store, StoreError, TableName, Tally};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::account::Account;
use crate::agents::{AgentLimits, Agents};
use crate::dedup::Dedup;
use crate::error::CollectorError;
use crate::hot_batch::HotBatch;
use crate::lookup::Opened;
use crate::tenant::Tenant;
use crate::vitals::{Stage, Vitals};
use crate::{CollectorOptions, lookup, storage, tenant};

/// How long the applier steps aside for a waiting hot read before it takes the lock again.
const YIELD: Duration = Duration::from_micros(50);
const MAX_YIELDS: u32 = 40;
/// The least a seal under way counts for, of `sealing_bytes`.
const MIN_SEAL_BYTES: usize = 256 << 10;

/// State of a running collector.
pub(crate) struct Shared {
    pub(crate) options: CollectorOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: IngestLog,
    pub(crate) store: Arc<Store>,
    pub(crate) dedup: Dedup,
    pub(crate) agents: Agents,
    pub(crate) ledger: Ledger,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) runtime: Handle,
    pub(crate) draining: AtomicBool,
    /// Newest offset that a table held at start: new frames must lie beyond.
    pub(crate) consumed_at_start: LogOffset,
    /// Newest offset that the log or a table held at start: what the ledger counts lies beyond.
    pub(crate) started_at: LogOffset,
    /// Every frame up to this offset is in the tables; what is damaged before costs nothing.
    pub(crate) published: AtomicU64,
    /// Tenants whose tables another collector writes: nothing is taken for them, and their tables are left alone.
    pub(crate) foreign: BTreeSet<TenantId>,
    pub(crate) storage: storage::Newest,
    pub(crate) failure: watch::Sender<Option<Arc<CollectorError>>>,
    core: Mutex<Core>,
    seal_queued: Condvar,
    seal_done: Condvar,
    waiting_readers: AtomicUsize,
}

/// What the lock protects.
pub(crate) struct Core {
    pub(crate) tenants: BTreeMap<TenantId, Tenant>,
    /// Seals waiting or running, oldest first; the first one is being published.
    pub(crate) seals: VecDeque<Seal>,
    /// Newest offset whose rows can be read.
    pub(crate) applied: LogOffset,
    /// When the frame of that offset was received.
    pub(crate) applied_received: UnixNanos,
    /// No more seals will come.
    pub(crate) stopping: bool,
}

/// Rows of one table on their way into a commit.
#[derive(Clone)]
pub(crate) struct Seal {
    pub(crate) tenant: TenantId,
    pub(crate) table: TableName,
    pub(crate) batches: Vec<HotBatch>,
    pub(crate) through: LogOffset,
    /// Bytes of the rows when they were sealed, about.
    pub(crate) bytes: usize,
}

impl Seal {
    fn size_bytes(&self) -> usize {
        self.batches.iter().map(HotBatch::size_bytes).sum()
    }

    /// What it counts for while it is under way: many small ones are a load, too.
    fn cost_bytes(&self) -> usize {
        self.bytes.max(MIN_SEAL_BYTES)
    }
}

/// The parts a collector is made of, before its threads run.
pub(crate) struct Parts {
    pub(crate) options: CollectorOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: IngestLog,
    pub(crate) store: Arc<Store>,
    pub(crate) tables: Opened,
    pub(crate) vitals: Arc<Vitals>,
    /// Tenants whose tables another collector writes.
    pub(crate) foreign: BTreeSet<TenantId>,
    /// Every frame up to here was in the tables at the end of an earlier run.
    pub(crate) published: LogOffset,
}

impl Shared {
    pub(crate) fn new(parts: Parts, runtime: Handle) -> Shared {
        let Parts { options, clock, log, store, tables, foreign, vitals, published } = parts;
        let consumed_at_start = lookup::newest(&tables);
        let started_at = consumed_at_start.max(log.durable());
        vitals.applied.store(consumed_at_start.0, Relaxed);
        let tenant = |(id, (consumed, metrics))| {
            let mut tenant = Tenant::new(&options, consumed, Account::new(started_at, metrics));
            tenant.holds_edges_until(published);
            (id, tenant)
        };
        let tenants = tables.into_iter().map(tenant).collect();
        Shared {
            dedup: Dedup::new(options.dedup_entries, options.dedup_age_ms),
            agents: Agents::new(AgentLimits {
                silent_ms: options.agent_silent_ms,
                lateness_ms: options.lateness_ms,
                max_agents: options.max_agents,
            }),
            ledger: Ledger::since("collector", clock.now()),
            vitals,
            runtime,
            draining: AtomicBool::new(false),
            consumed_at_start,
            started_at,
            published: published.0.into(),
            foreign,
            storage: storage::Newest::default(),
            failure: watch::Sender::new(None),
            core: Mutex::new(Core {
                tenants,
                seals: VecDeque::new(),
                applied: consumed_at_start,
                applied_received: UnixNanos(0),
                stopping: false,
            }),
            seal_queued: Condvar::new(),
            seal_done: Condvar::new(),
            waiting_readers: AtomicUsize::new(0),
            options,
            clock,
            log,
            store,
        }
    }

    /// The clock in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        tenant::millis(self.clock.now())
    }

    /// The lock for readers: the applier steps aside for them.
    pub(crate) fn read(&self) -> MutexGuard<'_, Core> {
        self.waiting_readers.fetch_add(1, Relaxed);
        let core = self.core();
        self.waiting_readers.fetch_sub(1, Relaxed);
        core
    }

    /// The lock for the applier, which takes it again and again: lets waiting readers go first.
    pub(crate) fn write(&self) -> MutexGuard<'_, Core> {
        for _ in 0..MAX_YIELDS {
            if self.waiting_readers.load(Relaxed) == 0 {
                break;
            }
            std::thread::sleep(YIELD);
        }
        self.core()
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the memory gate what is held: unpublished rows by tenant (`sizes`, and those on their way into a commit), and
    /// what the log has not handed over yet.
    pub(crate) fn report_memory(&self, sizes: &[(usize, TenantId, TableName)]) {
        let mut held: BTreeMap<TenantId, u64> = BTreeMap::new();
        for (bytes, tenant, _) in sizes {
            *held.entry(tenant.clone()).or_default() += *bytes as u64;
        }
        for seal in &self.read().seals {
            *held.entry(seal.tenant.clone()).or_default() += seal.size_bytes() as u64;
        }
        let log = self.log.stats();
        self.options.memory.report(&held, log.queued_bytes + log.undelivered_bytes);
    }

    /// Puts a seal in line; [`Shared::room_for_seal`] was asked before.
    pub(crate) fn queue_seal(&self, core: &mut Core, seal: Seal) {
        core.seals.push_back(seal);
        self.seal_queued.notify_one();
    }

    /// The lock, once the seals under way hold less than `sealing_bytes`.
    pub(crate) fn room_for_seal(&self) -> MutexGuard<'_, Core> {
        self.when_seals(|seals| sealing_bytes(seals) < self.options.sealing_bytes.max(1))
    }

    /// The lock, once every seal is published or given up.
    pub(crate) fn seals_finished(&self) -> MutexGuard<'_, Core> {
        self.when_seals(VecDeque::is_empty)
    }

    fn when_seals(&self, few_enough: impl Fn(&VecDeque<Seal>) -> bool) -> MutexGuard<'_, Core> {
        let mut core = self.write();
        while !few_enough(&core.seals) && self.failure.borrow().is_none() {
            let _waiting = self.vitals.at(Stage::WaitingForSealer);
            core = self.seal_done.wait(core).unwrap_or_else(PoisonError::into_inner);
        }
        core
    }

    /// Waits for the next seal; `None` when no more will come.
    pub(crate) fn next_seal(&self) -> Option<Seal> {
        let mut core = self.core();
        loop {
            if let Some(seal) = core.seals.front() {
                return Some(seal.clone());
            }
            if core.stopping {
                return None;
            }
            core = self.seal_queued.wait(core).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The log offset that the table of `seal` holds, as far as this collector knows.
    pub(crate) fn held(&self, seal: &Seal) -> LogOffset {
        self.core().tenants.get(&seal.tenant).map_or(LogOffset(0), |tenant| tenant.consumed[tenant::at(seal.table)])
    }

    /// The tenants whose tables are ours to keep.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub(crate) async fn own_tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let mut tenants = self.store.tenants().await?;
        tenants.retain(|tenant| !self.foreign.contains(tenant));
        Ok(tenants)
    }

    /// The seal at the front is committed. Returns the offset up to which the log is no longer needed.
    pub(crate) fn seal_published(&self, seal: &Seal) -> LogOffset {
        let now_ms = self.now_ms();
        let mut core = self.core();
        if let Some(tenant) = core.tenants.get_mut(&seal.tenant) {
            tenant.published(seal.table, seal.through, now_ms, self.options.keep_published_bytes);
        }
        core.seals.pop_front();
        self.seal_done.notify_all();
        core.safe_until()
    }

    /// Retention has taken rows of `table` out that stand for `tally`; `None` when nobody knows which.
    pub(crate) fn expired(&self, tenant: &TenantId, table: TableName, tally: Option<Tally>) {
        if let Some(tenant) = self.core().tenants.get_mut(tenant) {
            tenant.account.expire(table, tally);
        }
    }

    /// No more seals will come.
    pub(crate) fn stop_seals(&self) {
        self.core().stopping = true;
        self.seal_queued.notify_all();
    }

    /// The collector cannot go on: the process must exit and recover by replay. The first failure is kept.
    pub(crate) fn fail(&self, error: CollectorError) {
        tracing::error!(%error, "the collector stops: restart to recover from the log");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| Arc::new(error));
            first
        });
        // Stopping takes the lock, so whoever looked for a failure before it was set is waiting by now and is woken.
        self.stop_seals();
        self.seal_done.notify_all();
    }
}

impl Core {
    /// Bytes of all rows on their way into a commit, about.
    pub(crate) fn sealing_bytes(&self) -> usize {
        sealing_bytes(&self.seals)
    }

    /// Everything up to this offset is in the tables of all tenants.
    fn safe_until(&self) -> LogOffset {
        self.tenants.values().map(|tenant| tenant.safe_until(self.applied)).min().unwrap_or(self.applied)
    }
}

fn sealing_bytes(seals: &VecDeque<Seal>) -> usize {
    seals.iter().map(Seal::cost_bytes).sum()
}
