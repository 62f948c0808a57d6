//! `daymark backup`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use daymark_guard::{Clock, SystemClock};
use daymark_log::{LogCopy, RealFileSystem, copy_log, oldest_segment};
use daymark_model::LogOffset;
use daymark_store::{FileHold, Store, StoreError, TableName};

use super::copy::{Sum, copy, link_or_copy, mode_of, sum_of, sync_dirs};
use super::manifest::{BackedUp, Manifest};
use crate::cli::BackupArgs;
use crate::commands::output;

/// How often a backup begins anew because the collector released what was being copied.
const ATTEMPTS: u32 = 20;
const DEDUP: &str = "dedup.snapshot";
/// Folders of a data directory that are copied in a way of their own, or can be made again.
const APART: [&str; 4] = ["tables", "log", "cache", DEDUP];

/// Copies `args.data_dir` to `args.to`, and prints what was done.
///
/// # Errors
/// When something cannot be read or written. The backup that was there before is still good then.
pub(crate) async fn backup(args: BackupArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let begun = SystemClock.now().0;
    let mut run = Run::begin(args)?;
    let _hold = hold(&run.store).await?;
    for _ in 0..ATTEMPTS {
        if let Some((manifest, counts)) = run.attempt(begun).await? {
            manifest.write(&run.to)?;
            run.prune(&manifest)?;
            let Counts { rows, new_files, new_bytes } = counts;
            let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
            output::print(&format!(
                "backed up {} to {}: log offset {}, {rows} published rows, {} files, {bytes} bytes \
                 ({new_files} files, {new_bytes} bytes new), {:.1} s\n",
                run.data_dir.display(),
                run.to.display(),
                manifest.through,
                manifest.files.len(),
                started.elapsed().as_secs_f64()
            ))?;
            return Ok(());
        }
    }
    bail!(
        "the collector released what was being copied {ATTEMPTS} times: try again when it is less busy; the backup before this \
         one is whole"
    )
}

/// Keeps the files of the tables. Where the tables may only be read, the backup goes on without, and begins anew when it
/// misses a file.
async fn hold(store: &Store) -> anyhow::Result<Option<FileHold>> {
    match store.hold_files().await {
        Ok(hold) => Ok(Some(hold)),
        Err(StoreError::Io { path, source })
            if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            output::print(&format!(
                "note: {path}/lock: {source}: a clean-up may delete files of the tables meanwhile; the backup begins anew then\n"
            ))?;
            Ok(None)
        }
        Err(error) => Err(error).context("cannot keep the files of the tables from being deleted; nothing was copied"),
    }
}

/// What a backup run works on.
struct Run {
    data_dir: PathBuf,
    to: PathBuf,
    link: bool,
    store: Store,
    /// Files of the backup before, and those that this run has copied, by their place in the backup.
    known: BTreeMap<String, BackedUp>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    rows: u64,
    new_files: u64,
    new_bytes: u64,
}

impl Run {
    fn begin(args: BackupArgs) -> anyhow::Result<Run> {
        let BackupArgs { data_dir, to, copy } = args;
        ensure!(
            !data_dir.join("collector.id").exists(),
            "the tables of {} are in an object store (--store): a backup copies only those of a local disk; keep versions of the \
             bucket, or replicate it",
            data_dir.display()
        );
        ensure!(
            data_dir.join("tables/FORMAT").is_file(),
            "{} is no data directory: expected --data-dir of `daymark up` or `daymark collector`",
            data_dir.display()
        );
        let known = Manifest::read(&to)?;
        let is_empty = !to.exists() || fs::read_dir(&to)?.next().is_none();
        ensure!(
            is_empty || known.is_some() || to.join("data").is_dir() || to.join("log").is_dir(),
            "{} is neither empty nor a backup: choose another folder",
            to.display()
        );
        for folder in ["data", "log"] {
            fs::create_dir_all(to.join(folder)).with_context(|| format!("cannot make {}", to.display()))?;
        }
        let (inside, outside) = (to.canonicalize()?, data_dir.canonicalize()?);
        ensure!(!inside.starts_with(&outside), "{} lies inside the data directory", to.display());
        let files = known.map(|manifest| manifest.files).unwrap_or_default();
        let known = files.into_iter().map(|file| (file.stored.clone(), file)).collect();
        Ok(Run { store: Store::open_local(&data_dir)?, data_dir, to, link: !copy, known })
    }

    /// One attempt; `None` when the collector let go of what was being copied.
    async fn attempt(&mut self, begun: u64) -> anyhow::Result<Option<(Manifest, Counts)>> {
        let mut manifest = Manifest::new(begun);
        let mut counts = Counts::default();
        // A table may hold more than the log when somebody emptied the log by hand.
        let mut through = self.consumed().await?;
        let log_dir = self.data_dir.join("log");
        let oldest = oldest_segment(&RealFileSystem, &log_dir)?;
        self.changing(DEDUP, &mut manifest, &mut counts)?;
        let to = self.to.join("log");
        let (dir, into) = (log_dir.clone(), to.clone());
        let copied = tokio::task::spawn_blocking(move || copy_log(&RealFileSystem, &dir, &into)).await??;
        if !copied.is_whole || oldest_of(&copied) != oldest {
            return Ok(None);
        }
        through = through.max(copied.through);
        for segment in &copied.segments {
            let stored = format!("log/{}", segment.stored);
            let (path, mode) = (format!("log/{}", segment.name), mode_of(&self.to.join(&stored))?);
            counts.new_files += u64::from(!segment.reused);
            counts.new_bytes += if segment.reused { 0 } else { segment.bytes };
            manifest.files.push(BackedUp { path, stored, bytes: segment.bytes, crc32c: segment.crc32c, mode });
        }
        if !self.tables(through, &mut manifest, &mut counts).await? {
            return Ok(None);
        }
        let beside = ["tables/FORMAT", "tables/LOST.json"].map(str::to_owned).into_iter().chain(self.others()?);
        for path in beside {
            self.changing(&path, &mut manifest, &mut counts)?;
        }
        sync_dirs(&self.to)?;
        manifest.through = through.0;
        Ok(Some((manifest, counts)))
    }

    /// The newest offset that any table has consumed.
    async fn consumed(&self) -> anyhow::Result<LogOffset> {
        let mut newest = LogOffset(0);
        for tenant in self.store.tenants().await? {
            for name in TableName::ALL {
                newest = newest.max(self.store.table(&tenant, name).snapshot().await?.consumed);
            }
        }
        Ok(newest)
    }

    /// Copies every table as it was at log offset `through`; false when files of it went away meanwhile.
    async fn tables(
        &mut self,
        through: LogOffset,
        manifest: &mut Manifest,
        counts: &mut Counts,
    ) -> anyhow::Result<bool> {
        for tenant in self.store.tenants().await? {
            for name in TableName::ALL {
                let pinned = match self.store.table(&tenant, name).pin(through).await {
                    Ok(Some(pinned)) => pinned,
                    Ok(None) => continue,
                    // Cleaned up between the listing and the reading: the next attempt takes a later version.
                    Err(StoreError::BrokenLog { .. }) => return Ok(false),
                    Err(error) => return Err(error.into()),
                };
                counts.rows += pinned.rows;
                for file in pinned.files {
                    match self.immutable(format!("tables/{file}"), counts) {
                        Ok(file) => manifest.files.push(file),
                        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                        Err(error) => return Err(error).with_context(|| format!("cannot copy tables/{file}")),
                    }
                }
            }
        }
        Ok(true)
    }

    /// A file that never changes: taken once.
    fn immutable(&mut self, path: String, counts: &mut Counts) -> std::io::Result<BackedUp> {
        let (from, stored) = (self.data_dir.join(&path), format!("data/{path}"));
        let bytes = fs::metadata(&from)?.len();
        let to = self.to.join(&stored);
        if let Some(known) = self.known.get(&stored).filter(|known| known.bytes == bytes && to.is_file()) {
            return Ok(known.clone());
        }
        let Sum { bytes, crc32c } = link_or_copy(&from, &to, self.link)?;
        counts.new_files += 1;
        counts.new_bytes += bytes;
        let file = BackedUp { path, stored: stored.clone(), bytes, crc32c, mode: mode_of(&from)? };
        self.known.insert(stored, file.clone());
        Ok(file)
    }

    /// A file that is replaced or appended to: kept under a name of its content. One that is not there is left out.
    fn changing(&self, path: &str, manifest: &mut Manifest, counts: &mut Counts) -> anyhow::Result<()> {
        let from = self.data_dir.join(path);
        let copied = || -> std::io::Result<BackedUp> {
            let mode = mode_of(&from)?;
            let draft = self.to.join("data").join(format!("{path}.draft"));
            let Sum { bytes, crc32c } = copy(&from, &draft, mode)?;
            let stored = format!("data/{path}.{crc32c:08x}");
            fs::rename(&draft, self.to.join(&stored))?;
            Ok(BackedUp { path: path.to_owned(), stored, bytes, crc32c, mode })
        };
        match copied() {
            Ok(file) => {
                if !self.known.contains_key(&file.stored) {
                    counts.new_files += 1;
                    counts.new_bytes += file.bytes;
                }
                manifest.files.push(file);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot copy {}", from.display())),
        }
    }

    /// Everything else in the data directory: keys, the agent's identity, the alerts journal.
    fn others(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.data_dir.join(&folder))? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let is_passing = name == "lock" || [".tmp", ".draft"].iter().any(|end| name.ends_with(end));
                if is_passing || APART.contains(&path.as_str()) {
                    continue;
                }
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    /// Deletes what no manifest names any more.
    fn prune(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let named: BTreeSet<PathBuf> = manifest.files.iter().map(|file| self.to.join(&file.stored)).collect();
        let mut folders = vec![self.to.join("data"), self.to.join("log")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !named.contains(&path) {
                    fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?;
                }
            }
        }
        Ok(())
    }
}

fn oldest_of(copied: &LogCopy) -> Option<u64> {
    copied.segments.first().and_then(|segment| segment.name.split('.').next()?.parse().ok())
}

/// The checksum of a stored file, for a restore.
pub(super) fn matches(dir: &Path, file: &BackedUp) -> std::io::Result<bool> {
    let sum = sum_of(&dir.join(&file.stored))?;
    Ok(sum == Sum { bytes: file.bytes, crc32c: file.crc32c })
}
