//! Limits of the collector, on the command line.

use clap::Args;

use super::admission::AdmissionArgs;
use super::data::RetentionArgs;
use super::stitching::StitchingArgs;

/// Limits of the collector an operator may want to change.
#[derive(Clone, Debug, Args)]
pub(crate) struct CollectorTuning {
    #[command(flatten)]
    pub(crate) retention: RetentionArgs,
    /// Hours after which logs lose their text index, which frees its room; searches then scan them. 0 keeps it.
    #[arg(long, value_name = "HOURS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=876_000))]
    pub(crate) index_hours: u64,
    /// A table is published when its oldest waiting row is this old: 100 to 86400000.
    #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub(crate) seal_interval_ms: u64,
    /// How often small segments are looked for, to be merged into large ones.
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub(crate) compact_interval_ms: u64,
    /// Files of segments that were merged, deleted or too old stay so long, for queries and other engines that read an older
    /// version of the table: 60 to 31536000. Longer than any query takes; what was deleted without --purge stays as long, and
    /// merged rows take room twice.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(60..=31_536_000))]
    pub(crate) keep_removed_s: u64,
    /// Commits of a table stay so long, and until a checkpoint covers them: 60 to 31536000. An older version can be read while
    /// its commits are there and its files (--keep-removed-s).
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(60..=31_536_000))]
    pub(crate) keep_commits_s: u64,
    /// Segments whose row groups take so many bytes or more, on average, are merged without being decoded: 0 to 1 GiB. Smaller
    /// row groups are joined into larger ones first.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    pub(crate) splice_bytes: u64,
    /// Agents of one tenant that hold its watermark back. Beyond, a new one takes the place of a silent one; while none is
    /// silent, its data counts as closed on arrival.
    #[arg(long, value_name = "AGENTS", default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) max_agents_per_tenant: u64,
    /// What a start may have to replay, about: every table is published once half of this was applied since the last time.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 40))]
    pub(crate) replay_bytes: u64,
    /// A read waits so long for rows that were acknowledged before it came. Beyond, its receipt says that newer rows are
    /// still being applied.
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub(crate) read_wait_ms: u64,
    /// A worker of the collector that has work and makes no progress for this long ends the process with code 75, for a
    /// clean restart; 0 never does.
    #[arg(long, value_name = "MS", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub(crate) watchdog_stall_ms: u64,
    #[command(flatten)]
    pub(crate) stitching: StitchingArgs,
    #[command(flatten)]
    pub(crate) admission: AdmissionArgs,
}
