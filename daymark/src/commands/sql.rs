//! `daymark sql`: one statement against a running query service.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::cli::{SqlArgs, SqlFormat};

/// Prints the answer; a partial one is said on standard error.
///
/// # Errors
/// When the service cannot be reached or refuses the statement.
pub(crate) async fn run(args: SqlArgs) -> anyhow::Result<()> {
    let format = match args.format {
        SqlFormat::Csv => "csv",
        SqlFormat::Json => "json",
        SqlFormat::Table => "table",
    };
    let url = format!("{}/api/v1/sql", args.url.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(Duration::from_millis(args.timeout_ms)).build()?;
    let mut request = client.post(&url).json(&serde_json::json!({ "query": args.query, "format": format }));
    if let Some(key) = &args.key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.with_context(|| format!("cannot reach {url}: is `daymark up` running?"))?;
    let status = answer.status();
    let receipt = answer.headers().get("daymark-receipt").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = answer.text().await.with_context(|| format!("the answer of {url} broke off"))?;
    if !status.is_success() {
        let why = serde_json::from_str::<Value>(&text).ok();
        let why = why.as_ref().and_then(|json| json["error"]["message"].as_str()).unwrap_or(&text);
        anyhow::bail!("{why}");
    }
    std::io::stdout().write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        std::io::stdout().write_all(b"\n")?;
    }
    warn_if_partial(receipt.as_deref());
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a partial answer is said beside it, not in it")]
fn warn_if_partial(receipt: Option<&str>) {
    let Some(receipt) = receipt.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return };
    if receipt["complete"] == false {
        eprintln!("daymark: this answer is partial: {}", receipt["missing"]);
    }
}
