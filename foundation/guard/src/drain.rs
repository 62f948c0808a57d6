//! Shutting down in order: stop taking work, finish what is in hand, exit.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells every task of a role to finish, and waits for them. Clones share the signal.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Drain {
        Drain::default()
    }

    /// Asks all tasks to finish.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Whether tasks should finish.
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves when tasks should finish.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Runs a task that [`Drain::finished`] waits for.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// Waits until all tasks are done, `limit` at most; false when some were not.
    pub async fn finished(&self, limit: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}
