//! The arguments of `daymark store`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use daymark_model::TenantId;
use daymark_store::{Condition, TableName};

use super::{RetentionArgs, StoreArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Check every file of the tables: sizes, checksums, statistics, indexes, commits; exit 1 when something is damaged.
    Verify(VerifyArgs),
    /// Show what the tables take, how fast they grow, and when the disk is full.
    Usage(UsageArgs),
    /// List the versions of a table that can still be read.
    Log(Selection),
    /// Build indexes of logs and series anew from the rows: those that are damaged, or all.
    RebuildIndex(RebuildArgs),
    /// Go back to the version before a torn commit, and take unreadable checkpoints away; keeps copies. The collector
    /// must not run.
    Repair(Selection),
    /// Delete the rows of a tenant, or those that meet conditions (one user's data), by rewriting segments.
    Delete(DeleteArgs),
}

/// Which tables.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// Where all data lives; with --store, all but the tables.
    #[arg(long, value_name = "DIR", default_value = "daymark-data")]
    pub(crate) data_dir: PathBuf,
    #[command(flatten)]
    pub(crate) place: StoreArgs,
    /// Only this tenant's tables.
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    pub(crate) tenant: Option<TenantId>,
    /// Only this table: spans, logs, traces, metrics_10s, metrics_1m.
    #[arg(long, value_name = "TABLE", value_parser = table)]
    pub(crate) table: Option<TableName>,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// A running collector's (or `daymark up`'s) OTLP/HTTP address: its ledger is checked as well.
    #[arg(long, value_name = "URL")]
    pub(crate) collector: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) retention: RetentionArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Also indexes that are sound, and segments without an index: those that gave it up (--index-hours) or never had one.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Where all data lives; with --store, all but the tables.
    #[arg(long, value_name = "DIR", default_value = "daymark-data")]
    pub(crate) data_dir: PathBuf,
    #[command(flatten)]
    pub(crate) place: StoreArgs,
    /// Whose rows.
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    pub(crate) tenant: TenantId,
    /// Only in this table: spans, logs, traces, metrics_10s, metrics_1m.
    #[arg(long, value_name = "TABLE", value_parser = table)]
    pub(crate) table: Option<TableName>,
    /// KEY=VALUE that a row must have; repeat for several, all of which it must have. KEY is a column (trace_id,
    /// correlation_id, service_name, ...), or an attribute of the row or of its resource (user.id).
    #[arg(long = "where", value_name = "KEY=VALUE", value_parser = Condition::parse, required_unless_present = "all", conflicts_with = "all")]
    pub(crate) conditions: Vec<Condition>,
    /// Every row of the tenant.
    #[arg(long)]
    pub(crate) all: bool,
    /// Count the rows and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete the files of older versions at once, instead of after ten minutes (--keep-removed-s); queries that are
    /// running then answer in part.
    #[arg(long)]
    pub(crate) purge: bool,
    /// The running collector's (or `daymark up`'s) OTLP/HTTP address: rows it has acknowledged and not yet published are waited for, and deleted as well.
    #[arg(long, value_name = "URL")]
    pub(crate) collector: Option<String>,
    /// Longest wait for the collector to publish.
    #[arg(long, value_name = "MS", default_value_t = 180_000, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) wait_ms: u64,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).map_err(|error| error.to_string())
}

fn table(text: &str) -> Result<TableName, String> {
    let names = || TableName::ALL.map(TableName::as_str).join(", ");
    TableName::parse(text).ok_or_else(|| format!("no such table; there are {}", names()))
}
