//! Reading a table's log directory: from scratch, and the commits since.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::State;
use super::action::{Action, decode_commit};
use super::checkpoint::read_checkpoint;
use crate::{StoreError, TableName};

/// A commit larger than this is not read (ours stay below 1 MiB).
const MAX_COMMIT_BYTES: u64 = 256 << 20;

/// The `_delta_log` of one table.
#[derive(Clone)]
pub(crate) struct LogDir {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) table: Path,
    pub(crate) name: TableName,
}

/// Where the commit of `version` is.
pub(crate) fn commit_path(table: &Path, version: u64) -> Path {
    table.clone().join("_delta_log").join(format!("{version:020}.json"))
}

/// Where the checkpoint of `version` is.
pub(crate) fn checkpoint_path(table: &Path, version: u64) -> Path {
    table.clone().join("_delta_log").join(format!("{version:020}.checkpoint.parquet"))
}

fn consumes_more(action: &Action, app: &str, through: i64) -> bool {
    action.txn.as_ref().is_some_and(|txn| txn.app_id == app && txn.version > through)
}

/// A file that was listed and is not there any more was cleaned up.
fn cleaned_up(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Object(object_store::Error::NotFound { .. }) => {
            StoreError::BrokenLog { path: path.to_string(), reason: "cleaned up while it was read".to_owned() }
        }
        error => error,
    }
}

/// Files of a log directory, by kind.
#[derive(Default)]
pub(crate) struct LogFiles {
    /// Versions of commit files, ascending.
    pub(crate) commits: Vec<(u64, ObjectMeta)>,
    /// Versions of checkpoint files, ascending.
    pub(crate) checkpoints: Vec<(u64, ObjectMeta)>,
}

impl LogDir {
    /// Brings `state` to the newest version. Cheap when nothing is new: two look-ups.
    ///
    /// # Errors
    /// [`StoreError::TornCommit`], [`StoreError::BrokenLog`], faults of the object store.
    pub(crate) async fn refresh(&self, state: &mut State) -> Result<(), StoreError> {
        if state.version.is_none() {
            *state = self.load().await?;
            return Ok(());
        }
        self.follow(state).await?;
        // A reader that slept while the commits it needs were cleaned up sees no next commit, but a newer checkpoint.
        if self.last_checkpoint().await? > state.version {
            *state = self.load().await?;
        }
        Ok(())
    }

    /// The newest version at which `app` had consumed no more than `through`; no version when there is none.
    ///
    /// # Errors
    /// As [`LogDir::refresh`]; [`StoreError::BrokenLog`] also when what that version was made of is cleaned up already.
    pub(crate) async fn load_through(&self, app: &str, through: i64) -> Result<State, StoreError> {
        let files = self.list().await?;
        let mut state = State::default();
        for (version, _) in files.checkpoints.iter().rev() {
            let path = checkpoint_path(&self.table, *version);
            let actions = read_checkpoint(&self.objects, &path).await.map_err(|error| cleaned_up(&path, error))?;
            if actions.iter().any(|action| consumes_more(action, app, through)) {
                continue;
            }
            state.apply(actions, self.name, self.table.as_ref())?;
            (state.version, state.checkpoint) = (Some(*version), Some(*version));
            break;
        }
        if let (None, Some((oldest, _)), true) = (state.version, files.checkpoints.first(), files.commits.is_empty()) {
            let reason = format!("versions before {oldest}, which holds log offsets after {through}, are gone");
            return Err(StoreError::BrokenLog { path: self.table.to_string(), reason });
        }
        for (version, _) in &files.commits {
            if *version < state.next_version() {
                continue;
            }
            let path = commit_path(&self.table, *version);
            if *version > state.next_version() {
                let reason = format!("version {} is gone", state.next_version());
                return Err(StoreError::BrokenLog { path: path.to_string(), reason });
            }
            let bytes = self.objects.get(&path).await.map_err(|error| cleaned_up(&path, error.into()))?.bytes().await?;
            let torn = |reason| StoreError::TornCommit { path: path.to_string(), reason };
            let actions = decode_commit(&bytes).map_err(torn)?;
            if actions.iter().any(|action| consumes_more(action, app, through)) {
                break;
            }
            state.apply(actions, self.name, self.table.as_ref())?;
            state.version = Some(*version);
        }
        Ok(state)
    }

    /// Applies the commits after `state`, in order, until there is none.
    async fn follow(&self, state: &mut State) -> Result<(), StoreError> {
        while self.step(state).await?.is_some() {}
        Ok(())
    }

    /// Applies the commit after `state`, and returns its version; none when there is none.
    pub(crate) async fn step(&self, state: &mut State) -> Result<Option<u64>, StoreError> {
        let version = state.next_version();
        let path = commit_path(&self.table, version);
        let got = match self.objects.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            got => got?,
        };
        let torn = |reason| StoreError::TornCommit { path: path.to_string(), reason };
        if got.meta.size > MAX_COMMIT_BYTES {
            return Err(torn(format!("{} bytes is more than any commit has", got.meta.size)));
        }
        let actions = decode_commit(&got.bytes().await?).map_err(torn)?;
        state.apply(actions, self.name, self.table.as_ref())?;
        state.version = Some(version);
        Ok(Some(version))
    }

    /// Reads the table from its newest readable checkpoint on.
    async fn load(&self) -> Result<State, StoreError> {
        let files = self.list().await?;
        let mut state = State::default();
        for (version, _) in files.checkpoints.iter().rev() {
            let path = checkpoint_path(&self.table, *version);
            match read_checkpoint(&self.objects, &path).await {
                Ok(actions) => {
                    state.apply(actions, self.name, self.table.as_ref())?;
                    state.version = Some(*version);
                    state.checkpoint = Some(*version);
                    break;
                }
                // The commits may still be there: the checkpoint is only a shortcut.
                Err(error) => tracing::warn!(%path, %error, "checkpoint is not readable, trying an older one"),
            }
        }
        self.follow(&mut state).await?;
        let newest = files.commits.last().map(|(version, _)| *version);
        if newest > state.version {
            let missing = commit_path(&self.table, state.next_version());
            let reason = format!("missing, although version {} is there", newest.unwrap_or_default());
            return Err(StoreError::BrokenLog { path: missing.to_string(), reason });
        }
        Ok(state)
    }

    /// All commits and checkpoints on disk.
    pub(crate) async fn list(&self) -> Result<LogFiles, StoreError> {
        let prefix = self.table.clone().join("_delta_log");
        let listed: Vec<ObjectMeta> = self.objects.list(Some(&prefix)).try_collect().await?;
        let mut files = LogFiles::default();
        for meta in listed {
            let Some((digits, kind)) = meta.location.filename().and_then(|name| name.split_once('.')) else { continue };
            let Some(version) = Some(digits).filter(|digits| digits.len() == 20).and_then(|d| d.parse().ok()) else {
                continue;
            };
            match kind {
                "json" => files.commits.push((version, meta)),
                "checkpoint.parquet" => files.checkpoints.push((version, meta)),
                _ => {}
            }
        }
        files.commits.sort_by_key(|(version, _)| *version);
        files.checkpoints.sort_by_key(|(version, _)| *version);
        Ok(files)
    }

    /// The version `_last_checkpoint` names. It is a hint: one that cannot be read counts as absent.
    pub(crate) async fn last_checkpoint(&self) -> Result<Option<u64>, StoreError> {
        let path = self.table.clone().join("_delta_log").join("_last_checkpoint");
        match self.objects.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            got => {
                let text = got?.bytes().await?;
                Ok(serde_json::from_slice::<serde_json::Value>(&text).ok().and_then(|hint| hint["version"].as_u64()))
            }
        }
    }
}
