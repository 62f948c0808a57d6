//! Sends one batch until the collector has it, refuses it for good, or time is up.
//!
//! Invariants:
//! - every attempt carries the same stamp and the same bytes, so that the collector recognises a repetition;
//! - no attempt without a timeout, no wait beyond the deadline of the batch;
//! - retries happen here and at no other level.

use std::sync::Arc;
use std::time::Duration;

use daymark_guard::{Backoff, BackoffOptions};
use daymark_model::{Classify, ErrorClass, Refusal};
use daymark_wire::{Ingest, IngestAnswer, IngestRequest};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use crate::options::AgentOptions;

/// Sends batches, a bounded number at once.
pub(crate) struct Sender {
    lanes: Arc<Semaphore>,
    attempt_timeout: Duration,
    deliver_timeout: Duration,
    backoff: BackoffOptions,
    retry_after_ms: u64,
}

impl Sender {
    pub(crate) fn new(options: &AgentOptions) -> Sender {
        Sender {
            lanes: Arc::new(Semaphore::new(options.concurrent_sends.max(1))),
            attempt_timeout: Duration::from_millis(options.attempt_timeout_ms),
            deliver_timeout: Duration::from_millis(options.deliver_timeout_ms),
            backoff: options.backoff,
            retry_after_ms: options.retry_after_ms,
        }
    }

    /// Delivers `batch`. `Ok` means that the collector has made it durable.
    ///
    /// # Errors
    /// The collector's own refusal when it must not be repeated, when the tenant's quota is used up, or when there is no
    /// time for another attempt; without any answer `timeout`, class `Retry`: whether the batch
    /// was stored is then not known.
    pub(crate) async fn deliver(&self, upstream: &dyn Ingest, batch: IngestRequest) -> Result<IngestAnswer, Refusal> {
        let deadline = Instant::now() + self.deliver_timeout;
        // The lane is kept between attempts: when the collector is down, few batches knock at its door.
        let Ok(lane) = timeout_at(deadline, self.lanes.acquire()).await else {
            return Err(self.out_of_time("no batch could be sent"));
        };
        let _lane = lane.map_err(|_| self.out_of_time("the agent is stopping"))?;
        let mut backoff = Backoff::new(self.backoff);
        loop {
            let refusal = match self.attempt(upstream, batch.clone(), deadline).await {
                Err(refusal) if is_passing(&refusal) && !is_the_tenants_own(&refusal) => refusal,
                settled => return settled,
            };
            let wait = backoff.next_wait(refusal.retry_after_ms);
            tracing::debug!(reason = refusal.reason, wait_ms = wait.as_millis() as u64, "attempt failed: {refusal}");
            if Instant::now() + wait >= deadline {
                // Who asks for a wait has answered: the client is told what the collector said.
                let answered = refusal.retry_after_ms.is_some();
                return Err(if answered { refusal } else { self.out_of_time(&refusal.message) });
            }
            sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        upstream: &dyn Ingest,
        batch: IngestRequest,
        deadline: Instant,
    ) -> Result<IngestAnswer, Refusal> {
        let limit = deadline.min(Instant::now() + self.attempt_timeout);
        timeout_at(limit, upstream.ingest(batch))
            .await
            .unwrap_or_else(|_| Err(Refusal { retry_after_ms: None, ..self.out_of_time("no answer") }))
    }

    fn out_of_time(&self, why: &str) -> Refusal {
        let message = format!("the collector did not take the batch in time: {why}; send it again");
        Refusal::unavailable("timeout", message, self.retry_after_ms)
    }
}

/// A quota: its client must slow down, and nobody else's batches may wait behind it here.
fn is_the_tenants_own(refusal: &Refusal) -> bool {
    matches!(refusal.reason, "quota_bytes" | "quota_items")
}

fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.class(), ErrorClass::Retry | ErrorClass::Overload)
}
