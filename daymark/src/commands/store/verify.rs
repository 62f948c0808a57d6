//! `daymark store verify`.

use std::fmt::Write as _;
use std::path::Path;

use daymark_log::{InspectLine, RealFileSystem, inspect};
use daymark_model::LogOffset;
use daymark_store::{Access, HotSource, HttpHotSource, Verified, VerifyOptions};
use serde_json::json;

use super::{collector, ledger, select};
use crate::cli::store_command::VerifyArgs;
use crate::commands::output;

/// Checks the tables and prints what it found.
///
/// # Errors
/// When something is damaged, or cannot be read at all.
pub(super) async fn run(args: VerifyArgs) -> anyhow::Result<()> {
    let selection = &args.selection;
    let (store, tables) = select(selection, Access::Read).await?;
    let mut verified: Vec<Verified> = Vec::new();
    for table in &tables {
        verified.push(table.verify(&VerifyOptions::default()).await?);
    }
    let mut notes = Vec::new();
    let mut problems = Vec::new();
    match newest_offset(&selection.data_dir.join("log")) {
        Ok(Some(newest)) => check_against_log(&verified, newest, &mut notes, &mut problems),
        Ok(None) => notes.push("the ingest log holds no frame: every row is published".to_owned()),
        Err(error) => notes.push(format!("the ingest log was not looked at: {error:#}")),
    }
    let lost = store.lost().await?;
    if !lost.is_empty() {
        notes.push(format!("{} damaged ranges of the ingest log are noted in tables/LOST.json", lost.len()));
    }
    if let Some(url) = &args.collector {
        let hot = collector(&selection.data_dir, url)?;
        check_ledger(&hot, &mut notes, &mut problems).await?;
        if selection.tenant.is_none() && selection.table.is_none() {
            ledger::check_rows(&store, &hot, &mut notes, &mut problems).await?;
        }
    }
    let damage = verified.iter().map(|table| table.damage.len()).sum::<usize>() + problems.len();
    let text = if selection.json {
        let sound = damage == 0;
        format!("{:#}\n", json!({ "sound": sound, "tables": verified, "problems": problems, "notes": notes }))
    } else {
        lines(&verified, &notes, &problems)
    };
    output::print(&text)?;
    anyhow::ensure!(damage == 0, "{damage} findings of damage in {}", selection.data_dir.display());
    Ok(())
}

fn lines(verified: &[Verified], notes: &[String], problems: &[String]) -> String {
    let mut text = String::new();
    for table in verified {
        _ = writeln!(text, "{table}");
        for finding in &table.damage {
            _ = writeln!(text, "  DAMAGE {finding}");
        }
    }
    problems.iter().for_each(|problem| _ = writeln!(text, "DAMAGE {problem}"));
    notes.iter().for_each(|note| _ = writeln!(text, "note: {note}"));
    text
}

/// Newest frame of the ingest log.
fn newest_offset(dir: &Path) -> anyhow::Result<Option<LogOffset>> {
    let mut newest = None;
    for line in inspect(&RealFileSystem, dir)? {
        if let InspectLine::Frame { offset, .. } = line? {
            newest = newest.max(Some(offset));
        }
    }
    Ok(newest)
}

/// What the tables have consumed against what the ingest log holds.
fn check_against_log(verified: &[Verified], newest: LogOffset, notes: &mut Vec<String>, problems: &mut Vec<String>) {
    for table in verified {
        if table.consumed > newest {
            problems.push(format!(
                "{}: holds rows up to log offset {}, but the ingest log ends at {newest}: it was emptied or replaced; \
                 restore log and tables from the same backup",
                table.table, table.consumed
            ));
        }
    }
    let behind = verified.iter().map(|table| table.consumed).min().filter(|consumed| *consumed < newest);
    if let Some(consumed) = behind {
        notes.push(format!(
            "rows of log offsets after {consumed} up to {newest} are not published in every table: they are in the \
             ingest log, and the next start of a collector replays them"
        ));
    }
}

/// The ledger of a running collector and its agents: every item has an outcome.
async fn check_ledger(hot: &HttpHotSource, notes: &mut Vec<String>, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let status = hot.status().await?;
    for ledger in &status.ledgers {
        for row in &ledger.rows {
            let unexplained = row.unexplained();
            if unexplained != 0 {
                problems.push(format!(
                    "ledger of {}: {unexplained} {:?} of {} received have no outcome",
                    ledger.component, row.signal, row.received
                ));
            }
        }
    }
    notes.push(format!(
        "the ledger of {} components is balanced; {} rows are not published yet",
        status.ledgers.len(),
        status.hot_rows
    ));
    Ok(())
}
