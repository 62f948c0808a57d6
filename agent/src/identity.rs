//! Who this agent is: an id for the installation, an epoch for each run, a sequence for each batch.
//!
//! In `<data_dir>/agent/`: `id` (32 hex digits), `epoch` (decimal), `lock` (held while an agent runs).
//!
//! Invariants:
//! - an epoch is durable before a batch carries it, so no two runs ever share one;
//! - an id without a readable epoch is given up for a new one: reusing a stamp would lose data, a new id loses nothing.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use daymark_model::{AgentId, Stamp};

use crate::error::AgentError;

/// How long a start waits for the run before it to let go of the lock.
const LOCK_ATTEMPTS: u32 = 40;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// Identity of this run. Holds the lock.
pub(crate) struct Identity {
    pub(crate) agent: AgentId,
    pub(crate) epoch: u64,
    _lock: File,
}

/// Numbers the batches of a run, from 1.
#[derive(Default)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    /// The stamp of the next batch.
    pub(crate) fn stamp(&self, identity: &Identity) -> Stamp {
        let sequence = self.0.fetch_add(1, Relaxed) + 1;
        Stamp { agent: identity.agent, epoch: identity.epoch, sequence }
    }
}

impl Identity {
    /// Takes the next epoch of the installation in `data_dir`, creating it if need be.
    pub(crate) async fn take(data_dir: &Path) -> Result<Identity, AgentError> {
        let dir = data_dir.join("agent");
        fs::create_dir_all(&dir).map_err(failed(&dir))?;
        let lock = lock(&dir.join("lock")).await?;
        let (id_path, epoch_path) = (dir.join("id"), dir.join("epoch"));
        let known = read::<AgentId>(&id_path)?.zip(read::<u64>(&epoch_path)?);
        let (agent, epoch) = match known.and_then(|(agent, last)| Some((agent, last.checked_add(1)?))) {
            Some(known) => known,
            None => {
                if id_path.exists() || epoch_path.exists() {
                    tracing::warn!(path = %dir.display(), "agent identity is damaged: taking a new one");
                }
                // The id before its epoch: a crash in between must not leave the old id with epochs it has used.
                let agent = new_id();
                write_durably(&id_path, &agent.to_string())?;
                (agent, 1)
            }
        };
        write_durably(&epoch_path, &epoch.to_string())?;
        Ok(Identity { agent, epoch, _lock: lock })
    }
}

async fn lock(path: &Path) -> Result<File, AgentError> {
    let file = File::options().create(true).append(true).open(path).map_err(failed(path))?;
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_WAIT).await,
            Err(TryLockError::Error(source)) => return Err(failed(path)(source)),
        }
    }
    Err(AgentError::Locked { path: path.to_owned() })
}

/// The content of a file, if it is there and is what it should be.
fn read<T: std::str::FromStr>(path: &Path) -> Result<Option<T>, AgentError> {
    match fs::read(path) {
        Ok(bytes) => Ok(std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(path)(source)),
    }
}

fn write_durably(path: &Path, text: &str) -> Result<(), AgentError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = File::create(&temporary)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> AgentError {
    let path: PathBuf = path.to_owned();
    |source| AgentError::Identity { path, source }
}

#[expect(clippy::disallowed_methods, reason = "drawn once per installation: nothing to replay")]
fn new_id() -> AgentId {
    loop {
        let id = AgentId(rand::Rng::random(&mut rand::rng()));
        if !id.is_zero() {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_start_takes_the_next_epoch_of_the_same_id() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::take(dir.path()).await.unwrap();
        let (agent, epoch) = (first.agent, first.epoch);
        drop(first);
        let second = Identity::take(dir.path()).await.unwrap();
        assert_eq!((epoch, second.epoch), (1, 2));
        assert_eq!(second.agent, agent);
        let sequence = Sequence::default();
        assert_eq!((sequence.stamp(&second).sequence, sequence.stamp(&second).sequence), (1, 2));
    }

    #[tokio::test]
    async fn a_damaged_identity_is_replaced_not_reused() {
        let dir = tempfile::tempdir().unwrap();
        let before = Identity::take(dir.path()).await.unwrap().agent;
        for damage in [&b""[..], b"\xff\xff", b"18446744073709551615\n"] {
            fs::write(dir.path().join("agent/epoch"), damage).unwrap();
            let after = Identity::take(dir.path()).await.unwrap();
            assert_ne!(after.agent, before);
            assert_eq!(after.epoch, 1);
        }
    }

    #[tokio::test]
    async fn two_agents_cannot_share_an_identity() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Identity::take(dir.path()).await.unwrap();
        assert!(matches!(Identity::take(dir.path()).await, Err(AgentError::Locked { .. })));
    }
}
