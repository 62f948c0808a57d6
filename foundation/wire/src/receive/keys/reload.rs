//! Following a key file: its changes count without a restart.
//!
//! Invariants:
//! - a file that is wrong changes nothing: the keys that were read last stay, and the mistake is logged once;
//! - the file is read off the async threads, at most once in the interval and at SIGHUP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daymark_guard::Drain;
use tokio::signal::unix::{SignalKind, signal};

use super::{KeyFile, KeyFileError};

/// Reads the key file at `path` every `interval_ms` and at SIGHUP, and calls `apply` with what it says when that has
/// changed. Ends with the drain. `apply` is called first with the next change, not with what is there now.
pub async fn follow_key_file<F>(path: PathBuf, interval_ms: u64, drain: Drain, mut apply: F)
where
    F: FnMut(KeyFile) -> Result<(), KeyFileError> + Send,
{
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be received: a changed key file is found by looking");
            None
        }
    };
    let mut seen = look(&path).await;
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => _ = hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = drain.begun() => return,
            () = asked => {}
            () = tokio::time::sleep(Duration::from_millis(interval_ms)) => {}
        }
        let now = look(&path).await;
        if now == seen {
            continue;
        }
        match now.clone().and_then(|text| KeyFile::parse(&path, &text).and_then(&mut apply).map_err(told)) {
            Ok(()) => tracing::info!(file = %path.display(), "key file read again"),
            // ERROR: an operator believes in keys that do not count yet.
            Err(error) => tracing::error!("key file: {error}; the keys read before stay in use"),
        }
        seen = now;
    }
}

/// The text of the file, or why there is none. The text and not its times: a file written twice within one tick of the
/// file system's clock has changed all the same.
async fn look(path: &Path) -> Result<String, String> {
    let path = path.to_owned();
    let text = tokio::task::spawn_blocking(move || KeyFile::text(&path).map_err(told));
    text.await.unwrap_or_else(|error| Err(error.to_string()))
}

fn told(error: KeyFileError) -> String {
    error.to_string()
}
