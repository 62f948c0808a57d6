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
    let url = endpoint(&args.url)?;
    let client = reqwest::Client::builder().timeout(Duration::from_millis(args.timeout_ms)).build()?;
    let mut request = client.post(url.clone()).json(&serde_json::json!({ "query": args.query, "format": format }));
    if let Some(key) = &args.key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.map_err(|error| not_answered(error, &url, args.timeout_ms))?;
    let status = answer.status();
    let receipt = answer.headers().get("daymark-receipt").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = answer.text().await.map_err(|error| not_answered(error, &url, args.timeout_ms))?;
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

/// Where statements go.
///
/// # Errors
/// When `url` is no address of a service.
fn endpoint(url: &str) -> anyhow::Result<reqwest::Url> {
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    anyhow::ensure!(is_http, "--url {url:?} does not begin with http:// or https://: write --url http://{url}");
    let url = format!("{}/api/v1/sql", url.trim_end_matches('/'));
    reqwest::Url::parse(&url).with_context(|| format!("--url: {url} is not an address"))
}

/// What to do when no whole answer came.
fn not_answered(error: reqwest::Error, url: &reqwest::Url, timeout_ms: u64) -> anyhow::Error {
    if error.is_timeout() {
        return anyhow::anyhow!(
            "no answer from {url} within {timeout_ms} ms (--timeout-ms): narrow the statement or wait longer; the \
             service itself stops a statement after its --query-timeout-ms, and would have said so"
        );
    }
    let context = if error.is_connect() {
        format!("cannot reach {url}: is `daymark up` running?")
    } else {
        format!("the answer of {url} broke off")
    };
    anyhow::Error::from(error).context(context)
}

#[expect(clippy::print_stderr, reason = "a partial answer is said beside it, not in it")]
fn warn_if_partial(receipt: Option<&str>) {
    let Some(receipt) = receipt.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return };
    if receipt["complete"] == false {
        eprintln!("daymark: this answer is partial: {}", receipt["missing"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_told_how_to_be_written() {
        assert_eq!(endpoint("http://127.0.0.1:8080/").unwrap().as_str(), "http://127.0.0.1:8080/api/v1/sql");
        for url in ["127.0.0.1:8080", "localhost:8080", "example"] {
            let error = endpoint(url).unwrap_err().to_string();
            assert!(error.contains(&format!("write --url http://{url}")), "{error}");
        }
        assert!(endpoint("http://a b").unwrap_err().to_string().contains("is not an address"));
    }

    #[tokio::test]
    async fn a_service_that_is_slow_is_not_called_unreachable() {
        // It takes connections and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let args = |url: String| SqlArgs {
            query: "select 1".to_owned(),
            url,
            format: SqlFormat::Csv,
            key: None,
            timeout_ms: 200,
        };
        let error = run(args(format!("http://{}", silent.local_addr().unwrap()))).await.unwrap_err().to_string();
        assert!(error.contains("within 200 ms (--timeout-ms)") && error.contains("--query-timeout-ms"), "{error}");
        let address = silent.local_addr().unwrap();
        drop(silent);
        let error = run(args(format!("http://{address}"))).await.unwrap_err().to_string();
        assert!(error.contains("cannot reach"), "{error}");
    }
}
