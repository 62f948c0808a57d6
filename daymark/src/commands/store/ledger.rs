//! Tables against what the ledger of a running collector says it stored since its start.
//!
//! Spans and log records are one row each. Points of metrics are folded into rows: see [`metrics`].
//!
//! Invariant: only tenants that this collector writes are looked at; others that share an object store are not in its ledger.

mod metrics;

use std::time::{Duration, Instant};

use daymark_model::{LedgerSnapshot, LogOffset, Signal, UnixNanos};
use daymark_store::{CollectorStatus, HotSource, Store, TableName};

/// The longest wait for the collector to apply what is durable.
const MAX_WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What the collector's ledger says of one signal.
#[derive(Clone, Copy, Default)]
struct Said {
    stored: u64,
    in_flight: u64,
}

/// Counts while the collector goes on to take new items: what it had stored before must be there, and no more than it has
/// stored afterwards.
///
/// # Errors
/// When the collector does not answer, or rows cannot be counted.
pub(super) async fn check_rows(
    store: &Store,
    hot: &dyn HotSource,
    notes: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> anyhow::Result<()> {
    let before = hot.status().await?;
    let until = applied(hot).await?;
    // Of the same moment or later than what is applied: accounts only grow.
    let reached = hot.status().await?;
    let (Some(started_at), Some(accounts)) = (before.started_at, &reached.metrics) else {
        notes.push("rows were not held against the ledger: the collector is of an older version".to_owned());
        return Ok(());
    };
    let mut rows = [0; 2];
    let tables = [(TableName::Spans, Signal::Traces), (TableName::Logs, Signal::Logs)];
    for (rows, (table, _)) in rows.iter_mut().zip(tables) {
        for tenant in accounts.keys() {
            *rows += store.table(tenant, table).rows_received(started_at, until, hot).await?;
        }
    }
    let (mut told, mut wrong) = (Vec::new(), Vec::new());
    metrics::check_tables(store, hot, accounts, reached.applied, &mut told, &mut wrong).await?;
    let after = hot.status().await?;
    if run(&after) != run(&before) {
        notes.push("rows were not held against the ledger: the collector was restarted meanwhile".to_owned());
        return Ok(());
    }
    let rows = rows.into_iter().zip(tables);
    let judged = rows.map(|(rows, (table, signal))| judged(table, rows, said(&before, signal), said(&after, signal)));
    for judged in judged.chain([metrics::applied(&before, &after, accounts)]) {
        match judged {
            Ok(note) => notes.push(note),
            Err(problem) => problems.push(problem),
        }
    }
    notes.append(&mut told);
    problems.append(&mut wrong);
    Ok(())
}

/// The newest durable offset, once everything up to it can be read.
async fn applied(hot: &dyn HotSource) -> anyhow::Result<LogOffset> {
    let until = hot.status().await?.durable;
    let begun = Instant::now();
    while hot.status().await?.applied < until {
        anyhow::ensure!(
            begun.elapsed() < MAX_WAIT,
            "the collector has not applied log offset {until} within {} s: rows cannot be held against its ledger",
            MAX_WAIT.as_secs()
        );
        tokio::time::sleep(POLL).await;
    }
    Ok(until)
}

/// What differs from one start to the next.
fn run(status: &CollectorStatus) -> (Option<LogOffset>, Option<UnixNanos>) {
    (status.started_at, own(status).map(|ledger| ledger.since))
}

fn own(status: &CollectorStatus) -> Option<&LedgerSnapshot> {
    status.ledgers.iter().find(|ledger| ledger.component == "collector")
}

fn said(status: &CollectorStatus, signal: Signal) -> Said {
    let row = own(status).and_then(|ledger| ledger.rows.iter().find(|row| row.signal == signal));
    row.map_or(Said::default(), |row| Said { stored: row.stored, in_flight: row.in_flight })
}

fn judged(table: TableName, rows: u64, before: Said, after: Said) -> Result<String, String> {
    let most = after.stored + after.in_flight;
    if rows > most {
        let more = rows - most;
        return Err(format!(
            "{table} hold {rows} rows that came since the collector's start, but its ledger has stored {}: {more} are there \
             more than once",
            after.stored
        ));
    }
    Ok(match before.stored.saturating_sub(rows) {
        0 => format!("{table}: the {rows} rows that came since the collector's start are those its ledger has stored"),
        fewer => format!(
            "{table}: {fewer} rows that the ledger has stored since the collector's start are gone; retention and \
             `daymark store delete` take rows away, nothing else may"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_nobody_stored_are_damage_and_missing_ones_are_told() {
        let said = |stored, in_flight| Said { stored, in_flight };
        let of = |rows, before, after| judged(TableName::Logs, rows, before, after);
        assert!(of(10, said(10, 0), said(10, 0)).unwrap().contains("the 10 rows"));
        // Some were stored while it was counted, some have no outcome yet.
        assert!(of(11, said(10, 0), said(12, 0)).unwrap().contains("the 11 rows"));
        assert!(of(13, said(10, 0), said(12, 1)).unwrap().contains("the 13 rows"));
        assert!(of(14, said(10, 0), said(12, 1)).unwrap_err().contains("1 are there more than once"));
        assert!(of(7, said(10, 0), said(12, 1)).unwrap().contains("3 rows that the ledger has stored"));
    }
}
