//! `daymark agent`: the same agent as the small `daymark-agent` program.

use crate::cli::AgentArgs;

pub(crate) async fn run(args: AgentArgs) -> anyhow::Result<()> {
    Ok(daymark_agent::cli::run(args.agent).await?)
}
