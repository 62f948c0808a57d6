//! The loop: watermark → refresh → step → journal → outbox, for each SLO.
//!
//! Invariants:
//! - event time advances slot by slot, also after a pause, up to a cap: what happened in between is not skipped;
//! - while data is missing event time stands still for that SLO, so late data is evaluated when it is in;
//! - one SLO's failure is its own: the others go on.

use std::sync::Arc;
use std::time::Duration;

use daymark_guard::Drain;
use daymark_model::{TenantId, UnixNanos};
use daymark_store::{CollectorStatus, HotSource, Reader};

use crate::burn::Unknown;
use crate::definition::Slo;
use crate::error::AlertsError;
use crate::evaluator::{Observation, Step, Subject, step};
use crate::incident::{Incident, IncidentEvent, IncidentId};
use crate::journal::Record;
use crate::notification::{Draft, Notification, drafts, held_back};
use crate::service::Shared;
use crate::sli::Slot;
use crate::sli_reader::SliReader;
use crate::state::Latest;
use crate::webhook;

/// How often the journal notes how far an SLO was evaluated, in slots: a crash repeats at most this much.
const PROGRESS_EVERY_SLOTS: u64 = 6;
/// Longest the collector's status may take.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// The evaluating side of the role.
pub(crate) struct Evaluation {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    source: Arc<dyn HotSource>,
}

impl Evaluation {
    pub(crate) fn new(shared: Arc<Shared>, reader: Arc<Reader>, source: Arc<dyn HotSource>) -> Evaluation {
        Evaluation { shared, reader, source }
    }

    /// Runs until the drain begins.
    pub(crate) async fn run(self, drain: Drain) {
        let mut interval =
            tokio::time::interval(Duration::from_millis(self.shared.options.evaluation_interval_ms.max(1)));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = drain.begun() => return,
                _ = interval.tick() => {}
            }
            tokio::select! {
                () = drain.begun() => return,
                () = self.tick() => {}
            }
        }
    }

    /// Evaluates every SLO once, up to the watermark.
    pub(crate) async fn tick(&self) {
        let status = tokio::time::timeout(STATUS_TIMEOUT, self.source.status()).await;
        let status = match status {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => Err(Unknown::CollectorUnreachable { why: error.to_string() }),
            Err(_) => Err(Unknown::CollectorUnreachable { why: "no answer within 5 s".to_owned() }),
        };
        if let Ok(status) = &status {
            self.shared.recorder.state().watermark = status.watermark_of(&self.shared.options.tenant);
        }
        for slo in &self.shared.options.definitions.slos {
            if let Err(error) = self.evaluate(slo, status.as_ref()).await {
                tracing::error!(slo = %slo.id, %error, "evaluation failed: nothing was decided, it is repeated");
            }
        }
    }

    async fn evaluate(&self, slo: &Slo, status: Result<&CollectorStatus, &Unknown>) -> Result<(), AlertsError> {
        let now = self.shared.clock.now();
        let status = match status {
            Ok(status) => status,
            Err(unknown) => return self.hold(slo, unknown.clone(), now).await,
        };
        if let Some(unknown) = self.missing(slo, status, now) {
            return self.hold(slo, unknown, now).await;
        }
        let end = Slot::of(status.watermark_of(&self.shared.options.tenant));
        let Some(due) = self.shared.cache(&slo.id).map(|cache| cache.due(self.shared.options.refresh_plan(), end, now))
        else {
            return Ok(());
        };
        let Some(next) = self.next_slot(slo, end) else { return self.confirm(slo).await };
        let read_timeout_ms = self.shared.options.read_timeout_ms;
        let reader =
            SliReader { reader: &self.reader, tenant: &self.shared.options.tenant, timeout_ms: read_timeout_ms };
        match reader.fetch(slo, due).await {
            Ok(fetched) => {
                if let Some(mut cache) = self.shared.cache(&slo.id) {
                    cache.install(fetched, slo.window_s);
                }
            }
            Err(unknown) => return self.hold(slo, unknown, now).await,
        }
        for slot in next.0..=end.0 {
            self.step(slo, Slot(slot), None).await?;
        }
        self.note_progress(slo, end).await
    }

    /// Why the SLO is unknown before any of its data is read.
    fn missing(&self, slo: &Slo, status: &CollectorStatus, now: UnixNanos) -> Option<Unknown> {
        let options = &self.shared.options;
        let gone = |last_seen: UnixNanos| now.0.saturating_sub(last_seen.0) > options.agent_forget_ms * 1_000_000;
        let sends = |services: &[String]| services.contains(&slo.service);
        let ours = |tenant: &TenantId| *tenant == self.shared.options.tenant;
        let down =
            status.agents.iter().find(|a| a.silent && ours(&a.tenant) && sends(&a.services) && !gone(a.last_seen));
        if let Some(agent) = down {
            return Some(Unknown::AgentDown { agent: agent.agent.to_string() });
        }
        let watermark = status.watermark_of(&options.tenant);
        if watermark == UnixNanos::default() {
            return Some(Unknown::NotYetEvaluated);
        }
        let behind_ns = now.0.saturating_sub(watermark.0);
        let stalled = behind_ns > options.watermark_stall_ms * 1_000_000;
        stalled.then_some(Unknown::WatermarkStalled { behind_s: behind_ns / 1_000_000_000 })
    }

    /// The first slot boundary not evaluated yet; none when `end` was.
    fn next_slot(&self, slo: &Slo, end: Slot) -> Option<Slot> {
        let last = self.shared.recorder.state().evaluated_until(&slo.id);
        let Some(last) = last else { return Some(end) };
        let oldest = end.minus_seconds(self.shared.options.catch_up_s);
        (last < end).then(|| last.next().max(oldest))
    }

    /// Records that nothing can be said, and decides nothing: except under the fault that breaks this promise.
    async fn hold(&self, slo: &Slo, unknown: Unknown, now: UnixNanos) -> Result<(), AlertsError> {
        let (at, news) = {
            let state = self.shared.recorder.state();
            let at = state.evaluated_until(&slo.id).unwrap_or(Slot::of(now));
            let before = state.latest.get(&slo.id).and_then(|latest| latest.missing.as_ref());
            (at, before.map(std::mem::discriminant) != Some(std::mem::discriminant(&unknown)))
        };
        if news {
            tracing::warn!(slo = %slo.id, reason = unknown.sentence(), "the SLO is unknown");
            self.note(
                slo,
                Slot::of(now),
                format!("data missing: {}; the incident neither grows nor resolves", unknown.sentence()),
            )
            .await?;
        }
        self.step(slo, at, Some(unknown)).await
    }

    /// Nothing new is closed, but the data is there again.
    async fn confirm(&self, slo: &Slo) -> Result<(), AlertsError> {
        if let Some(latest) = self.shared.recorder.state().latest.get_mut(&slo.id) {
            latest.missing = None;
        }
        Ok(())
    }

    /// Adds a note to the SLO's open incident, if it has one.
    async fn note(&self, slo: &Slo, at: Slot, what: String) -> Result<(), AlertsError> {
        let open = self.shared.recorder.state().incidents.open_of(&slo.id).map(|incident| incident.id.clone());
        let Some(incident) = open else { return Ok(()) };
        let record = Record::Incident { incident, event: IncidentEvent::Noted { at, what } };
        self.shared.recorder.clone().record(vec![record]).await
    }

    /// One step of the evaluator, with everything that follows from it.
    pub(crate) async fn step(&self, slo: &Slo, end: Slot, missing: Option<Unknown>) -> Result<(), AlertsError> {
        let Some((outcome, open, examples)) = self.read_step(slo, end, missing.as_ref()) else { return Ok(()) };
        let latest = Latest { end: Some(end), readings: outcome.readings, missing, examples };
        if !outcome.events.is_empty() {
            let records = self.consequences(slo, open, outcome.events, &latest, end);
            self.shared.recorder.clone().record(records).await?;
            self.shared.ring();
        }
        let known = latest.missing.is_none();
        let mut state = self.shared.recorder.state();
        state.latest.insert(slo.id.clone(), latest);
        if known {
            state.progress.insert(slo.id.clone(), end);
        }
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "read once, right below")]
    fn read_step(
        &self,
        slo: &Slo,
        end: Slot,
        missing: Option<&Unknown>,
    ) -> Option<(Step, Option<Incident>, Vec<(UnixNanos, daymark_model::TraceId)>)> {
        let open = self.shared.recorder.state().incidents.open_of(&slo.id).cloned();
        let cache = self.shared.cache(&slo.id)?;
        let subject = Subject { slo: &slo.id, service: &slo.service, policy: &slo.policy };
        let observation = Observation { series: &cache.series, end, missing };
        Some((step(subject, open.as_ref(), observation), open, cache.examples.clone()))
    }

    /// The records of a step's events: the events, notes on who was not told, and the notifications.
    fn consequences(
        &self,
        slo: &Slo,
        open: Option<Incident>,
        events: Vec<IncidentEvent>,
        latest: &Latest,
        end: Slot,
    ) -> Vec<Record> {
        let fresh = || Incident::opened(IncidentId::new(&slo.id, end), slo.id.clone(), slo.service.clone(), end);
        let mut incident = open.unwrap_or_else(fresh);
        events.iter().for_each(|event| incident.apply(event));
        let running = self.shared.recorder.state().running(&incident.id);
        let drafts = drafts(&incident, &running);
        let mut notes = held_back(&events, &drafts);
        let mut notifications = Vec::new();
        for draft in &drafts {
            let told = self.notifications(slo, &incident, *draft, latest);
            if told.is_empty() {
                let what = format!("nobody was told: no route for severity {}", draft.severity);
                notes.push(IncidentEvent::Noted { at: end, what });
            }
            notifications.extend(told);
        }
        let number = self.shared.recorder.state().next_number();
        let queued = (number..)
            .zip(notifications)
            .map(|(number, notification)| Record::Queued { notification: Notification { number, ..notification } });
        let id = incident.id.clone();
        let of_incident = |event| Record::Incident { incident: id.clone(), event };
        events.into_iter().chain(notes).map(of_incident).chain(queued).collect()
    }

    /// One notification per receiver of the draft's severity; numbered later.
    fn notifications(&self, slo: &Slo, incident: &Incident, draft: Draft, latest: &Latest) -> Vec<Notification> {
        let now = self.shared.clock.now();
        let subject = webhook::Subject {
            slo,
            incident,
            draft,
            example: latest.examples.first().map(|(_, trace)| *trace),
            external_url: &self.shared.options.external_url,
            at: incident.resolved_at.unwrap_or(latest.end.unwrap_or_default()).start(),
        };
        let receivers = self.shared.options.definitions.receivers_of(draft.severity);
        let notification = |receiver: &crate::definition::Receiver| Notification {
            number: 0,
            incident: incident.id.clone(),
            receiver: receiver.name.clone(),
            severity: draft.severity,
            status: draft.status,
            queued_at: now,
            body: webhook::body(&subject, receiver),
        };
        receivers.into_iter().map(notification).collect()
    }

    /// Makes durable how far the SLO was evaluated, once a minute of event time.
    async fn note_progress(&self, slo: &Slo, end: Slot) -> Result<(), AlertsError> {
        let noted = self.shared.recorder.state().evaluated.get(&slo.id).copied();
        if noted.is_some_and(|noted| end.0 < noted.0 + PROGRESS_EVERY_SLOTS) {
            return Ok(());
        }
        let record = Record::Evaluated { slo: slo.id.clone(), end };
        self.shared.recorder.clone().record(vec![record]).await
    }
}
