//! The `daymark` program: one subcommand a role or tool.
//!
//! Where it sits: above everything. It is the only crate that knows all components, and it only wires them.
//!
//! Invariants:
//! - a failure ends the process with one message that says what to do, and exit code 1 (2 for wrong usage);
//! - nothing is printed to standard output but what the user asked for; logs go to standard error.

mod cli;
mod commands;
mod roles;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    daymark_guard::memory::tune_allocator();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error).context("cannot start the runtime")),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(args) => roles::up::run(args).await,
        Command::Agent(args) => roles::agent::run(args).await,
        Command::Collector(args) => roles::collector::run(args).await,
        Command::Query(args) => roles::query::run(args).await,
        Command::Alerts(args) => roles::alerts::run(args).await,
        Command::Slo(cli::SloCommand::Check { dir }) => commands::check::slo(&dir),
        Command::Dashboards(cli::DashboardsCommand::Check { dir }) => commands::check::dashboards(&dir),
        Command::Sql(args) => commands::sql::run(args).await,
        Command::Log(cli::LogCommand::Inspect { dir }) => commands::log::inspect(&dir, std::io::stdout()),
        Command::Log(cli::LogCommand::Verify { dir }) => commands::log::verify(&dir, std::io::stdout()),
        Command::Keys(cli::KeysCommand::Check { file }) => commands::keys::check(&file, std::io::stdout()),
        Command::DeadLetters(command) => commands::dead_letters::run(command, std::io::stdout()).await,
        Command::Backup(args) => commands::backup::backup(args).await,
        Command::Restore(args) => commands::backup::restore(&args),
        Command::Store(command) => commands::store::run(command).await,
        Command::Demo(args) => commands::demo::run(args).await,
        Command::DemoService(args) => commands::demo::serve(args).await,
    }
}

#[expect(clippy::print_stderr, reason = "the last word of the program")]
fn fail(error: &anyhow::Error) -> std::process::ExitCode {
    eprintln!("daymark: {}", told(error));
    match error.is::<commands::store::WrongUsage>() {
        true => std::process::ExitCode::from(2),
        false => std::process::ExitCode::FAILURE,
    }
}

/// The message and its causes; a cause that the message already contains is not said twice.
fn told(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |said, cause| {
        let cause = cause.to_string();
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let cause = || anyhow::anyhow!("no space left");
        assert_eq!(told(&cause().context("cannot write x")), "cannot write x: no space left");
        assert_eq!(told(&cause().context("cannot write x: no space left")), "cannot write x: no space left");
    }
}
