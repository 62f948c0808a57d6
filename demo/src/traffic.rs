//! The shop's customers: a steady rate of orders, and a count of how each ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daymark_guard::{Clock, Drain, SystemClock};

use crate::oracle::Outcome;

/// Orders a second, live and in the history.
pub(crate) const ORDERS_PER_SECOND: u64 = 2;

/// Outcomes of all orders so far, in order of time.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Arc<Mutex<Vec<Outcome>>>);

impl Outcomes {
    pub(crate) fn push(&self, outcome: Outcome) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
    }

    pub(crate) fn sorted(&self) -> Vec<Outcome> {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        outcomes.sort_by_key(|outcome| outcome.at);
        outcomes
    }
}

/// Places orders at `frontend` until the demo drains.
pub(crate) async fn place_orders(frontend: String, outcomes: Outcomes, drain: Drain) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / ORDERS_PER_SECOND));
    for number in 0_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = drain.begun() => break,
        }
        let (client, outcomes, url) = (client.clone(), outcomes.clone(), format!("{frontend}/buy"));
        tokio::spawn(async move {
            let query = [("order", format!("{number:06}")), ("user", format!("user-{}", number % 97))];
            let answer = client.post(url).query(&query).send().await;
            let bad = !answer.is_ok_and(|answer| answer.status().is_success());
            outcomes.push(Outcome { at: SystemClock.now(), bad });
        });
    }
    Ok(())
}
