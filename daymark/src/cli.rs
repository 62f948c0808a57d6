//! The command line.

mod admission;
pub(crate) mod data;
pub(crate) mod dead_letters;
mod stitching;
mod store;
pub(crate) mod store_command;
mod tuning;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use admission::{AdmissionArgs, KeysCommand};
pub(crate) use data::{BackupArgs, RestoreArgs, RetentionArgs};
use dead_letters::DeadLettersCommand;
pub(crate) use store::StoreArgs;
pub(crate) use tuning::CollectorTuning;

/// Observability that tells the truth: durable acknowledgements, exact metrics, honest answers.
#[derive(Debug, Parser)]
#[command(name = "daymark", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every role in this process, on embedded defaults.
    Up(UpArgs),
    /// Run an agent: takes OTLP, derives metrics, sends both to a collector.
    Agent(AgentArgs),
    /// Run a collector: makes telemetry durable and publishes it as tables.
    Collector(CollectorArgs),
    /// Run the query service and the web UI.
    Query(QueryArgs),
    /// Run the SLO evaluator and the notifier.
    Alerts(AlertsArgs),
    /// Work on SLO definitions.
    #[command(subcommand)]
    Slo(SloCommand),
    /// Work on dashboards.
    #[command(subcommand)]
    Dashboards(DashboardsCommand),
    /// Run a SQL query against a running Daymark.
    Sql(SqlArgs),
    /// Work on an ingest log.
    #[command(subcommand)]
    Log(LogCommand),
    /// Work on key files.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look at requests that could not be decoded, and send them again.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Copy a data directory, also while a collector writes to it.
    Backup(BackupArgs),
    /// Make a data directory from a backup.
    Restore(RestoreArgs),
    /// Work on the tables: check, list versions, see what they take, repair, delete rows.
    #[command(subcommand)]
    Store(store_command::StoreCommand),
    /// Run the demo: a small shop that breaks, pages and recovers.
    Demo(DemoArgs),
    /// One service of the demo shop.
    #[command(hide = true)]
    DemoService(DemoServiceArgs),
}

/// Where an agent's own process listens and sends; see `daymark agent --help`.
#[derive(Debug, Args)]
// The flattened struct has the same name, and clap names a group after each.
#[group(skip)]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    pub(crate) agent: daymark_agent::cli::AgentArgs,
}

/// Options shared by the roles that keep data.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArgs {
    /// Where all data lives; with --store, all but the tables.
    #[arg(long, value_name = "DIR", default_value = "daymark-data")]
    pub(crate) data_dir: PathBuf,
    /// Keys of the tenants (docs/formats/keys.md). Without it, everything belongs to tenant `default` and no key is needed.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// How often the key file is looked at for changes, beside SIGHUP.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub(crate) key_reload_interval_ms: u64,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder with slos/, dashboards/ and alerting.yaml.
    #[arg(long, value_name = "DIR")]
    pub(crate) definitions: Option<PathBuf>,
    /// Where OTLP/gRPC is taken.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4317")]
    pub(crate) otlp_grpc: SocketAddr,
    /// Where OTLP/HTTP is taken.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4318")]
    pub(crate) otlp_http: SocketAddr,
    /// Where the web UI and the HTTP API are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    #[command(flatten)]
    pub(crate) tuning: CollectorTuning,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
    #[command(flatten)]
    pub(crate) queries: QueryTuning,
}

/// Limits of queries an operator may want to change.
#[derive(Clone, Debug, Args)]
pub(crate) struct QueryTuning {
    /// A query or SQL statement that takes longer is stopped, and answered with this limit. Files that it may still read stay for
    /// ten minutes after they were merged or dropped (--keep-removed-s of the collector).
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=300_000))]
    pub(crate) query_timeout_ms: u64,
}

/// How /readyz judges.
#[derive(Clone, Debug, Args)]
pub(crate) struct HealthArgs {
    /// Longest a check of /readyz may take; beyond, it has failed.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) ready_check_timeout_ms: u64,
    /// Answer /readyz with 503 also while something that this role depends on does not answer.
    #[arg(long)]
    pub(crate) ready_needs_dependencies: bool,
}

/// Daymark's own telemetry.
#[derive(Clone, Debug, Args)]
pub(crate) struct OwnArgs {
    /// Send Daymark's own telemetry into itself, as tenant `daymark`, whose key is in DATA_DIR/telemetry.key.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) self_telemetry: bool,
}

/// Where a role that runs apart sends its own telemetry.
#[derive(Clone, Debug, Args)]
pub(crate) struct CollectorOtlp {
    /// The collector's OTLP/gRPC address, for this role's own telemetry.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:14317")]
    pub(crate) collector_otlp: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CollectorArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Where OTLP/gRPC is taken.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:14317")]
    pub(crate) otlp_grpc: SocketAddr,
    /// Where OTLP/HTTP, agents' batches and reads of unpublished rows are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:14318")]
    pub(crate) otlp_http: SocketAddr,
    #[command(flatten)]
    pub(crate) tuning: CollectorTuning,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder with dashboards/ (and slos/, for threshold lines).
    #[arg(long, value_name = "DIR")]
    pub(crate) definitions: Option<PathBuf>,
    /// The collector, for rows that are not yet published.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:14318")]
    pub(crate) collector: String,
    /// The evaluator, whose SLOs and incidents are shown.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:18081")]
    pub(crate) alerts: String,
    /// Where the web UI and the HTTP API are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    #[command(flatten)]
    pub(crate) collector_otlp: CollectorOtlp,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
    #[command(flatten)]
    pub(crate) queries: QueryTuning,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder with slos/ and alerting.yaml.
    #[arg(long, value_name = "DIR")]
    pub(crate) definitions: PathBuf,
    /// The collector, for rows that are not yet published and the watermark.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:14318")]
    pub(crate) collector: String,
    /// Address of the UI, for links in pages.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) external_url: String,
    /// Where SLOs and incidents are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18081")]
    pub(crate) http: SocketAddr,
    #[command(flatten)]
    pub(crate) collector_otlp: CollectorOtlp,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SloCommand {
    /// Check SLO definitions; exit 1 with file, line and reason when something is wrong.
    Check {
        /// Folder with slos/ and alerting.yaml.
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DashboardsCommand {
    /// Check dashboards; exit 1 with file, line and reason when something is wrong.
    Check {
        /// Folder with dashboards/ (and slos/, for threshold lines).
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show every segment and frame, and what is damaged; exit 1 when something is.
    Inspect {
        /// Folder of the log: DATA_DIR/log.
        dir: PathBuf,
    },
    /// Read the whole log and print only the sum; exit 1 when something is damaged.
    Verify {
        /// Folder of the log: DATA_DIR/log.
        dir: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SqlArgs {
    /// One read-only statement.
    pub(crate) query: String,
    /// Address of the query service, with http:// or https://.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = SqlFormat::Table)]
    pub(crate) format: SqlFormat,
    /// API key; selects the tenant.
    #[arg(long, value_name = "KEY", env = "DAYMARK_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Longest wait for the answer. The service has a limit of its own: --query-timeout-ms of `query` and `up`.
    #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) timeout_ms: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SqlFormat {
    Csv,
    Json,
    Table,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) up: UpArgs,
    /// Assert that everything happens as promised, and exit.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoServiceArgs {
    #[arg(long)]
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[arg(long)]
    pub(crate) otlp_grpc: String,
    /// `name=http://address`, repeated.
    #[arg(long)]
    pub(crate) peer: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(args: &[&str]) -> String {
        Cli::try_parse_from([&["daymark"], args].concat()).unwrap_err().to_string()
    }

    #[test]
    fn the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn numbers_that_cannot_work_are_refused_with_the_range() {
        let check = |args: &[&str], expected: &str| {
            let said = refusal(args);
            assert!(said.contains(expected), "{args:?}: {said}");
        };
        check(&["up", "--retention-days", "0"], "'--retention-days <DAYS>': 0 is not in 1..=36500");
        check(&["up", "--retention-days", "999999999999"], "is not in 1..=36500");
        check(&["collector", "--seal-interval-ms", "0"], "'--seal-interval-ms <MS>': 0 is not in 100..=86400000");
        check(&["sql", "select 1", "--timeout-ms", "0"], "'--timeout-ms <MS>': 0 is not in 1..=86400000");
        check(&["up", "--dead-letter-bytes", "5"], "5 is neither 0 nor in 1048576..=1099511627776");
        check(&["up", "--memory-limit", "1000"], "'--memory-limit <BYTES>': 1000 is not in 67108864..=17592186044416");
        check(&["up", "--max-spans-per-trace", "0"], "'--max-spans-per-trace <SPANS>': 0 is not in 1..=1000000");
        check(&["up", "--edges-days", "0"], "'--edges-days <DAYS>': 0 is not in 1..=36500");
        check(&["agent", "--queue-bytes", "0"], "'--queue-bytes <BYTES>': 0 is not in 1048576..=1099511627776");
    }

    #[test]
    fn the_edges_of_the_ranges_are_taken() {
        for args in [
            &["up", "--retention-days", "1", "--seal-interval-ms", "100"][..],
            &["up", "--retention-days", "36500", "--seal-interval-ms", "86400000"],
            &["collector", "--metrics-10s-days", "1", "--metrics-1d-days", "36500"],
            &["collector", "--max-spans-per-trace", "1000000", "--max-stitched-spans", "1000", "--max-edges", "1"],
            &["collector", "--late-spans-wait-ms", "120000", "--late-spans-bytes", "1048576", "--edges-days", "36500"],
            &["agent", "--queue-bytes", "1048576"],
        ] {
            Cli::try_parse_from([&["daymark"], args].concat()).unwrap();
        }
    }
}
