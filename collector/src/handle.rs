//! Starting a collector, and the handle by which everything else uses it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use daymark_guard::fault::{self, Fault};
use daymark_guard::{Clock, Drain, Health, HealthOptions};
use daymark_log::{IngestLog, LogStats, RealFileSystem, Recovered};
use daymark_model::{Ledger, LogOffset, Refusal, UnixNanos};
use daymark_store::{CollectorStatus, HotError, HotRequest, HotRows, HotSource, Store, StoreOptions, Usage};
use daymark_wire::{Heartbeat, Ingest, IngestAnswer, IngestRequest};

use crate::agents::Declared;
use crate::applier::Applier;
use crate::columns::widen;
use crate::core::{Parts, Shared};
use crate::dedup_file::Snapshot;
use crate::error::CollectorError;
use crate::layers::Unread;
use crate::pipeline::accept;
use crate::vitals::Vitals;
use crate::{CollectorOptions, compact, dedup_file, exposition, health, internal, lookup, lost, retain, seal, storage};

/// What a client is told when it should come again, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;
/// Between looks at whether a read may go on.
const VISIBLE_POLL: Duration = Duration::from_millis(2);

/// The same for a tenant that an operator has to sort out first.
const FOREIGN_RETRY_MS: u64 = 30_000;

/// The collector role.
pub struct Collector;

/// A running collector. Clones are cheap and share it.
#[derive(Clone)]
pub struct CollectorHandle {
    shared: Arc<Shared>,
}

impl Collector {
    /// Opens log and tables, replays what the tables lack, and starts the pipeline. Returns when everything that was
    /// acknowledged before can be queried. `drain` ends it: new requests are turned away, everything durable is
    /// published, the log is closed.
    ///
    /// # Errors
    /// [`CollectorError`] when log or tables cannot be opened or replayed.
    pub async fn start(
        options: CollectorOptions,
        clock: Arc<dyn Clock>,
        drain: Drain,
    ) -> Result<CollectorHandle, CollectorError> {
        let store_options = StoreOptions { clock: Arc::clone(&clock), ..StoreOptions::default() };
        let store = Arc::new(Store::open_local_with(&options.data_dir, store_options)?);
        Collector::start_with(options, store, clock, drain).await
    }

    /// As [`Collector::start`], over a store that is open already (readers in the same process share its caches).
    ///
    /// # Errors
    /// As [`Collector::start`].
    pub async fn start_with(
        options: CollectorOptions,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        drain: Drain,
    ) -> Result<CollectorHandle, CollectorError> {
        let unseen = Health::new(HealthOptions::default(), Arc::clone(&clock));
        Collector::start_reporting(options, store, clock, drain, &unseen).await
    }

    /// As [`Collector::start_with`]; `health` says from the first moment on how far the start is, and how the collector
    /// fares later.
    ///
    /// # Errors
    /// As [`Collector::start`].
    pub async fn start_reporting(
        options: CollectorOptions,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        drain: Drain,
        health: &Health,
    ) -> Result<CollectorHandle, CollectorError> {
        let vitals = Arc::new(Vitals::default());
        health::of_start(health, &vitals);
        let (tables, foreign) = lookup::tenants(&store).await?;
        let (log_options, data_dir) = (options.log.clone(), options.data_dir.clone());
        let (log, recovered, snapshot) = blocking(move || {
            // All frames still in the log, also those that every table holds: they rebuild the dedup window.
            let (log, recovered) = IngestLog::open(log_options, Arc::new(RealFileSystem), LogOffset(0))?;
            let snapshot = dedup_file::read(&data_dir).unwrap_or_else(|error| {
                tracing::error!(%error, "repeats of old requests will not be recognised");
                Snapshot::default()
            });
            Ok((log, recovered, snapshot))
        })
        .await?;
        let newest = lookup::newest(&tables);
        if log.durable() < newest {
            let (log, tables) = (log.durable().0, newest.0);
            tracing::error!(log, tables, "the ingest log is behind the tables: what it held beyond them is lost");
        }
        // Tables that were taken away hold nothing, whatever the snapshot says.
        let published = snapshot.published.min(newest);
        // A new frame must not get an offset that a table takes for one it holds.
        log.skip_to(newest.max(snapshot.published));
        let parts = Parts { options, clock, log, store, tables, foreign, vitals, published };
        let shared = Arc::new(Shared::new(parts, tokio::runtime::Handle::current()));
        health::of_running(health, &shared);
        health::watch(&shared)?;
        let sealer = recover(&shared, recovered, snapshot).await?;
        let (frames, bytes, took_ms) = shared.vitals.replay_ends();
        tracing::info!(frames, bytes, took_ms, "replay finished: all that was acknowledged can be queried");
        run(&shared, sealer, &drain)?;
        Ok(CollectorHandle { shared })
    }
}

/// Rebuilds the dedup window, the stitcher's memory and the unpublished rows. A long replay seals as it goes, so the
/// sealer runs from here on.
async fn recover(
    shared: &Arc<Shared>,
    recovered: Recovered,
    snapshot: Snapshot,
) -> Result<JoinHandle<()>, CollectorError> {
    let now = shared.clock.now();
    let costly = recovered.damage.iter().filter(|damage| damage.may_cost(LogOffset(shared.published.load(Relaxed))));
    lost::note(shared, costly.map(|damage| lost::of_damage(damage, now)).collect()).await;
    let tenants: Vec<_> = shared.read().tenants.keys().cloned().collect();
    for tenant in tenants {
        lookup::remember_stored(shared, &tenant).await?;
    }
    let state = Arc::clone(shared);
    let sealer = seal::spawn("sealer", shared, |shared| seal::run(shared))?;
    blocking(move || {
        snapshot.entries.into_iter().for_each(|(at, key)| state.dedup.stored(&[key], at));
        Applier::new(state).replay(recovered)
    })
    .await?;
    Ok(sealer)
}

/// Starts the threads and tasks of a collector that is up to date.
fn run(shared: &Arc<Shared>, sealer: JoinHandle<()>, drain: &Drain) -> Result<(), CollectorError> {
    let frames = shared.log.subscribe(shared.options.read_ahead_bytes);
    let applier = seal::spawn("applier", shared, move |shared| Applier::new(Arc::clone(shared)).run(frames))?;
    drain.spawn(retain::run(Arc::clone(shared), drain.clone()));
    drain.spawn(compact::run(Arc::clone(shared), drain.clone()));

    let (state, ending) = (Arc::clone(shared), drain.clone());
    drain.spawn(async move {
        tokio::select! {
            () = ending.begun() => {}
            error = state.log.failed() => {
                state.fail(error.into());
                return;
            }
        }
        state.draining.store(true, Relaxed);
        if let Err(error) = state.log.clone().close().await {
            state.fail(error.into());
        }
        // The log ends, so the applier hands over what is left and returns, and the sealer after it.
        let joined = tokio::task::spawn_blocking(move || applier.join().and_then(|()| sealer.join())).await;
        if !matches!(joined, Ok(Ok(()))) {
            state.fail(CollectorError::Worker("applier"));
        }
    });
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CollectorError> + Send + 'static,
) -> Result<T, CollectorError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CollectorError::Worker("start"))?
}

impl CollectorHandle {
    /// `POST /internal/v1/hot` and `GET /internal/v1/status`, for query nodes elsewhere.
    pub fn internal_router(&self) -> axum::Router {
        internal::router(self.clone())
    }

    /// Its figures in the Prometheus text format. No tenant is named.
    pub async fn exposition(&self) -> String {
        exposition::text(self).await
    }

    /// The time, the log's figures, and failed attempts of the seal under way.
    pub(crate) fn figures(&self) -> (UnixNanos, LogStats, u32) {
        let failed = self.shared.vitals.failing_seal().map_or(0, |failing| failing.attempts);
        (self.shared.clock.now(), self.shared.log.stats(), failed)
    }

    /// The collector's ledger, for the receivers in front of it.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger.clone()
    }

    /// The tables, for readers in the same process.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.shared.store)
    }

    /// Resolves when the collector has failed for good: the process should exit and recover by replay.
    pub async fn failed(&self) -> Arc<CollectorError> {
        let mut failure = self.shared.failure.subscribe();
        loop {
            if let Some(error) = failure.borrow_and_update().clone() {
                return error;
            }
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn turned_away(&self) -> Option<Refusal> {
        if self.shared.draining.load(Relaxed) {
            return Some(Refusal::unavailable("stopping", "the collector is shutting down", RETRY_AFTER_MS));
        }
        let failed = self.shared.failure.borrow().is_some();
        failed.then(|| Refusal::unavailable("failed", "the collector has failed and restarts", RETRY_AFTER_MS))
    }
}

#[async_trait]
impl Ingest for CollectorHandle {
    async fn ingest(&self, request: IngestRequest) -> Result<IngestAnswer, Refusal> {
        if let Some(refusal) = self.turned_away() {
            return Err(refusal);
        }
        if self.shared.foreign.contains(&request.tenant) {
            let message = format!(
                "tenant {} of this store is another collector's: send there, or start this one with --take-over when that \
                 one is gone for good",
                request.tenant
            );
            return Err(Refusal::unavailable("foreign_tenant", message, FOREIGN_RETRY_MS));
        }
        // A task of its own: a client that hangs up must not leave an append without an outcome.
        let task = tokio::spawn(accept(Arc::clone(&self.shared), request));
        let limit = Duration::from_millis(self.shared.options.ack_timeout_ms);
        match tokio::time::timeout(limit, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refusal::unavailable("internal", "the request was not finished", RETRY_AFTER_MS)),
            Err(_) => Err(Refusal::unavailable("timeout", "not durable in time: send it again", RETRY_AFTER_MS)),
        }
    }

    async fn heartbeat(&self, beat: Heartbeat) -> Result<(), Refusal> {
        if let Some(refusal) = self.turned_away() {
            return Err(refusal);
        }
        let declared = Declared {
            agent: (beat.tenant, beat.agent),
            epoch: beat.epoch,
            closed_until: Some(beat.closed_until),
            durable: self.shared.log.durable(),
            ledger: (!beat.ledger.rows.is_empty()).then_some(beat.ledger),
        };
        self.shared.agents.heard(declared, self.shared.clock.now());
        Ok(())
    }
}

#[async_trait]
impl HotSource for CollectorHandle {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        let shared = Arc::clone(&self.shared);
        let durable = visible(&shared).await;
        tokio::task::spawn_blocking(move || read_hot(&shared, &request, durable))
            .await
            .map_err(|_| HotError::Unreachable("hot read was not finished".into()))?
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || status(&shared))
            .await
            .map_err(|_| HotError::Unreachable("status was not finished".into()))
    }

    async fn storage(&self) -> Result<Usage, HotError> {
        storage::usage(&self.shared).await.map_err(|error| HotError::Unreachable(error.to_string()))
    }
}

/// Waits, within a bound, until what is durable now can be read. Returns that offset.
async fn visible(shared: &Shared) -> LogOffset {
    let durable = shared.log.durable();
    let applied = async {
        while shared.vitals.applied.load(Relaxed) < durable.0 && shared.failure.borrow().is_none() {
            tokio::time::sleep(VISIBLE_POLL).await;
        }
    };
    let limit = Duration::from_millis(shared.options.read_wait_ms);
    // Too long is no failure: the answer says what it lacks.
    let _ = tokio::time::timeout(limit, applied).await;
    durable
}

fn read_hot(shared: &Shared, request: &HotRequest, durable: LogOffset) -> Result<HotRows, HotError> {
    let mut rows = hot_rows(shared, request, durable, |batch| {
        request.columns.as_ref().map_or_else(|| Ok(batch.clone()), |columns| project(batch, columns))
    })?;
    if fault::active(Fault::DropHotRow)
        && let Some(batch) = rows.batches.first_mut()
    {
        *batch = batch.slice(1, batch.num_rows() - 1);
    }
    Ok(rows)
}

/// Hot rows as `narrow` makes them of all rows and columns, before resources are written out on each row.
pub(crate) fn hot_rows<E: std::fmt::Display>(
    shared: &Shared,
    request: &HotRequest,
    durable: LogOffset,
    narrow: impl Fn(&RecordBatch) -> Result<RecordBatch, E>,
) -> Result<HotRows, HotError> {
    let behind;
    let read = {
        let mut core = shared.read();
        let applied = core.applied;
        let Some(tenant) = core.tenants.get_mut(&request.tenant) else {
            return Ok(HotRows { through: applied, batches: Vec::new(), behind: durable > applied });
        };
        behind = durable > applied;
        tenant.read_hot(request.table, request.after, applied, request.time)
    };
    let unreachable =
        |error: &dyn std::fmt::Display| HotError::Unreachable(format!("hot rows of {}: {error}", request.table));
    let (through, hot) = read.map_err(|unread| match unread {
        Unread::Stale(needed) => HotError::Stale { needed },
        Unread::Broken(error) => unreachable(&error),
    })?;
    let mut batches = Vec::with_capacity(hot.len());
    for rows in hot {
        let batch = rows.batch().map_err(|error| unreachable(&error))?;
        let narrow = narrow(&batch).map_err(|error| unreachable(&error))?;
        batches.push(widen(&narrow).map_err(|error| unreachable(&error))?);
    }
    Ok(HotRows { through, batches, behind })
}

/// The columns asked for, in schema order.
fn project(batch: &RecordBatch, columns: &[String]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let schema = batch.schema();
    let mut positions = columns.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
    positions.sort_unstable();
    positions.dedup();
    batch.project(&positions)
}

pub(crate) fn status(shared: &Shared) -> CollectorStatus {
    let now = shared.clock.now();
    let durable = shared.log.durable();
    let (applied, applied_received, hot_rows, metrics) = {
        let core = shared.read();
        let hot_rows: usize = core.tenants.values().map(crate::tenant::Tenant::hot_rows).sum();
        // Before the ledger: what was applied is in flight there, or has its outcome.
        let metrics = core.tenants.iter().map(|(id, tenant)| (id.clone(), tenant.account.known())).collect();
        (core.applied, core.applied_received, hot_rows, metrics)
    };
    let agents = shared.agents.status(applied, now);
    // While durable frames wait for the applier, "now" is what was received last of what can be queried.
    let arrived = if applied >= durable { now } else { applied_received };
    let mut ledgers = vec![shared.ledger.snapshot()];
    ledgers.extend(shared.agents.ledgers());
    let stats = shared.log.stats();
    let watermarks = shared.agents.watermarks(&agents, arrived);
    CollectorStatus {
        watermark: watermarks.values().copied().min().unwrap_or(arrived),
        arrived: Some(arrived),
        watermarks,
        untracked_agents: shared.agents.untracked(),
        agents,
        ledgers,
        durable,
        applied,
        started_at: Some(shared.started_at),
        metrics: Some(metrics),
        log_bytes: stats.bytes,
        log_segments: stats.segments,
        hot_rows: hot_rows as u64,
        memory: Some(shared.options.memory.status()),
    }
}
