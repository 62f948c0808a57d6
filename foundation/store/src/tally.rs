//! How many data points rows of the metric tables stand for: what must stay the same when rows are folded and merged.
//!
//! Where it sits: written into each segment's commit; a collector keeps a [`TableAccount`] of what it gave a table, and
//! `daymark store verify --collector` holds the two against each other.
//!
//! Invariants:
//! - joining rows of a series does not change the sum of the tallies, at whatever resolution;
//! - cumulative histograms and summaries have no tally: a newer total replaces the one before it, points and all.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use daymark_model::TenantId;
use serde::{Deserialize, Serialize};

use crate::series::Adding;
use crate::{Snapshot, TableName};

/// Columns of a metric table that a tally is made of.
pub(crate) const COLUMNS: [&str; 4] = ["kind", "temporality", "count", "log_offset"];

/// Sums of `count`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Of gauges, deltas and delta histograms: data points, of histograms the values that they sum up.
    pub values: u64,
    /// Data points of cumulative counters.
    pub totals: u64,
}

/// What a collector knows of one metric table since it opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAccount {
    /// What the table held then; `None` when segments without a tally were in it, or one was lost track of.
    pub opened: Option<Tally>,
    /// Deletions of rows (`daymark store delete`) that the table had seen by then.
    pub deletions: u64,
    /// What came in since, published or not. Of cumulative counters at most: points of series beyond the limits are left out.
    pub added: Tally,
    /// What retention took out since.
    pub expired: Tally,
}

/// What a collector knows of a tenant's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricAccount {
    /// Data points applied since its start, as its ledger counts them.
    pub points: u64,
    /// In the order of [`TableName::METRICS`].
    pub tables: [TableAccount; TableName::METRICS.len()],
}

/// The accounts of a collector's tenants.
pub type MetricAccounts = BTreeMap<TenantId, MetricAccount>;

impl Tally {
    /// Of one data point, or of a row whose `count` is given.
    pub fn of(kind: &str, temporality: &str, count: u64) -> Tally {
        match Adding::of(kind, temporality) {
            Adding::Gauge | Adding::Delta => Tally { values: count, totals: 0 },
            Adding::Cumulative if kind == "counter" => Tally { values: 0, totals: count },
            Adding::Cumulative => Tally::default(),
        }
    }

    /// Of rows of a metric table; `None` when the batch lacks a column of it.
    pub fn of_rows(batch: &RecordBatch) -> Option<Tally> {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let (kind, temporality) = (text("kind")?, text("temporality")?);
        let count = batch.column_by_name("count")?.as_primitive_opt::<Int64Type>()?;
        let row = |row: usize| Tally::of(kind.value(row), temporality.value(row), count.value(row).max(0) as u64);
        Some((0..batch.num_rows()).map(row).fold(Tally::default(), Tally::plus))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Tally) -> Tally {
        Tally { values: self.values.saturating_add(other.values), totals: self.totals.saturating_add(other.totals) }
    }

    /// Without `other`.
    #[must_use]
    pub fn minus(self, other: Tally) -> Tally {
        Tally { values: self.values.saturating_sub(other.values), totals: self.totals.saturating_sub(other.totals) }
    }
}

impl TableAccount {
    /// Of a table that was opened as `snapshot`.
    pub fn open(snapshot: &Snapshot) -> TableAccount {
        TableAccount { opened: snapshot.tally(), deletions: snapshot.deletions, ..TableAccount::default() }
    }

    /// Of a table that was not there.
    pub fn empty() -> TableAccount {
        TableAccount { opened: Some(Tally::default()), ..TableAccount::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_tallied_by_what_joining_rows_keeps() {
        let check = |kind, temporality, values, totals| {
            assert_eq!(Tally::of(kind, temporality, 7), Tally { values, totals }, "{kind} {temporality}");
        };
        check("gauge", "none", 7, 0);
        check("counter", "delta", 7, 0);
        check("histogram", "delta", 7, 0);
        check("counter", "cumulative", 0, 7);
        check("histogram", "cumulative", 0, 0);
    }
}
