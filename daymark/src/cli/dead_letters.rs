//! `daymark dead-letters` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where dead letters are.
#[derive(Clone, Debug, Args)]
pub(crate) struct AreaArgs {
    /// Where all data lives; dead letters are in DATA_DIR/dead-letters.
    #[arg(long, value_name = "DIR", default_value = "daymark-data")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// A line a dead letter, oldest first.
    List {
        #[command(flatten)]
        area: AreaArgs,
    },
    /// Show what is known of a dead letter.
    Show {
        #[command(flatten)]
        area: AreaArgs,
        /// Its name.
        name: String,
        /// Print what was sent, byte by byte, and nothing else.
        #[arg(long)]
        content: bool,
    },
    /// Send dead letters again, as they were sent; what is accepted is taken out, exit 1 when something is refused.
    Replay(ReplayArgs),
    /// Take dead letters out.
    Drop {
        #[command(flatten)]
        area: AreaArgs,
        /// Their names.
        names: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) area: AreaArgs,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// The OTLP/HTTP address of a collector, or of `daymark up`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4318")]
    pub(crate) url: String,
    /// API key; selects the tenant, whichever the letter came from.
    #[arg(long, value_name = "KEY", env = "DAYMARK_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Leave accepted letters where they are.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// The size of the area: 0 for none.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let bytes = text.parse().ok().filter(|bytes| *bytes == 0 || (1 << 20..=1 << 40).contains(bytes));
    bytes.ok_or_else(|| format!("{text} is neither 0 nor in {}..={}", 1_u64 << 20, 1_u64 << 40))
}
