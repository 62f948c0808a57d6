//! `daymark-agent`: the agent as a small binary of its own, to run on every host.

use std::process::ExitCode;

use clap::Parser;
use daymark_agent::cli::{AgentArgs, run};

#[derive(Parser)]
#[command(name = "daymark-agent", version, about)]
struct Cli {
    #[command(flatten)]
    agent: AgentArgs,
}

/// Threads for the network, at most: an agent shares its host with what it observes.
const WORKER_THREADS_MAX: usize = 4;

#[expect(clippy::print_stderr, reason = "the last word of the program")]
fn main() -> ExitCode {
    daymark_guard::memory::tune_allocator();
    match start(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Errors of the agent say their causes themselves.
            eprintln!("daymark-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(WORKER_THREADS_MAX));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    Ok(runtime.block_on(run(cli.agent))?)
}
