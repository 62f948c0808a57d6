//! What a collector gave the metric tables of one tenant, for `daymark store verify --collector`: data points as the ledger
//! counts them, and what their rows have to stand for.
//!
//! Where it sits: the decode stage enters each point, retention what it drops; nothing here is read on the way of data.
//!
//! Invariants:
//! - a point is entered under the same lock under which the rollups take it;
//! - of a table, what it holds and what is not published is `opened + added - expired`, but for deletions of rows and for
//!   running totals of series beyond the limits, which the rollups leave out.

use daymark_model::LogOffset;
use daymark_store::{MetricAccount, TableAccount, TableName, Tally};
use daymark_wire::decode::{PointValue, PointView};

use crate::rollup::{Levels, Metric, level};

/// What one tenant's metric tables were given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    /// Frames up to here were acknowledged by an earlier run.
    started_at: LogOffset,
    known: MetricAccount,
}

impl Account {
    /// Of tables that were opened as `tables`; the ledger counts what comes after `started_at`.
    pub(crate) fn new(started_at: LogOffset, tables: [TableAccount; TableName::METRICS.len()]) -> Account {
        Account { started_at, known: MetricAccount { points: 0, tables } }
    }

    /// Of a tenant without tables.
    pub(crate) fn fresh(started_at: LogOffset) -> Account {
        Account::new(started_at, [TableAccount::empty(); TableName::METRICS.len()])
    }

    /// A point of the frame at `offset`, for the tables of `wanted`.
    pub(crate) fn enter(&mut self, offset: LogOffset, wanted: Levels, tally: Tally) {
        self.known.points += u64::from(offset > self.started_at);
        for (table, _) in self.known.tables.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted) {
            table.added = table.added.plus(tally);
        }
    }

    /// Rows that retention has taken out of `table`; `None` when nobody knows which.
    pub(crate) fn expire(&mut self, table: TableName, rows: Option<Tally>) {
        let Some(table) = level(table).and_then(|level| self.known.tables.get_mut(level)) else { return };
        match rows {
            Some(rows) => table.expired = table.expired.plus(rows),
            None => table.opened = None,
        }
    }

    pub(crate) fn known(&self) -> MetricAccount {
        self.known
    }
}

/// What a row of this point alone stands for.
pub(crate) fn tally_of(metric: &Metric, point: &PointView<'_, '_>) -> Tally {
    let count = match point.value {
        PointValue::Number(_) => 1,
        PointValue::Histogram(view) => view.count,
        PointValue::Exponential(view) => view.count,
        PointValue::Summary(view) => view.count,
    };
    Tally::of(metric.kind, metric.temporality, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Tally = Tally { values: 1, totals: 0 };

    #[test]
    fn points_of_an_earlier_run_are_added_to_tables_and_not_to_the_ledgers_points() {
        let mut account = Account::fresh(LogOffset(10));
        account.enter(LogOffset(10), [true, false, false, true], ONE);
        account.enter(LogOffset(11), [true; 4], ONE);
        let known = account.known();
        assert_eq!((known.points, known.tables.map(|table| table.added.values)), (1, [2, 1, 1, 2]));
    }

    #[test]
    fn a_table_that_was_lost_track_of_is_not_compared() {
        let mut account = Account::fresh(LogOffset(0));
        account.expire(TableName::Metrics1m, Some(ONE));
        account.expire(TableName::Metrics1m, None);
        account.expire(TableName::Logs, None);
        let tables = account.known().tables;
        assert_eq!((tables[1].expired, tables[1].opened), (ONE, None));
        assert!(tables[0].opened.is_some() && tables[2].opened.is_some());
    }
}
