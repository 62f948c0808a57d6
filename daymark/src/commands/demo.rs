//! `daymark demo`: `daymark up` in this process, the shop around it.

use anyhow::Context as _;
use daymark_demo::{DemoOptions, Pager, ServiceArgs, write_definitions};
use daymark_guard::Drain;

use crate::cli::{DemoArgs, DemoServiceArgs};
use crate::roles::up;

/// Runs the demo until it is interrupted, or, with `--check`, until everything has been asserted.
///
/// # Errors
/// When something does not start, or a check fails.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let mut up_args = args.up;
    let pager = Pager::start().await?;
    if up_args.definitions.is_none() {
        let dir = up_args.data.data_dir.join("demo-definitions");
        write_definitions(&dir, &pager.url())?;
        up_args.definitions = Some(dir);
    }
    let options = DemoOptions {
        executable: std::env::current_exe().context("cannot find this program's own path")?,
        otlp_grpc: up_args.otlp_grpc,
        otlp_http: up_args.otlp_http,
        http: up_args.http,
        pager,
        check: args.check,
    };
    let drain = Drain::new();
    let system = tokio::spawn(up::run_until(up_args, drain.clone()));
    let story = daymark_demo::run(options, drain.clone());
    tokio::pin!(story, system);
    tokio::select! {
        told = &mut story => {
            drain.begin();
            let ended = system.await.context("the system's task failed")?;
            told.and(ended)
        }
        ended = &mut system => {
            // Ctrl-C or a failed start: the story sees the drain and ends the shop's processes.
            drain.begin();
            let told = story.await;
            ended.context("the system's task failed")?.and(told)
        }
    }
}

/// Runs one service of the shop.
///
/// # Errors
/// When it cannot start.
pub(crate) async fn serve(args: DemoServiceArgs) -> anyhow::Result<()> {
    let peer = |text: &String| {
        let (name, url) = text.split_once('=').with_context(|| format!("expected name=url, got {text:?}"))?;
        anyhow::Ok((name.to_owned(), url.to_owned()))
    };
    let peers = args.peer.iter().map(peer).collect::<anyhow::Result<_>>()?;
    daymark_demo::serve(ServiceArgs { name: args.name, listen: args.listen, peers, otlp_grpc: args.otlp_grpc }).await
}
