//! Capped exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).

use std::time::Duration;

use rand::Rng;

/// Bounds of the wait between attempts.
#[derive(Clone, Copy, Debug)]
pub struct BackoffOptions {
    /// Upper bound of the first wait, milliseconds.
    pub first_ms: u64,
    /// Upper bound of any wait, milliseconds.
    pub cap_ms: u64,
}

impl Default for BackoffOptions {
    fn default() -> BackoffOptions {
        BackoffOptions { first_ms: 100, cap_ms: 10_000 }
    }
}

/// Waits between the attempts of one call.
#[derive(Clone, Debug)]
pub struct Backoff {
    options: BackoffOptions,
    attempt: u32,
}

impl Backoff {
    /// Before the first retry.
    pub fn new(options: BackoffOptions) -> Backoff {
        Backoff { options, attempt: 0 }
    }

    /// How long to wait before the next attempt: uniform between 0 and the doubling bound,
    /// never shorter than what the other side asked for.
    #[expect(clippy::disallowed_methods, reason = "the randomness seam itself")]
    pub fn next_wait(&mut self, retry_after_ms: Option<u64>) -> Duration {
        let doubled = self.options.first_ms.saturating_mul(1 << self.attempt.min(20));
        self.attempt += 1;
        let jittered = rand::rng().random_range(0..=doubled.min(self.options.cap_ms));
        Duration::from_millis(jittered.max(retry_after_ms.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_honour_retry_after() {
        let mut backoff = Backoff::new(BackoffOptions { first_ms: 10, cap_ms: 100 });
        for attempt in 0..30 {
            let bound = (10_u64 << attempt.min(20)).min(100);
            assert!(backoff.next_wait(None) <= Duration::from_millis(bound));
        }
        assert!(backoff.next_wait(Some(5_000)) >= Duration::from_secs(5));
    }
}
