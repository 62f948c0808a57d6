//! `daymark store log`: the versions of a table.

use std::fmt::Write as _;

use daymark_store::{Access, StoreError};
use serde_json::json;

use super::select;
use crate::cli::store_command::Selection;
use crate::commands::output;

/// Lists the versions whose commits are kept, oldest first.
///
/// # Errors
/// When a table's log cannot be read.
pub(super) async fn run(selection: Selection) -> anyhow::Result<()> {
    let (_, tables) = select(&selection, Access::Read).await?;
    let mut text = String::new();
    let mut all = Vec::new();
    for table in &tables {
        let path = table.location().1;
        for version in table.history().await? {
            let state = match table.snapshot_at(version.version).await {
                Ok(then) => match table.missing_files(&then).await? {
                    0 => String::new(),
                    missing => format!(" (no longer readable: {missing} files are deleted)"),
                },
                Err(StoreError::NoVersion { .. }) => " (no longer readable: older commits are deleted)".to_owned(),
                Err(error) => return Err(error.into()),
            };
            let readable = state.is_empty();
            if selection.json {
                all.push(json!({ "table": path.to_string(), "readable": readable, "version": version }));
                continue;
            }
            let reindexed = match version.reindexed {
                0 => String::new(),
                count => format!(", {count} indexes replaced or given up"),
            };
            let consumed = version.consumed.map_or_else(String::new, |offset| format!(", log offset {offset}"));
            _ = writeln!(
                text,
                "{path} version {} at {}: {} segments and {} rows added, {} segments taken out{reindexed}{consumed}{state}",
                version.version,
                version.time(),
                version.added,
                version.rows_added,
                version.removed
            );
        }
    }
    output::print(&if selection.json { format!("{:#}\n", json!(all)) } else { text })?;
    Ok(())
}
