//! What the demo asserts, read through the public HTTP API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use daymark_model::UnixNanos;
use serde_json::Value;

use crate::history::HISTORY_S;
use crate::pager::Page;
use crate::traffic::ORDERS_PER_SECOND;

/// How far from the computed instant the page may arrive.
const PAGE_SLACK_S: u64 = 30;

/// Step of the count of the history.
const COUNT_STEP_S: u64 = 600;

/// A reader of the HTTP API.
pub(crate) struct Check {
    base: String,
    client: reqwest::Client,
}

impl Check {
    pub(crate) fn new(http: SocketAddr) -> anyhow::Result<Check> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Check { base: format!("http://{http}"), client })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        let answer = self.client.get(&url).send().await.with_context(|| url.clone())?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{url} answered {status}: {text}");
        serde_json::from_str(&text).with_context(|| url)
    }

    /// Waits for `/readyz`, a minute at most.
    pub(crate) async fn wait_until_ready(&self) -> anyhow::Result<()> {
        for _ in 0..240 {
            if self.client.get(format!("{}/readyz", self.base)).send().await.is_ok_and(|a| a.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        anyhow::bail!("{}/readyz was not ready within a minute", self.base)
    }

    /// Every order of the history is counted, once.
    pub(crate) async fn history_is_exact(&self, history_end: UnixNanos) -> anyhow::Result<()> {
        // Points are aligned to the step, so the range is too; it lies inside the history.
        let end = history_end.window(COUNT_STEP_S * 1_000_000_000);
        let hours = 5 * 3_600;
        const { assert!(5 * 3_600 + COUNT_STEP_S < HISTORY_S, "the range lies inside the history") };
        let start = end.minus(hours * 1_000_000_000);
        let path = format!(
            "/api/v1/metrics/range?metric=traces.span.metrics.duration&service=checkout&attribute=span.kind=server&fn=count&step={COUNT_STEP_S}&start={}&end={}",
            start.seconds(),
            end.seconds()
        );
        let answer = self.get(&path).await?;
        ensure!(answer["receipt"]["complete"] == true, "the count of the history is partial: {}", answer["receipt"]);
        let counted: f64 = answer["series"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|series| series["points"].as_array().into_iter().flatten())
            .filter_map(|point| point[1].as_f64())
            .sum();
        let expected = (hours * ORDERS_PER_SECOND) as f64;
        // One order may end on the other side of each edge of the range.
        ensure!((counted - expected).abs() <= 2.0, "history has {expected} orders, Daymark counts {counted}");
        Ok(())
    }

    /// The page came when it was due, and everything it links to is there.
    pub(crate) async fn page_is_right(&self, page: &Page, due: Option<UnixNanos>) -> anyhow::Result<()> {
        let due = due.context("paged although, by the counts, no page was due")?;
        let off_s = page.at.seconds().abs_diff(due.seconds());
        ensure!(off_s <= PAGE_SLACK_S, "the page came {off_s} s off the time due");
        let incidents = self.get("/api/v1/incidents?state=open").await?;
        let incident = incidents["incidents"]
            .as_array()
            .and_then(|all| all.iter().find(|incident| incident["slo"] == page.label("slo")))
            .with_context(|| format!("the UI shows no open incident for the page: {incidents}"))?;
        for link in ["runbook", "dashboard"] {
            ensure!(
                incident[link].as_str().is_some_and(|url| !url.is_empty()),
                "the incident has no {link}: {incident}"
            );
        }
        let trace_id = incident["example_trace_id"].as_str().context("the incident has no example trace")?;
        let trace = self.get(&format!("/api/v1/traces/{trace_id}")).await?;
        let has_error =
            trace["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span["status"] == "error"));
        ensure!(has_error, "the example trace {trace_id} shows no error: {trace}");
        Ok(())
    }

    /// The page's incident has ended.
    pub(crate) async fn incident_is_resolved(&self, page: &Page) -> anyhow::Result<()> {
        let incidents = self.get("/api/v1/incidents?state=resolved").await?;
        let found = incidents["incidents"].as_array().into_iter().flatten().any(|i| i["slo"] == page.label("slo"));
        ensure!(found, "no resolved incident for the page: {incidents}");
        Ok(())
    }

    /// Everything received is explained, at every component.
    pub(crate) async fn ledger_is_balanced(&self) -> anyhow::Result<()> {
        let ledger = self.get("/api/v1/ledger").await?;
        let components = ledger["components"].as_array().context("no components in the ledger")?;
        ensure!(components.len() >= 2, "agent and collector should both report: {ledger}");
        for component in components {
            for row in component["rows"].as_array().into_iter().flatten() {
                ensure!(row["unexplained"] == 0, "unexplained items in {component}");
            }
        }
        Ok(())
    }
}
