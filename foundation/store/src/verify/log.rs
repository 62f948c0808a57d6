//! The log of a table: every commit and checkpoint that is there, held against each other.

use daymark_model::LogOffset;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::Finding;
use crate::delta::{Action, LogFiles, State, Txn, checkpoint_path, commit_path, decode_commit, read_checkpoint};
use crate::table::OWNER;
use crate::{StoreError, Table, TableName};

const REPAIR: &str = "stop the collector and run `daymark store repair`";
const RESTORE: &str = "restore the file from a backup";
const COVERED: &str = "a checkpoint covers it, so nothing is missing; a collector's clean-up deletes it";
const REPORT: &str = "the table was written by something that does not follow its rules; compare with a backup";

/// The table's log, as far as it can be read.
pub(super) struct Replayed {
    pub(super) state: State,
    pub(super) damage: Vec<Finding>,
}

fn finding(path: &Path, what: String, advice: &'static str) -> Finding {
    Finding { file: path.to_string(), offset: None, what, advice }
}

/// Times that the log is read anew because a clean-up took files away meanwhile.
const ATTEMPTS: u32 = 5;

/// Reads every commit and every checkpoint, and applies them in order.
pub(super) async fn replay(table: &Table) -> Result<Replayed, StoreError> {
    for _ in 0..ATTEMPTS {
        if let Some(replayed) = try_replay(table).await? {
            return Ok(replayed);
        }
    }
    Err(StoreError::Contended { table: table.location().1.to_string(), attempts: ATTEMPTS })
}

/// None when a file was deleted while its turn came.
async fn try_replay(table: &Table) -> Result<Option<Replayed>, StoreError> {
    let mut replay = Replay { table, state: State::default(), damage: Vec::new() };
    let files = table.log().list().await?;
    let Some(checkpoints) = replay.checkpoints(&files).await? else { return Ok(None) };
    let first = files.commits.first().map(|(version, _)| *version);
    // From the very first commit if it is there, so that checkpoints can be held against the commits they sum up.
    if first != Some(0) {
        let mut fitting = checkpoints.iter().filter(|(version, _)| first.is_none_or(|first| version + 1 >= first));
        let start = if first.is_none() { fitting.next_back() } else { fitting.next() };
        start.into_iter().for_each(|checkpoint| replay.start_from(checkpoint));
    }
    if !replay.commits(&files, &checkpoints).await? {
        return Ok(None);
    }
    replay.hint().await?;
    Ok(Some(Replayed { state: replay.state, damage: replay.damage }))
}

struct Replay<'t> {
    table: &'t Table,
    state: State,
    damage: Vec<Finding>,
}

impl Replay<'_> {
    fn name(&self) -> TableName {
        self.table.name()
    }

    /// The states that readable checkpoints hold, oldest first.
    async fn checkpoints(&mut self, files: &LogFiles) -> Result<Option<Vec<(u64, State)>>, StoreError> {
        let (objects, dir) = self.table.location();
        let mut states = Vec::new();
        for (version, _) in &files.checkpoints {
            let path = checkpoint_path(&dir, *version);
            match read_checkpoint(&objects, &path).await {
                Ok(actions) => {
                    let mut state = State::default();
                    state.apply(actions, self.name(), dir.as_ref())?;
                    states.push((*version, state));
                }
                Err(StoreError::Object(object_store::Error::NotFound { .. })) => return Ok(None),
                Err(StoreError::Object(error)) => return Err(error.into()),
                Err(error) => self.damage.push(finding(&path, error.to_string(), REPAIR)),
            }
        }
        Ok(Some(states))
    }

    fn start_from(&mut self, (version, state): &(u64, State)) {
        self.state = State { version: Some(*version), ..state.clone() };
    }

    /// Applies the commits, each after a look at it. What a checkpoint covers can be done without. False when a commit
    /// was deleted while its turn came.
    async fn commits(&mut self, files: &LogFiles, checkpoints: &[(u64, State)]) -> Result<bool, StoreError> {
        let (objects, dir) = self.table.location();
        let newest = files.commits.last().map(|(version, _)| *version);
        for (version, meta) in &files.commits {
            let path = commit_path(&dir, *version);
            let text = match objects.get(&path).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(false),
                got => got?.bytes().await?,
            };
            let covered = self.state.version.is_some_and(|at| *version <= at);
            let wrong = match decode_commit(&text) {
                Ok(_) if covered => continue,
                Ok(actions) if *version == self.state.next_version() => {
                    self.apply(*version, &path, actions)?;
                    if let Some((_, checkpoint)) = checkpoints.iter().find(|(at, _)| at == version) {
                        self.compare(&checkpoint_path(&dir, *version), checkpoint);
                    }
                    continue;
                }
                Ok(_) => {
                    let missing = commit_path(&dir, self.state.next_version());
                    finding(&missing, format!("missing, although version {version} is there"), RESTORE)
                }
                Err(what) => {
                    let advice = match Some(*version) == newest {
                        _ if covered => COVERED,
                        true => REPAIR,
                        false => RESTORE,
                    };
                    let what = format!("torn commit of {} bytes: {what}", meta.size);
                    Finding { offset: Some(whole_bytes(&text)), ..finding(&path, what, advice) }
                }
            };
            self.damage.push(wrong);
            match checkpoints.iter().find(|(at, _)| at >= version) {
                Some(checkpoint) if !covered => self.start_from(checkpoint),
                Some(_) => {}
                None => return Ok(true),
            }
        }
        if let Some(checkpoint) = checkpoints.last().filter(|(version, _)| self.state.version < Some(*version)) {
            let what = format!("checkpoint of version {}, whose commits are not there", checkpoint.0);
            self.damage.push(finding(&checkpoint_path(&dir, checkpoint.0), what, REPORT));
            self.start_from(checkpoint);
        }
        Ok(true)
    }

    /// Applies a commit, after looking at what it claims.
    fn apply(&mut self, version: u64, path: &Path, actions: Vec<Action>) -> Result<(), StoreError> {
        let mut wrong = Vec::new();
        let brings_rows = actions.iter().any(|action| action.add.is_some());
        for action in &actions {
            if let Some(txn) = &action.txn
                && let Some(&before) = self.state.txns.get(&txn.app_id)
                && !self.follows(txn, before, brings_rows)
            {
                wrong.push(format!("log offset {} of {} does not follow {before}", txn.version, txn.app_id));
            }
            if let Some(remove) = &action.remove
                && !remove.path.contains('%')
                && !self.state.live.contains_key(&remove.path)
            {
                wrong.push(format!("takes out {}, which is not there", remove.path));
            }
        }
        self.damage.extend(wrong.into_iter().map(|what| finding(path, what, REPORT)));
        let table = self.table.location().1;
        self.state.apply(actions, self.name(), table.as_ref())?;
        self.state.version = Some(version);
        Ok(())
    }

    /// Whether a commit may say `txn` after `before`. One without rows only takes a version; which collector commits is no
    /// number that grows.
    fn follows(&self, txn: &Txn, before: i64, brings_rows: bool) -> bool {
        let may_repeat = !brings_rows || self.name().rows_are_versioned();
        txn.app_id == OWNER || txn.version > before || (txn.version == before && may_repeat)
    }

    /// Holds a checkpoint against the commits it sums up.
    fn compare(&mut self, path: &Path, checkpoint: &State) {
        if !checkpoint.live.keys().eq(self.state.live.keys()) {
            let what =
                format!("holds {} segments where the commits hold {}", checkpoint.live.len(), self.state.live.len());
            self.damage.push(finding(path, what, REPAIR));
        }
        if checkpoint.txns != self.state.txns {
            let offset = |state: &State| LogOffset(state.txns.get(crate::COLLECTOR).map_or(0, |v| (*v).max(0) as u64));
            let what = format!("log offset {} where the commits hold {}", offset(checkpoint), offset(&self.state));
            self.damage.push(finding(path, what, REPAIR));
        }
    }

    /// `_last_checkpoint` must name a checkpoint that is there: other readers do not open the table otherwise.
    async fn hint(&mut self) -> Result<(), StoreError> {
        let Some(named) = self.table.log().last_checkpoint().await? else { return Ok(()) };
        let checkpoints = self.table.log().list().await?.checkpoints;
        if !checkpoints.iter().any(|(version, _)| *version == named) {
            let path = self.table.path_of("_delta_log/_last_checkpoint");
            self.damage.push(finding(&path, format!("names version {named}, which has no checkpoint"), REPAIR));
        }
        Ok(())
    }
}

/// Bytes of the lines that are whole: where a torn commit begins to be damaged.
fn whole_bytes(text: &[u8]) -> u64 {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let whole = lines.take_while(|line| serde_json::from_slice::<serde_json::Value>(line).is_ok());
    whole.map(|line| line.len() as u64).sum()
}
