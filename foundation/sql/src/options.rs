//! The limits of the SQL engine.

use serde::{Deserialize, Serialize};

/// Limits of one SQL engine. Reaching one is an error that names the option, never a shorter answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlOptions {
    /// Wall time of one statement, milliseconds.
    pub timeout_ms: u64,
    /// Largest number of rows of an answer.
    pub max_rows: usize,
    /// Largest answer as text, and as rows in memory, bytes.
    pub max_answer_bytes: usize,
    /// Largest cell that a function may make or an answer may have, bytes.
    pub max_cell_bytes: usize,
    /// All constants that one statement computes, bytes: each may be repeated in every row of a batch.
    pub max_constant_bytes: usize,
    /// Memory that sorts, joins, aggregates and results of functions of all running statements may use together,
    /// bytes. Nothing spills to disk.
    pub memory_bytes: usize,
    /// Rows that are worked on at a time.
    pub batch_rows: usize,
    /// Threads that plan statements, run them and write their answers, apart from those that serve connections.
    pub threads: usize,
    /// Longest statement, bytes.
    pub max_query_bytes: usize,
    /// Operators of one statement: each may stand inside the next.
    pub max_operators: usize,
    /// Tables that one statement reads, each time it names one.
    pub max_tables: usize,
    /// How many segments one statement reads at a time.
    pub parallel_segments: usize,
}

impl Default for SqlOptions {
    fn default() -> SqlOptions {
        SqlOptions {
            timeout_ms: 30_000,
            max_rows: 1_000_000,
            max_answer_bytes: 64 << 20,
            max_cell_bytes: 1 << 20,
            max_constant_bytes: 64 << 10,
            memory_bytes: 512 << 20,
            batch_rows: 2_048,
            threads: 2,
            max_query_bytes: 64 << 10,
            max_operators: 2_000,
            max_tables: 100,
            parallel_segments: 2,
        }
    }
}
