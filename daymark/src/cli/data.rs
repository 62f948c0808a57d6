//! Arguments that concern a data directory: its backup, and how long its rows are kept.

use std::path::PathBuf;

use clap::Args;

#[derive(Clone, Debug, Args)]
pub(crate) struct BackupArgs {
    /// The data directory of `up` or `collector`, running or not.
    #[arg(long, value_name = "DIR", default_value = "daymark-data")]
    pub(crate) data_dir: PathBuf,
    /// Where the backup goes: a new folder, or an earlier backup, of which unchanged files are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Copy files of tables also where a second name for them (a hard link) would do.
    #[arg(long)]
    pub(crate) copy: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// The data directory to make; it must not exist, or be empty.
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Only read the backup and say whether it is whole.
    #[arg(long)]
    pub(crate) check: bool,
}

/// How long rows are kept.
#[derive(Clone, Debug, Args)]
pub(crate) struct RetentionArgs {
    /// Days spans, logs and traces are kept, by their own time: 1 to 36500.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) retention_days: u64,
    /// File of `TENANT TABLE HOURS` lines: how long rows of a table are kept instead; `*` stands for every other tenant.
    #[arg(long, value_name = "FILE")]
    pub(crate) retention_file: Option<PathBuf>,
    /// How often rows that are too old are looked for, and files that nobody needs any more: 1 to 86400.
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) retention_check_s: u64,
    #[command(flatten)]
    pub(crate) metrics: MetricRetention,
}

/// How long metrics are kept, by the width of their windows.
#[derive(Clone, Debug, Args)]
pub(crate) struct MetricRetention {
    /// Days metrics are kept in windows of 10 s: 1 to 36500.
    #[arg(long, value_name = "DAYS", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) metrics_10s_days: u64,
    /// Days metrics are kept in windows of a minute: 1 to 36500.
    #[arg(long, value_name = "DAYS", default_value_t = 95, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) metrics_1m_days: u64,
    /// Days metrics are kept in windows of an hour: 1 to 36500.
    #[arg(long, value_name = "DAYS", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) metrics_1h_days: u64,
    /// Days metrics are kept in windows of a day: 1 to 36500.
    #[arg(long, value_name = "DAYS", default_value_t = 1_830, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) metrics_1d_days: u64,
}
