//! The story of the demo, top to bottom.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use daymark_guard::{Clock, Drain, SystemClock};
use daymark_model::UnixNanos;

use crate::check::Check;
use crate::history;
use crate::oracle::page_fast_due;
use crate::pager::{Page, Pager};
use crate::process::Shop;
use crate::traffic::{self, Outcomes};

/// Where Daymark listens, and how the demo should end.
#[derive(Clone)]
pub struct DemoOptions {
    /// The program to start the shop's services with.
    pub executable: PathBuf,
    /// OTLP/gRPC address of the agent.
    pub otlp_grpc: SocketAddr,
    /// OTLP/HTTP address of the agent.
    pub otlp_http: SocketAddr,
    /// Address of the UI and the HTTP API.
    pub http: SocketAddr,
    /// Receives the pages.
    pub pager: Pager,
    /// Assert what happens and return, instead of going on until interrupted.
    pub check: bool,
}

/// Healthy live traffic before the fault.
const CALM: Duration = Duration::from_secs(30);
/// Longest wait for the page: due after 104 s at half errors, and the slack of `--check`.
const PAGE_WAIT: Duration = Duration::from_secs(240);
/// Longest wait for the resolution: the 5 min window must clear after recovery.
const RESOLVE_WAIT: Duration = Duration::from_secs(480);
/// Half of all payments fail.
const FAULT_PPM: u64 = 500_000;

/// Runs the demo.
///
/// # Errors
/// When a part does not start, or, with `check`, when something did not happen as promised.
pub async fn run(options: DemoOptions, drain: Drain) -> anyhow::Result<()> {
    let say = |text: &str| tell(text);
    let api = Check::new(options.http)?;
    api.wait_until_ready().await?;
    say(&format!(
        "Daymark is up: http://{}  (OTLP gRPC {}, HTTP {})",
        options.http, options.otlp_grpc, options.otlp_http
    ));

    let outcomes = Outcomes::default();
    let history_end = SystemClock.now();
    say("sending six hours of healthy history over OTLP ...");
    let otlp_http = format!("http://{}", options.otlp_http);
    let spans = history::send(&otlp_http, history_end, &outcomes).await?;
    say(&format!("{spans} spans of history are durable"));

    let shop = Shop::start(&options.executable, &format!("http://{}", options.otlp_grpc)).await?;
    let traffic_drain = Drain::new();
    let orders =
        tokio::spawn(traffic::place_orders(shop.url("frontend").to_owned(), outcomes.clone(), traffic_drain.clone()));
    say(&format!("the shop is open: 6 services, {} orders a second", traffic::ORDERS_PER_SECOND));

    let story = tell_story(&options, &shop, &outcomes, &api, history_end);
    let result = tokio::select! {
        result = story => result,
        () = drain.begun() => Ok(()),
    };
    if result.is_ok() && !options.check && !drain.has_begun() {
        say("the demo goes on with healthy traffic; Ctrl-C ends it");
        drain.begun().await;
    }
    traffic_drain.begin();
    let _ = orders.await;
    shop.stop().await;
    if options.check && result.is_ok() {
        api.ledger_is_balanced().await?;
        say("check passed");
    }
    result
}

async fn tell_story(
    options: &DemoOptions,
    shop: &Shop,
    outcomes: &Outcomes,
    api: &Check,
    history_end: UnixNanos,
) -> anyhow::Result<()> {
    tokio::time::sleep(CALM).await;
    api.history_is_exact(history_end).await?;
    let early = options.pager.pages();
    anyhow::ensure!(early.is_empty(), "paged before anything was wrong: {early:?}");

    shop.set_fault("payment", FAULT_PPM).await?;
    let fault_at = SystemClock.now();
    tell("payment now fails half of its calls; page-fast is due about 104 s from now");

    let page = wait_for(&options.pager, "firing", PAGE_WAIT).await?;
    let due = page_fast_due(&outcomes.sorted());
    show_page(&page, fault_at, options.http);
    api.page_is_right(&page, due).await?;

    tokio::time::sleep(Duration::from_secs(10)).await;
    shop.set_fault("payment", 0).await?;
    let recovered_at = SystemClock.now();
    tell("payment has recovered; the page resolves when the 5 min window is clean enough");
    let resolved = wait_for(&options.pager, "resolved", RESOLVE_WAIT).await?;
    anyhow::ensure!(resolved.at > recovered_at, "resolved before the recovery");
    tell(&format!("resolved {} s after the recovery", resolved.at.seconds() - recovered_at.seconds()));
    api.incident_is_resolved(&page).await
}

async fn wait_for(pager: &Pager, status: &str, limit: Duration) -> anyhow::Result<Page> {
    let arrived = async {
        loop {
            let of_page = |page: &Page| page.status == status && page.label("severity") == "page";
            if let Some(page) = pager.pages().into_iter().find(of_page) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    tokio::time::timeout(limit, arrived)
        .await
        .map_err(|_| anyhow::anyhow!("no page with status {status} arrived within {} s", limit.as_secs()))
}

fn show_page(page: &Page, fault_at: UnixNanos, http: SocketAddr) {
    tell(&format!("PAGE, {} s after the fault began:", page.at.seconds() - fault_at.seconds()));
    tell(&format!("  {}", page.annotation("summary")));
    for (label, name) in [("runbook", "runbook_url"), ("dashboard", "dashboard_url"), ("trace", "trace_url")] {
        tell(&format!("  {label:<10}{}", page.annotation(name)));
    }
    tell(&format!("  incidents http://{http}/incidents"));
}

#[expect(clippy::print_stdout, reason = "the demo speaks to the person who started it")]
fn tell(text: &str) {
    println!("demo: {text}");
}
