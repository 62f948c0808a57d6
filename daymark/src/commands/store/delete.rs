//! `daymark store delete`: rows that must go, and what still holds them afterwards.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use daymark_store::{Access, Deleted, HotSource, Rows, Store, TableName};
use serde_json::json;

use super::{WrongUsage, collector, collector_runs, open};
use crate::cli::store_command::DeleteArgs;
use crate::commands::output;

/// Between two looks at what the collector has not published.
const POLL_MS: u64 = 500;

/// Deletes, and says what was done and what was not.
///
/// # Errors
/// When a segment could not be read, or the collector did not publish in time.
pub(super) async fn run(args: DeleteArgs) -> anyhow::Result<()> {
    let access = if args.dry_run { Access::Read } else { Access::Write };
    let store = open(&args.data_dir, &args.place, access).await?;
    let rows = if args.all { Rows::All } else { Rows::Matching(args.conditions.clone()) };
    let chosen = TableName::ALL.into_iter().filter(|name| args.table.is_none_or(|chosen| chosen == *name));
    let names: Vec<TableName> = chosen.collect();
    let purges = args.purge && !args.dry_run;
    if purges {
        store.may_delete_files().await.context("--purge: nothing was deleted")?;
    }
    let mut notes = Vec::new();
    match &args.collector {
        // Tables that are not there yet come with their first rows.
        Some(url) if !args.dry_run => wait_until_published(&args, url, &store, &names, &rows).await?,
        Some(_) => notes.push("rows not yet published are not counted in a dry run".to_owned()),
        None => notes.push(unseen(&args)?),
    }
    if !store.tenants().await?.contains(&args.tenant) {
        return Err(WrongUsage(format!("tenant {} has no tables", args.tenant)).into());
    }
    let meant = store.meant(&args.tenant, &names, &rows).await?;
    let mut deleted = Vec::new();
    let mut files = 0;
    for (table, rows) in &meant.tables {
        if !table.exists().await? {
            continue;
        }
        deleted.push(table.delete(rows, args.dry_run).await?);
        if purges {
            let purged = table.purge().await;
            files += purged.context("--purge: the rows are deleted, files of older versions that hold them are not")?;
        }
    }
    if !args.dry_run {
        notes.extend(remains(&args, files));
        notes.extend(of_series(&deleted));
    }
    let unseen = meant.unreadable.iter().map(String::as_str);
    let unread: BTreeSet<&str> =
        deleted.iter().flat_map(|table| table.unreadable.iter().map(String::as_str)).chain(unseen).collect();
    let (unreadable, older) = (unread.len(), deleted.iter().map(|table| table.older.len()).sum::<usize>());
    notes.extend(
        meant
            .unreadable
            .iter()
            .map(|path| format!("{path} cannot be read: metric rows of series that only it names were not looked at")),
    );
    let text = match args.json {
        true => format!("{:#}\n", json!({ "dry_run": args.dry_run, "tables": deleted, "notes": notes })),
        false => lines(&args, &deleted, &notes),
    };
    output::print(&text)?;
    anyhow::ensure!(
        unreadable == 0,
        "{unreadable} segments cannot be read, so rows in them were not looked at: see `daymark store verify`"
    );
    anyhow::ensure!(
        older == 0,
        "{older} segments of metrics were written by an older version and still hold such rows: they go with their \
         retention"
    );
    Ok(())
}

fn lines(args: &DeleteArgs, deleted: &[Deleted], notes: &[String]) -> String {
    let done = if args.dry_run { "would be deleted" } else { "deleted" };
    let mut text = String::new();
    for table in deleted {
        let Deleted { table: path, rows, segments_rewritten, segments_dropped, .. } = table;
        _ = write!(text, "{path}: {rows} rows {done}");
        if *rows > 0 {
            _ = write!(text, " ({segments_rewritten} segments rewritten, {segments_dropped} dropped)");
        }
        if let Some(version) = table.version {
            _ = write!(text, ", version {version}");
        }
        text.push('\n');
        table.unreadable.iter().for_each(|path| _ = writeln!(text, "  NOT LOOKED AT {path}: it cannot be read"));
        table.older.iter().for_each(|path| _ = writeln!(text, "  NOT CHANGED {path}: an older version wrote it"));
    }
    notes.iter().for_each(|note| _ = writeln!(text, "note: {note}"));
    text
}

/// What a deletion without a collector did not look at.
fn unseen(args: &DeleteArgs) -> anyhow::Result<String> {
    Ok(match collector_runs(&args.data_dir)? {
        true => "rows that the running collector has not published were not looked at: give its address with \
                 --collector to wait for them"
            .to_owned(),
        false => "rows that are only in the ingest log were not looked at: start the collector and give its address \
                  with --collector to include them"
            .to_owned(),
    })
}

/// Where the rows still are.
fn remains(args: &DeleteArgs, files: u64) -> Vec<String> {
    let versions = match args.purge {
        true => format!("{files} files of older versions were deleted"),
        false => {
            "older versions of the tables hold the rows until their files are deleted: by a running collector, ten \
                  minutes from now, or at once with --purge"
                .to_owned()
        }
    };
    let log = "the ingest log holds what was received until every table has published it and its segments are reused; \
               backups and copies that others made of the tables are not touched";
    let aborted = "a compaction that lost a race with this deletion leaves a file that nothing names; a running \
                   collector deletes it an hour after it was written";
    vec![versions, log.to_owned(), aborted.to_owned()]
}

/// What a collector that still knows deleted series does with them.
fn of_series(deleted: &[Deleted]) -> Option<String> {
    let gone = deleted.iter().any(|table| table.rows > 0 && table.table.ends_with("/series"));
    let said = "a collector names a series once a day: points of deleted series that go on to come are stored, and \
                answers say that they cannot name them until the next day (UTC) or a restart of the collector";
    gone.then(|| said.to_owned())
}

/// Waits until the collector has published the rows it had acknowledged when the command began.
async fn wait_until_published(
    args: &DeleteArgs,
    url: &str,
    store: &Store,
    names: &[TableName],
    rows: &Rows,
) -> anyhow::Result<()> {
    let hot = collector(&args.data_dir, url)?;
    let until = hot.status().await?.durable;
    let begun = Instant::now();
    loop {
        let mut waiting = u64::from(hot.status().await?.applied < until);
        waiting += store.table(&args.tenant, TableName::Series).unpublished(rows, until, &hot).await?;
        // Which series are meant is known once they are published.
        for (table, rows) in store.meant(&args.tenant, names, rows).await?.tables {
            waiting += table.unpublished(&rows, until, &hot).await?;
        }
        if waiting == 0 {
            return Ok(());
        }
        anyhow::ensure!(
            begun.elapsed() < Duration::from_millis(args.wait_ms),
            "{waiting} rows to delete are not published after {} ms (--wait-ms); nothing was deleted. The collector \
             publishes at least every --seal-interval-ms",
            args.wait_ms
        );
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
}
