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
    /// The collector's own refusal when it must not be repeated; otherwise `timeout`, class `Retry`: whether the batch
    /// was stored is then not known.
    pub(crate) async fn deliver(&self, upstream: &dyn Ingest, batch: IngestRequest) -> Result<IngestAnswer, Refusal> {
        let deadline = Instant::now() + self.deliver_timeout;
        // The lane is kept between attempts: when the collector is down, few batches knock at its door.
        let Ok(lane) = timeout_at(deadline, self.lanes.acquire()).await else {
            return Err(self.out_of_time("no batch could be sent", None));
        };
        let _lane = lane.map_err(|_| self.out_of_time("the agent is stopping", None))?;
        let mut backoff = Backoff::new(self.backoff);
        loop {
            let refusal = match self.attempt(upstream, batch.clone(), deadline).await {
                Err(refusal) if is_passing(&refusal) => refusal,
                settled => return settled,
            };
            let wait = backoff.next_wait(refusal.retry_after_ms);
            tracing::debug!(reason = refusal.reason, wait_ms = wait.as_millis() as u64, "attempt failed: {refusal}");
            if Instant::now() + wait >= deadline {
                return Err(self.out_of_time(&refusal.message, refusal.retry_after_ms));
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
            .unwrap_or_else(|_| Err(Refusal { retry_after_ms: None, ..self.out_of_time("no answer", None) }))
    }

    fn out_of_time(&self, why: &str, retry_after_ms: Option<u64>) -> Refusal {
        let message = format!("the collector did not take the batch in time: {why}; send it again");
        Refusal::unavailable("timeout", message, retry_after_ms.unwrap_or(0).max(self.retry_after_ms))
    }
}

fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.class(), ErrorClass::Retry | ErrorClass::Overload)
}
