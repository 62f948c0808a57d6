//! The receipt that every answer carries (design G6): is it complete, and what was read for it.

use serde::{Deserialize, Serialize};

/// What was read for an answer and whether anything was missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// True when nothing was missing, skipped for damage, or cut by a limit.
    pub complete: bool,
    /// Why the answer is partial, one sentence each; empty when complete.
    pub missing: Vec<String>,
    /// What a reader should know of an answer from which nothing readable was left out, one sentence each: acknowledged data
    /// that nobody can read any more, or a question that was probably not meant so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Published segments in the table snapshots.
    pub segments_total: u64,
    /// Segments whose rows were read (the rest were pruned by statistics, bloom filter or index).
    pub segments_read: u64,
    /// Rows examined in segments.
    pub rows_scanned: u64,
    /// Rows examined that were not yet published.
    pub hot_rows: u64,
    /// Wall time spent, milliseconds.
    pub elapsed_ms: f64,
}

impl Receipt {
    /// A receipt for an answer that lacks nothing so far.
    pub fn new() -> Receipt {
        Receipt { complete: true, ..Receipt::default() }
    }

    /// Notes that something is missing: the answer is partial from here on.
    pub fn miss(&mut self, why: impl Into<String>) {
        self.complete = false;
        self.missing.push(why.into());
    }

    /// Notes something the reader should know; the answer stays complete.
    pub fn warn(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.warnings.contains(&why) {
            self.warnings.push(why);
        }
    }

    /// Adds what another part of the same answer read.
    pub fn absorb(&mut self, other: &Receipt) {
        self.complete &= other.complete;
        self.missing.extend(other.missing.iter().cloned());
        other.warnings.iter().for_each(|why| self.warn(why.as_str()));
        self.segments_total += other.segments_total;
        self.segments_read += other.segments_read;
        self.rows_scanned += other.rows_scanned;
        self.hot_rows += other.hot_rows;
        self.elapsed_ms += other.elapsed_ms;
    }
}
