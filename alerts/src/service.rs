//! The alerts role: options, start, handle.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use daymark_guard::{BackoffOptions, Clock, Drain};
use daymark_model::{TenantId, UnixNanos};
use daymark_store::{HotSource, Reader};
use tokio::sync::Notify;

use crate::api;
use crate::definition::{Definitions, SloId};
use crate::error::AlertsError;
use crate::evaluation::Evaluation;
use crate::journal::{Attempt, Journal, Record};
use crate::outbox::{DeliveryLimits, Worker};
use crate::sli_reader::{RefreshPlan, SliCache};
use crate::state::State;
use crate::webhook::WebhookClient;

/// Options of the alerts role. [`AlertsOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct AlertsOptions {
    /// The journal lies in `alerts/` below it.
    pub data_dir: PathBuf,
    /// What to evaluate, and whom to tell.
    pub definitions: Definitions,
    /// Whose telemetry.
    pub tenant: TenantId,
    /// Address of the UI, for links in notifications, without a slash at the end.
    pub external_url: String,
    /// Time between looks at the watermark, milliseconds (5,000). Event time advances in slots of 10 s.
    pub evaluation_interval_ms: u64,
    /// SLOs are unknown when the watermark is this far behind the clock, milliseconds (120,000).
    pub watermark_stall_ms: u64,
    /// An agent silent for longer than this was taken away: its services are no longer unknown, milliseconds (3,600,000).
    pub agent_forget_ms: u64,
    /// Longest stretch of event time evaluated step by step after a pause, seconds (3,600).
    pub catch_up_s: u64,
    /// Read again at every step, for late data, seconds (300).
    pub recent_read_s: u64,
    /// Read again every `wide_read_every_s`, at 10 s: the page windows, seconds (25,200).
    pub wide_read_s: u64,
    /// Seconds between wide reads (30).
    pub wide_read_every_s: u64,
    /// Seconds between reads of everything, older data as 1 min rollups (600).
    pub full_read_every_s: u64,
    /// Longest a read of one SLO's series may take, milliseconds (30,000).
    pub read_timeout_ms: u64,
    /// Longest an attempt to deliver may take, milliseconds (10,000).
    pub notify_timeout_ms: u64,
    /// Attempts before a notification is a dead letter (100).
    pub notify_max_attempts: u32,
    /// Waits between attempts (1 s to 60 s).
    pub notify_backoff: BackoffOptions,
    /// Resolved incidents kept (1,000).
    pub keep_resolved: usize,
    /// Size at which the journal is rewritten without forgotten incidents, bytes (16 MiB).
    pub max_journal_bytes: u64,
}

impl AlertsOptions {
    /// The defaults.
    pub fn new(data_dir: impl Into<PathBuf>, definitions: Definitions) -> AlertsOptions {
        AlertsOptions {
            data_dir: data_dir.into(),
            definitions,
            tenant: TenantId::default(),
            external_url: "http://127.0.0.1:8080".to_owned(),
            evaluation_interval_ms: 5_000,
            watermark_stall_ms: 120_000,
            agent_forget_ms: 3_600_000,
            catch_up_s: 3_600,
            recent_read_s: 300,
            wide_read_s: 25_200,
            wide_read_every_s: 30,
            full_read_every_s: 600,
            read_timeout_ms: 30_000,
            notify_timeout_ms: 10_000,
            notify_max_attempts: 100,
            notify_backoff: BackoffOptions { first_ms: 1_000, cap_ms: 60_000 },
            keep_resolved: 1_000,
            max_journal_bytes: 16 * 1024 * 1024,
        }
    }

    pub(crate) fn refresh_plan(&self) -> RefreshPlan {
        RefreshPlan {
            recent_s: self.recent_read_s,
            wide_s: self.wide_read_s,
            wide_every_s: self.wide_read_every_s,
            full_every_s: self.full_read_every_s,
        }
    }
}

/// Makes records durable, then part of the state: in this order, for all of them or none.
pub(crate) struct Recorder {
    journal: Mutex<Journal>,
    state: Mutex<State>,
    keep_resolved: usize,
}

impl Recorder {
    /// The state, for a short look.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Journals and applies `records`, off the async threads.
    ///
    /// # Errors
    /// When they could not be made durable; the state is unchanged then.
    pub(crate) async fn record(self: Arc<Self>, records: Vec<Record>) -> Result<(), AlertsError> {
        let task = tokio::task::spawn_blocking(move || self.record_blocking(records));
        task.await.map_err(|error| AlertsError::Task(error.to_string()))?
    }

    fn record_blocking(&self, records: Vec<Record>) -> Result<(), AlertsError> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append(&records)?;
        let mut state = self.state();
        records.into_iter().for_each(|record| state.apply(record));
        if journal.wants_compaction() {
            state.forget(self.keep_resolved);
            let mut kept = journal.reread()?.records;
            kept.retain(|record| state.needs(record));
            if let Err(error) = journal.rewrite(&kept) {
                // The records are durable in the old file, which stays in use; the next append tries again.
                tracing::warn!(%error, "the alerts journal could not be rewritten");
            }
        }
        Ok(())
    }
}

/// What the loop, the outbox and the API share.
pub(crate) struct Shared {
    pub(crate) options: AlertsOptions,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) caches: BTreeMap<SloId, Mutex<SliCache>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// One per receiver, rung when something was queued for it.
    pub(crate) queued: BTreeMap<String, Arc<Notify>>,
}

impl Shared {
    /// The cache of an SLO, for a short look.
    pub(crate) fn cache(&self, slo: &SloId) -> Option<MutexGuard<'_, SliCache>> {
        self.caches.get(slo).map(|cache| cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the workers that the outbox has news.
    pub(crate) fn ring(&self) {
        self.queued.values().for_each(|queued| queued.notify_one());
    }
}

/// Starts the alerts role.
pub struct Alerts;

impl Alerts {
    /// Replays the journal, then evaluates and notifies until `drain` begins. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the journal cannot be opened.
    pub fn start(
        options: AlertsOptions,
        reader: Arc<Reader>,
        source: Arc<dyn HotSource>,
        clock: Arc<dyn Clock>,
        drain: Drain,
    ) -> Result<AlertsHandle, AlertsError> {
        let shared = Arc::new(open(options, clock)?);
        start_outbox(&shared, &drain)?;
        let evaluation = Evaluation::new(shared.clone(), reader, source);
        let running = drain.clone();
        drain.spawn(async move { evaluation.run(running).await });
        Ok(AlertsHandle { shared })
    }
}

/// The state as the journal has it, and an empty cache for each SLO.
pub(crate) fn open(options: AlertsOptions, clock: Arc<dyn Clock>) -> Result<Shared, AlertsError> {
    let dir = options.data_dir.join("alerts");
    let (mut journal, replay) = Journal::open(&dir, options.max_journal_bytes)?;
    for damage in &replay.damage {
        tracing::error!(dir = %dir.display(), damage, "a line of the alerts journal was damaged and skipped");
    }
    let mut state = State::default();
    replay.records.into_iter().for_each(|record| state.apply(record));
    let orphans = orphans(&options.definitions, &state, clock.now());
    if !orphans.is_empty() {
        journal.append(&orphans)?;
        orphans.into_iter().for_each(|record| state.apply(record));
    }
    let caches = options.definitions.slos.iter().map(|slo| (slo.id.clone(), Mutex::default())).collect();
    let queued = options.definitions.receivers.iter().map(|r| (r.name.clone(), Arc::default())).collect();
    let recorder =
        Recorder { journal: Mutex::new(journal), state: Mutex::new(state), keep_resolved: options.keep_resolved };
    Ok(Shared { options, recorder: Arc::new(recorder), caches, clock, queued })
}

/// What the definitions no longer know: open incidents of removed SLOs end, notifications to removed receivers are dead.
fn orphans(definitions: &Definitions, state: &State, now: UnixNanos) -> Vec<Record> {
    use crate::incident::IncidentEvent::{Noted, Resolved};
    use crate::sli::Slot;
    let at = Slot::of(now);
    let mut records = Vec::new();
    let open = state.incidents.iter().filter(|incident| !incident.is_resolved());
    for incident in open.filter(|incident| definitions.slo(incident.slo.as_str()).is_none()) {
        let what = format!("SLO {} is no longer defined: it cannot be evaluated", incident.slo);
        let id = &incident.id;
        records.extend(
            [Noted { at, what }, Resolved { at }].map(|event| Record::Incident { incident: id.clone(), event }),
        );
    }
    let waiting = state.notifications.values().filter(|tracked| tracked.ended.is_none());
    let removed = waiting.filter(|t| definitions.receivers.iter().all(|r| r.name != t.notification.receiver));
    records.extend(removed.map(|tracked| Record::Attempted {
        number: tracked.notification.number,
        at: now,
        attempt: Attempt::Dead,
        http_status: None,
        error: Some(format!("receiver {:?} is no longer defined", tracked.notification.receiver)),
    }));
    records
}

pub(crate) fn start_outbox(shared: &Arc<Shared>, drain: &Drain) -> Result<(), AlertsError> {
    let options = &shared.options;
    let client = WebhookClient::new(options.notify_timeout_ms)?;
    for receiver in &options.definitions.receivers {
        let worker = Worker {
            receiver: receiver.clone(),
            recorder: shared.recorder.clone(),
            client: client.clone(),
            clock: shared.clock.clone(),
            limits: DeliveryLimits { max_attempts: options.notify_max_attempts, backoff: options.notify_backoff },
            queued: shared.queued[&receiver.name].clone(),
        };
        let running = drain.clone();
        drain.spawn(async move { worker.run(running).await });
    }
    Ok(())
}

/// A running alerts role. Clones share it.
#[derive(Clone)]
pub struct AlertsHandle {
    shared: Arc<Shared>,
}

impl AlertsHandle {
    /// `/api/v1/slos` and `/api/v1/incidents`.
    pub fn router(&self) -> Router {
        api::router(self.shared.clone())
    }

    /// The definitions in use.
    pub fn definitions(&self) -> &Definitions {
        &self.shared.options.definitions
    }
}
