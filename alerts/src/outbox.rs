//! The outbox: notifications leave in order, at least once, until delivered or dead.
//!
//! One worker per receiver, so that a slow receiver delays nobody else and a resolution never overtakes its page. What to
//! send is read from the state, what happened is written to the journal first: a crash between the two repeats an attempt
//! under the same idempotency key, and loses none.
//!
//! Invariants: every attempt has a timeout; waits are capped, jittered and honour Retry-After; the number of attempts is
//! bounded, after which the notification is kept as a dead letter and an operator is told by a log line.

use std::sync::Arc;
use std::time::Duration;

use daymark_guard::{Backoff, BackoffOptions, Clock, Drain};
use tokio::sync::Notify;

use crate::definition::Receiver;
use crate::journal::{Attempt, Record};
use crate::notification::Notification;
use crate::service::Recorder;
use crate::webhook::{Undelivered, WebhookClient};

/// Bounds of delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliveryLimits {
    pub(crate) max_attempts: u32,
    pub(crate) backoff: BackoffOptions,
}

/// Sends what waits for one receiver.
pub(crate) struct Worker {
    pub(crate) receiver: Receiver,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) client: WebhookClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: DeliveryLimits,
    /// Rung when something was put into the outbox.
    pub(crate) queued: Arc<Notify>,
}

impl Worker {
    /// Runs until the drain begins. What is undelivered then is sent after the next start.
    pub(crate) async fn run(self, drain: Drain) {
        let mut backoff = Backoff::new(self.limits.backoff);
        loop {
            // Created before the look into the outbox, so that a notification queued in between is not missed.
            let queued = self.queued.notified();
            let next =
                self.recorder.state().next_for(&self.receiver.name).map(|t| (t.notification.clone(), t.attempts));
            let wait = match next {
                None => None,
                Some((notification, attempts)) => {
                    let attempt = self.attempt(&notification, attempts, &mut backoff);
                    tokio::select! {
                        wait = attempt => Some(wait),
                        () = drain.begun() => return,
                    }
                }
            };
            tokio::select! {
                () = drain.begun() => return,
                () = async { match wait { Some(wait) => tokio::time::sleep(wait).await, None => queued.await } } => {}
            }
        }
    }

    /// Tries once and records how it went; how long to wait before going on.
    async fn attempt(&self, notification: &Notification, attempts: u32, backoff: &mut Backoff) -> Duration {
        let sent = self.client.send(&self.receiver.url, notification).await;
        let (attempt, http_status, error) = match &sent {
            Ok(status) => (Attempt::Delivered, Some(*status), None),
            Err(failed) => (self.verdict(failed, attempts), failed.http_status, Some(failed.error.clone())),
        };
        let (receiver, incident, number) = (&self.receiver.name, &notification.incident.0, notification.number);
        match attempt {
            Attempt::Delivered => tracing::info!(receiver, incident, number, "notification delivered"),
            Attempt::Failed => tracing::warn!(receiver, incident, number, error, "notification will be tried again"),
            Attempt::Dead => tracing::error!(receiver, incident, number, error, "notification is a dead letter"),
        }
        let ended = attempt != Attempt::Failed;
        let record = Record::Attempted { number, at: self.clock.now(), attempt, http_status, error };
        let recorded = self.recorder.clone().record(vec![record]).await;
        if let Err(error) = &recorded {
            tracing::error!(%error, receiver, number, "the attempt could not be recorded: it will be repeated");
        }
        if ended && recorded.is_ok() {
            *backoff = Backoff::new(self.limits.backoff);
            return Duration::ZERO;
        }
        backoff.next_wait(sent.err().and_then(|failed| failed.retry_after_ms))
    }

    fn verdict(&self, failed: &Undelivered, attempts: u32) -> Attempt {
        if failed.retry && attempts + 1 < self.limits.max_attempts { Attempt::Failed } else { Attempt::Dead }
    }
}
