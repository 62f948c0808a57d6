//! Health of a role: named checks, and since when each says what it says.
//!
//! A *local* check fails when the role cannot do its job (its log is poisoned, its disk is full). A *dependency* check
//! fails when something the role asks does not answer; it is shown, and takes the role out of service only on demand
//! (`dependencies_count`), because taking every replica away when a shared dependency fails makes one failure two.
//!
//! Invariants:
//! - every check has a time limit, so that an answer comes also when what is asked hangs;
//! - checks run at most once per `keep_ms`, however many ask.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daymark_model::UnixNanos;

use crate::Clock;

/// What a check asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// The role itself.
    Local,
    /// Something the role depends on.
    Dependency,
}

/// The outcome of asking; the error is the reason, a sentence.
pub type Asked = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Ask = Arc<dyn Fn() -> Asked + Send + Sync>;

/// How checks are made and counted.
#[derive(Clone, Copy, Debug)]
pub struct HealthOptions {
    /// Longest a check may take, milliseconds.
    pub check_timeout_ms: u64,
    /// An answer is given again for so long, milliseconds.
    pub keep_ms: u64,
    /// Whether a failed dependency makes the role not ready.
    pub dependencies_count: bool,
}

impl Default for HealthOptions {
    fn default() -> HealthOptions {
        HealthOptions { check_timeout_ms: 1_000, keep_ms: 200, dependencies_count: false }
    }
}

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Its name.
    pub name: &'static str,
    /// What it asks about.
    pub kind: CheckKind,
    /// Why it fails; `None` when it is well.
    pub failed: Option<String>,
    /// Since when it is well, or fails.
    pub since: UnixNanos,
}

/// What all checks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// Whether the role can do its job.
    pub ready: bool,
    /// In the order they were added.
    pub checks: Vec<CheckReport>,
}

struct Check {
    name: &'static str,
    kind: CheckKind,
    ask: Ask,
    /// Whether it was well when last asked, and since when.
    state: Option<(bool, UnixNanos)>,
}

/// The checks of a role. Clones share them.
#[derive(Clone)]
pub struct Health {
    options: HealthOptions,
    clock: Arc<dyn Clock>,
    checks: Arc<Mutex<Vec<Check>>>,
    last: Arc<tokio::sync::Mutex<Option<(Instant, HealthReport)>>>,
    restart: Arc<Mutex<Vec<Restart>>>,
}

/// Tells why only a restart helps, if that is so.
type Restart = Box<dyn Fn() -> Option<String> + Send + Sync>;

impl Health {
    /// Without checks everything is well.
    pub fn new(options: HealthOptions, clock: Arc<dyn Clock>) -> Health {
        Health { options, clock, checks: Arc::default(), last: Arc::default(), restart: Arc::default() }
    }

    /// Adds a check that waits for an answer.
    pub fn add<A>(&self, name: &'static str, kind: CheckKind, ask: A)
    where
        A: Fn() -> Asked + Send + Sync + 'static,
    {
        self.lock().push(Check { name, kind, ask: Arc::new(ask), state: None });
    }

    /// Adds a local check that knows at once.
    pub fn add_local<A>(&self, name: &'static str, ask: A)
    where
        A: Fn() -> Result<(), String> + Send + Sync + 'static,
    {
        self.add(name, CheckKind::Local, move || {
            let answer = ask();
            Box::pin(async move { answer })
        });
    }

    /// Adds a reason for a restart: while `ask` names one, the role is not alive.
    pub fn add_restart(&self, ask: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.restart.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(ask));
    }

    /// Why only a restart helps; `None` while the role is alive.
    pub fn needs_restart(&self) -> Option<String> {
        self.restart.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(|ask| ask())
    }

    /// Asks every check, all at once.
    pub async fn report(&self) -> HealthReport {
        let mut last = self.last.lock().await;
        if let Some((at, report)) = last.as_ref()
            && at.elapsed() < Duration::from_millis(self.options.keep_ms)
        {
            return report.clone();
        }
        let asks: Vec<Ask> = self.lock().iter().map(|check| Arc::clone(&check.ask)).collect();
        let limit = Duration::from_millis(self.options.check_timeout_ms);
        // Tasks, so that they run beside each other: the answer takes as long as the slowest.
        let running: Vec<_> =
            asks.into_iter().map(|ask| tokio::spawn(async move { tokio::time::timeout(limit, ask()).await })).collect();
        let mut answers = Vec::with_capacity(running.len());
        for task in running {
            answers.push(match task.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(format!("no answer within {} ms", self.options.check_timeout_ms)),
                Err(_) => Err("the check itself failed".to_owned()),
            });
        }
        let report = self.settle(answers);
        *last = Some((Instant::now(), report.clone()));
        report
    }

    fn settle(&self, answers: Vec<Result<(), String>>) -> HealthReport {
        let now = self.clock.now();
        let mut checks = self.lock();
        let told = checks.iter_mut().zip(answers).map(|(check, answer)| {
            let well = answer.is_ok();
            let since = check.state.filter(|(was_well, _)| *was_well == well).map_or(now, |(_, since)| since);
            check.state = Some((well, since));
            CheckReport { name: check.name, kind: check.kind, failed: answer.err(), since }
        });
        let checks: Vec<CheckReport> = told.collect();
        let counts = |check: &&CheckReport| check.kind == CheckKind::Local || self.options.dependencies_count;
        let ready = checks.iter().filter(counts).all(|check| check.failed.is_none());
        HealthReport { ready, checks }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Check>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;
    use crate::ManualClock;

    fn health(dependencies_count: bool) -> (Health, Arc<ManualClock>, Arc<AtomicBool>) {
        let clock = Arc::new(ManualClock::at(UnixNanos::from_seconds(100)));
        let options = HealthOptions { check_timeout_ms: 50, keep_ms: 0, dependencies_count };
        let health = Health::new(options, clock.clone());
        let full = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&full);
        health.add_local("disk", move || if seen.load(SeqCst) { Err("full".to_owned()) } else { Ok(()) });
        (health, clock, full)
    }

    #[tokio::test]
    async fn a_failed_local_check_makes_the_role_unready_and_says_since_when() {
        let (health, clock, full) = health(false);
        assert!(health.report().await.ready);
        full.store(true, SeqCst);
        clock.set(UnixNanos::from_seconds(110));
        health.report().await;
        clock.set(UnixNanos::from_seconds(120));
        let report = health.report().await;
        let disk = &report.checks[0];
        assert_eq!((report.ready, disk.failed.as_deref()), (false, Some("full")));
        assert_eq!(disk.since.seconds(), 110);
        full.store(false, SeqCst);
        assert!(health.report().await.ready);
    }

    #[tokio::test]
    async fn a_dependency_that_hangs_is_shown_and_counts_only_on_demand() {
        for counts in [false, true] {
            let (health, ..) = health(counts);
            health.add("store", CheckKind::Dependency, || Box::pin(std::future::pending()));
            let report = health.report().await;
            assert_eq!(report.ready, !counts);
            assert_eq!(report.checks[1].failed.as_deref(), Some("no answer within 50 ms"));
        }
    }

    #[test]
    fn only_a_reason_for_a_restart_ends_life() {
        let (health, _, full) = health(false);
        full.store(true, SeqCst);
        assert_eq!(health.needs_restart(), None, "a full disk is not cured by a restart");
        health.add_restart(|| Some("the log is poisoned".to_owned()));
        assert_eq!(health.needs_restart().as_deref(), Some("the log is poisoned"));
    }
}
