//! What is let in, on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::dead_letters;

/// Limits of what is let in.
#[derive(Clone, Debug, Args)]
pub(crate) struct AdmissionArgs {
    /// Memory for requests in hand, unpublished rows and the log's read-ahead together; when it is short, the tenants that
    /// hold the most are turned away first. 64 MiB to 16 TiB; half of the machine's or control group's memory when left out.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(64 << 20..=16 << 40))]
    pub(crate) memory_limit: Option<u64>,
    /// Disk for requests that could not be decoded (`daymark dead-letters`): 0 keeps none, else 1 MiB to 1 TiB; the oldest
    /// go first.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = dead_letters::bytes)]
    pub(crate) dead_letter_bytes: u64,
    /// Days they are kept: 1 to 365.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=365))]
    pub(crate) dead_letter_days: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Check a key file and show what it says, without the keys; exit 1 with file, line and reason when something is wrong.
    Check {
        /// The file, as for --key-file.
        file: PathBuf,
    },
}
