//! `daymark store repair` and `daymark store rebuild-index`.

use std::fmt::Write as _;
use std::sync::Arc;

use daymark_guard::{FileSystem, RealFileSystem};
use daymark_store::{Access, StoreError, VerifyOptions};

use super::{WrongUsage, select};
use crate::cli::store_command::{RebuildArgs, Selection};
use crate::commands::output;

/// Rows that one document of a new text index stands for, where no old index says.
const ROWS_PER_PAGE: u32 = 1024;

/// Takes torn newest commits and unreadable checkpoints out of the tables' logs.
///
/// # Errors
/// While a collector runs; when something cannot be repaired.
pub(super) async fn run(selection: Selection) -> anyhow::Result<()> {
    let (_, tables) = select(&selection, Access::Write).await?;
    let log = selection.data_dir.join("log");
    let lock = if log.is_dir() { RealFileSystem.lock(&log)? } else { Some(Box::new(()) as _) };
    anyhow::ensure!(
        lock.is_some(),
        "a collector runs on {}: stop it first, it holds the version that would be taken away",
        selection.data_dir.display()
    );
    let mut text = String::new();
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for table in &tables {
        let path = table.location().1;
        match table.repair().await {
            Ok(repaired) if repaired.is_empty() => _ = writeln!(text, "{path}: nothing to repair"),
            Ok(repaired) => {
                for file in &repaired {
                    _ = writeln!(text, "{path}: took {} away ({}); a copy is in {}", file.file, file.reason, file.copy);
                }
                let now = table.snapshot().await?;
                _ = writeln!(
                    text,
                    "{path}: now version {:?}, log offset {}; the next start of a collector replays the ingest log from \
                     there. Rows of the commit that the log no longer holds are in Parquet files that nothing names: \
                     copy them now if you need them, a collector deletes them an hour after they were written",
                    now.version, now.consumed
                );
                all.extend(repaired);
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    output::print(&if selection.json { format!("{:#}\n", serde_json::json!(all)) } else { text })?;
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// Builds indexes anew.
///
/// # Errors
/// When rows cannot be read.
pub(super) async fn rebuild_index(args: RebuildArgs) -> anyhow::Result<()> {
    let selection = args.selection;
    if selection.table.is_some_and(|table| !table.is_indexed()) {
        return Err(WrongUsage("only the tables logs and series have an index".to_owned()).into());
    }
    let (_, mut tables) = select(&selection, Access::Write).await?;
    tables.retain(|table| table.name().is_indexed());
    let mut text = String::new();
    let mut rebuilt = Vec::new();
    let mut failed = 0_u64;
    for table in &tables {
        let path = table.location().1;
        let damaged: Vec<String> =
            table.verify(&VerifyOptions::default()).await?.damage.into_iter().map(|finding| finding.file).collect();
        for segment in table.snapshot().await?.segments.iter() {
            let is_damaged =
                segment.index.as_ref().is_some_and(|index| damaged.contains(&format!("{path}/{}", index.path)));
            if !is_damaged && !args.all {
                continue;
            }
            let rows_per_page = segment.index.as_ref().map_or(ROWS_PER_PAGE, |index| index.rows_per_page);
            match table.rebuild_index(&Arc::clone(segment), rows_per_page).await {
                Ok(index) => {
                    _ = writeln!(text, "{path}/{}: index {} of {} bytes", segment.path, index.path, index.bytes);
                    rebuilt.push(format!("{path}/{}", segment.path));
                }
                // Merged or dropped meanwhile, with an index of its own.
                Err(StoreError::NotLive { .. }) => {}
                Err(error) => {
                    failed += 1;
                    _ = writeln!(text, "{path}/{}: {error}", segment.path);
                }
            }
        }
    }
    if rebuilt.is_empty() && failed == 0 {
        text.push_str("no index is damaged\n");
    }
    output::print(&if selection.json { format!("{:#}\n", serde_json::json!({ "rebuilt": rebuilt })) } else { text })?;
    anyhow::ensure!(failed == 0, "{failed} indexes could not be rebuilt");
    Ok(())
}
