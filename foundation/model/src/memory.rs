//! The state of a memory gate, as a collector tells it.

use serde::{Deserialize, Serialize};

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryState {
    /// There is enough.
    #[default]
    Normal,
    /// Tenants that hold more than their share are turned away.
    Soft,
    /// Every new request is.
    Hard,
}

impl MemoryState {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            MemoryState::Normal => "normal",
            MemoryState::Soft => "soft",
            MemoryState::Hard => "hard",
        }
    }
}

/// What is held and what may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// Who is turned away.
    pub state: MemoryState,
    /// Requests in hand, rows not yet published, read-ahead of the log.
    pub used_bytes: u64,
    /// The budget.
    pub limit_bytes: u64,
}
