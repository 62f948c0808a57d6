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
    /// Memory that sorts, joins and aggregates of all running statements may use together, bytes. Nothing spills to
    /// disk.
    pub memory_bytes: usize,
    /// Longest statement, bytes.
    pub max_query_bytes: usize,
    /// How many segments one statement reads at a time.
    pub parallel_segments: usize,
}

impl Default for SqlOptions {
    fn default() -> SqlOptions {
        SqlOptions {
            timeout_ms: 30_000,
            max_rows: 1_000_000,
            max_answer_bytes: 128 << 20,
            memory_bytes: 512 << 20,
            max_query_bytes: 64 << 10,
            parallel_segments: 2,
        }
    }
}
