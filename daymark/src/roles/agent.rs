//! `daymark agent`: the same agent as the small `daymark-agent` program.

use crate::cli::AgentArgs;
use crate::telemetry;

pub(crate) async fn run(args: AgentArgs) -> anyhow::Result<()> {
    let telemetry = telemetry::start(None)?;
    let result = daymark_agent::cli::run(args.agent).await;
    telemetry.shutdown().await;
    Ok(result?)
}
