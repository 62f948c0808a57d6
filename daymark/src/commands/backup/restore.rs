//! `daymark restore`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::copy::{copy, sync_dirs};
use super::manifest::Manifest;
use super::write::matches;
use crate::cli::RestoreArgs;
use crate::commands::output;

/// Most damaged files that are named.
const NAMED: usize = 20;

/// Verifies the backup in `args.from` and makes a data directory of it.
///
/// # Errors
/// When the backup is damaged or the target is not empty; nothing was made then.
pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let RestoreArgs { from, data_dir, check } = args;
    let manifest = Manifest::read(from)?;
    let manifest = manifest.with_context(|| format!("{} holds no backup: MANIFEST.json is missing", from.display()))?;
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let counted = format!("{} files, {bytes} bytes, log offset {}", manifest.files.len(), manifest.through);
    let Some(target) = data_dir.as_ref().filter(|_| !check) else {
        verify(from, &manifest)?;
        output::print(&format!("the backup in {} is whole: {counted}\n", from.display()))?;
        return Ok(());
    };
    if target.exists() {
        let is_empty = target.is_dir() && fs::read_dir(target)?.next().is_none();
        ensure!(is_empty, "{} is not empty: restore into a new folder", target.display());
    }
    verify(from, &manifest)?;
    // Under another name until it is whole: nobody starts on half a restore.
    let partial = partial_of(target)?;
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("cannot clear {}", partial.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    for file in &manifest.files {
        let to = partial.join(&file.path);
        let sum = copy(&from.join(&file.stored), &to, file.mode)
            .with_context(|| format!("cannot restore {}", to.display()))?;
        ensure!(sum.crc32c == file.crc32c, "{} changed while it was restored", file.stored);
    }
    sync_dirs(&partial)?;
    if target.exists() {
        fs::remove_dir(target)?;
    }
    fs::rename(&partial, target)?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()?;
    output::print(&format!("restored {} from {}: {counted}\n", target.display(), from.display()))?;
    Ok(())
}

/// Reads every file of the backup.
fn verify(from: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let mut damaged = Vec::new();
    for file in &manifest.files {
        match matches(from, file) {
            Ok(true) => {}
            Ok(false) => damaged.push(format!("  {}: size or checksum differs", file.stored)),
            Err(error) => damaged.push(format!("  {}: {error}", file.stored)),
        }
    }
    if damaged.is_empty() {
        return Ok(());
    }
    let count = damaged.len();
    damaged.truncate(NAMED);
    bail!("the backup in {} is damaged: {count} files, nothing was restored\n{}", from.display(), damaged.join("\n"))
}

fn partial_of(target: &Path) -> anyhow::Result<PathBuf> {
    let name = target.file_name().with_context(|| format!("{} names no folder", target.display()))?;
    let mut partial = name.to_owned();
    partial.push(".partial");
    Ok(target.with_file_name(partial))
}
