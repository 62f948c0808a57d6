//! What can be wrong with a dashboard file.

use std::fmt;
use std::path::PathBuf;

use daymark_model::{Classify, ErrorClass};

/// One mistake. Prints as `file:line: reason`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DashboardError {
    /// The file, as it was reached from the directory given.
    pub file: PathBuf,
    /// Line of the mistake, from 1.
    pub line: u64,
    /// What is wrong, and what is expected instead.
    pub message: String,
}

impl fmt::Display for DashboardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

impl Classify for DashboardError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Reject
    }
}
