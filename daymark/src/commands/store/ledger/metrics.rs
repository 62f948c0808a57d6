//! Metric tables against what a running collector gave them since its start.
//!
//! Rows of the metric tables are folded, so rows are not counted but what they stand for ([`Tally`]): of gauges, deltas and
//! delta histograms exactly what came, at each resolution; of cumulative counters no more than came. Cumulative histograms
//! and summaries are held against the ledger as data points applied, not in the tables: a newer total replaces the one before.

use daymark_model::{LogOffset, Signal};
use daymark_store::{CollectorStatus, HotSource, MetricAccounts, Store, TableAccount, TableName, Tally};

use super::said;

/// Whether the collector has applied the data points that its ledger has stored: `before` may be older than `accounts`.
pub(super) fn applied(
    before: &CollectorStatus,
    after: &CollectorStatus,
    accounts: &MetricAccounts,
) -> Result<String, String> {
    let sum = |accounts: &MetricAccounts| accounts.values().map(|account| account.points).sum::<u64>();
    let (stored, after_stored) = (said(before, Signal::Metrics).stored, said(after, Signal::Metrics));
    let (most, points) = (after_stored.stored + after_stored.in_flight, sum(accounts));
    let now = after.metrics.as_ref().map_or(points, sum);
    match (stored.checked_sub(points), now.checked_sub(most)) {
        (Some(missing @ 1..), _) => Err(format!(
            "metrics: the collector's ledger has stored {stored} data points since its start, but {missing} of them did not \
             reach the windows: its log names the frames that were left out"
        )),
        (_, Some(more @ 1..)) => {
            Err(format!("metrics: {more} data points reached the windows that the collector's ledger has not stored"))
        }
        _ => Ok(format!(
            "metrics: the {points} data points that the ledger has stored since the collector's start were applied"
        )),
    }
}

/// One metric table of one tenant: what its account was before and after it was looked at, and what it holds.
struct Look {
    table: String,
    before: TableAccount,
    after: TableAccount,
    /// `None` when a segment does not say.
    held: Option<Tally>,
    deletions: u64,
}

/// Looks at every metric table of the tenants in `before`, up to `until`.
///
/// # Errors
/// When the collector does not answer, or a table cannot be read.
pub(super) async fn check_tables(
    store: &Store,
    hot: &dyn HotSource,
    before: &MetricAccounts,
    until: LogOffset,
    notes: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for (tenant, account) in before {
        for (table, account) in TableName::METRICS.into_iter().zip(account.tables) {
            let (held, deletions) = store.table(tenant, table).tally_received(until, hot).await?;
            found.push((tenant, table, account, held, deletions));
        }
    }
    let after = hot.status().await?.metrics.unwrap_or_default();
    let mut held_all = [Some(Tally::default()); TableName::METRICS.len()];
    for (tenant, name, before, held, deletions) in found {
        let level = TableName::METRICS.iter().position(|metrics| *metrics == name).unwrap_or_default();
        let after = after.get(tenant).map_or(before, |account| account.tables[level]);
        let look = Look { table: format!("{tenant}/{name}"), before, after, held, deletions };
        match look.judge() {
            Ok((since, told)) => {
                held_all[level] = held_all[level].zip(since).map(|(sum, since)| sum.plus(since));
                notes.extend(told);
            }
            Err(problem) => {
                held_all[level] = None;
                problems.push(problem);
            }
        }
    }
    for (table, held) in TableName::METRICS.into_iter().zip(held_all) {
        // Where a tenant's is wrong or cannot be known, that is told instead.
        let Some(Tally { values, totals }) = held else { continue };
        notes.push(format!(
            "{table}: of what came since the collector's start, replays included, {values} values and {totals} running totals are \
             there"
        ));
    }
    Ok(())
}

impl Look {
    /// What came in since the start and is there, if that can be known, and what has to be said of it; or what is wrong.
    fn judge(&self) -> Result<(Option<Tally>, Option<String>), String> {
        let table = &self.table;
        let (Some(opened), Some(_), Some(held)) = (self.before.opened, self.after.opened, self.held) else {
            let note = format!(
                "{table}: not held against the ledger: it has segments of an older version or of other writers, which do not \
                 say for how many data points they stand"
            );
            return Ok((None, Some(note)));
        };
        let least = opened.plus(self.before.added).minus(self.after.expired);
        let most = opened.plus(self.after.added).minus(self.before.expired);
        let since = held.plus(self.after.expired).minus(opened);
        for (what, held, most) in [("values", held.values, most.values), ("running totals", held.totals, most.totals)] {
            if held > most {
                return Err(format!(
                    "{table}: holds {} {what} more than the collector gave it since its start: they are there more than once",
                    held - most
                ));
            }
        }
        let missing = least.minus(held);
        if missing.values > 0 && self.deletions == self.before.deletions {
            return Err(format!(
                "{table}: {} values that the collector gave it since its start are gone, and neither retention nor \
                 `daymark store delete` took them; compare with a backup",
                missing.values
            ));
        }
        let note = match (missing.values, missing.totals) {
            (0, 0) => None,
            (0, totals) => Some(format!(
                "{table}: {totals} running totals fewer than came: those of series beyond the limits are left out (the log says \
                 `too many series`), and `daymark store delete` takes rows away; nothing else may"
            )),
            (values, _) => Some(format!(
                "{table}: {values} values fewer than came; `daymark store delete` took rows away meanwhile, nothing else may"
            )),
        };
        Ok((Some(since), note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: u64, totals: u64) -> Tally {
        Tally { values, totals }
    }

    fn account(opened: u64, added: Tally, expired: u64) -> TableAccount {
        TableAccount { opened: Some(tally(opened, 0)), added, expired: tally(expired, 0), deletions: 0 }
    }

    fn judged(
        before: TableAccount,
        after: TableAccount,
        held: Tally,
        deletions: u64,
    ) -> Result<Option<String>, String> {
        let look = Look { table: "default/metrics_1m".into(), before, after, held: Some(held), deletions };
        look.judge().map(|(_, note)| note)
    }

    #[test]
    fn a_table_holds_what_came_and_retention_left() {
        let before = account(100, tally(50, 9), 20);
        for held in [tally(130, 9), tally(125, 9), tally(140, 11)] {
            // Meanwhile ten came and five went.
            assert_eq!(judged(before, account(100, tally(60, 11), 25), held, 0), Ok(None), "{held:?}");
        }
    }

    #[test]
    fn what_is_too_much_or_gone_is_damage() {
        let account = account(100, tally(50, 9), 20);
        let of = |held, deletions| judged(account, account, held, deletions);
        assert!(of(tally(131, 9), 0).unwrap_err().contains("holds 1 values more"));
        assert!(of(tally(130, 10), 0).unwrap_err().contains("holds 1 running totals more"));
        assert!(
            of(tally(127, 9), 0).unwrap_err().contains("3 values that the collector gave it since its start are gone")
        );
        assert!(of(tally(127, 9), 1).unwrap().unwrap().contains("`daymark store delete` took rows away"));
        assert!(of(tally(130, 7), 0).unwrap().unwrap().contains("2 running totals fewer"));
    }

    #[test]
    fn a_table_that_does_not_say_is_told() {
        let account = TableAccount { opened: None, ..account(0, tally(5, 0), 0) };
        assert!(judged(account, account, tally(5, 0), 0).unwrap().unwrap().contains("not held against the ledger"));
    }

    #[test]
    fn points_that_were_not_applied_or_not_stored_are_damage() {
        let status = |stored: u64, points: u64| {
            let rows = vec![daymark_model::LedgerRow {
                signal: Signal::Metrics,
                received: stored,
                stored,
                rejected: Default::default(),
                shed: Default::default(),
                sampled: Default::default(),
                in_flight: 0,
            }];
            let ledger =
                daymark_model::LedgerSnapshot { component: "collector".into(), since: Default::default(), rows };
            let account = daymark_store::MetricAccount { points, ..Default::default() };
            let metrics = Some([(Default::default(), account)].into());
            CollectorStatus { ledgers: vec![ledger], metrics, ..CollectorStatus::default() }
        };
        let of = |stored, points| {
            let status = status(stored, points);
            applied(&status, &status, status.metrics.as_ref().unwrap())
        };
        assert!(of(7, 7).unwrap().contains("the 7 data points"));
        assert!(of(7, 5).unwrap_err().contains("2 of them did not reach the windows"));
        assert!(of(7, 8).unwrap_err().contains("1 data points reached the windows"));
    }
}
