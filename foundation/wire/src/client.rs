//! The far side of [`Ingest`]: a collector reached over HTTP.
//!
//! Invariants:
//! - one attempt per call, within a timeout: the agent does the retries, in one place;
//! - an outcome that is not known (timeout, broken connection) is class `Retry`: the stamp makes a repeat harmless;
//! - a tenant's data is sent with that tenant's key or not at all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daymark_model::{ErrorClass, Refusal, TenantId};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use reqwest::{RequestBuilder, Response};

use crate::ingest::headers;
use crate::{Heartbeat, Ingest, IngestAnswer, IngestRequest, Payload, decode};

/// How to reach a collector.
#[derive(Clone)]
pub struct CollectorClientOptions {
    /// Base address: `http://collector:14318`.
    pub url: String,
    /// Key sent with every request of a tenant that has none in `tenant_keys`.
    pub key: Option<String>,
    /// Keys by tenant, for an agent that serves several.
    pub tenant_keys: BTreeMap<TenantId, String>,
    /// Limit for one attempt, milliseconds, from connecting to the last byte of the answer.
    pub timeout_ms: u64,
}

impl CollectorClientOptions {
    /// A collector at `url`, without keys, 10 s an attempt.
    pub fn new(url: impl Into<String>) -> CollectorClientOptions {
        CollectorClientOptions { url: url.into(), key: None, tenant_keys: BTreeMap::new(), timeout_ms: 10_000 }
    }
}

impl fmt::Debug for CollectorClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, timeout_ms, .. } = self;
        write!(f, "CollectorClientOptions({url}, {timeout_ms} ms)")
    }
}

/// Longest answer that is read, bytes.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// Sends batches and heartbeats to one collector. Clones share the connections.
#[derive(Clone)]
pub struct CollectorClient {
    http: reqwest::Client,
    url: String,
    key: Option<HeaderValue>,
    tenant_keys: Arc<RwLock<BTreeMap<TenantId, HeaderValue>>>,
}

impl CollectorClient {
    /// A client; connects with the first request.
    ///
    /// # Errors
    /// [`Refusal`] (class `Reject`, reason `configuration`) when the address or a key cannot be used.
    pub fn new(options: CollectorClientOptions) -> Result<CollectorClient, Refusal> {
        let url = options.url.trim_end_matches('/').to_owned();
        if !url.parse::<reqwest::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(configuration(format!("{url:?} is not an http or https address of a collector")));
        }
        let key = options.key.as_ref().map(bearer).transpose()?;
        let tenant_keys = Arc::new(RwLock::new(bearers(&options.tenant_keys)?));
        let timeout = Duration::from_millis(options.timeout_ms);
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| configuration(format!("cannot set up the client of the collector: {error}")))?;
        Ok(CollectorClient { http, url, key, tenant_keys })
    }

    /// Sends the data of each tenant with these keys from the next request on.
    ///
    /// # Errors
    /// [`Refusal`] (reason `configuration`) when a key cannot be used; the old ones stay.
    pub fn replace_tenant_keys(&self, keys: &BTreeMap<TenantId, String>) -> Result<(), Refusal> {
        *self.tenant_keys.write().unwrap_or_else(PoisonError::into_inner) = bearers(keys)?;
        Ok(())
    }

    fn post(&self, path: &str, tenant: &TenantId, content_type: &'static str) -> Result<RequestBuilder, Refusal> {
        let request = self.http.post(format!("{}{path}", self.url)).header(CONTENT_TYPE, content_type);
        let tenant_keys = self.tenant_keys.read().unwrap_or_else(PoisonError::into_inner);
        match tenant_keys.get(tenant).or(self.key.as_ref()) {
            Some(key) => Ok(request.header(AUTHORIZATION, key)),
            None if *tenant == TenantId::default() => Ok(request),
            // Without a key the collector would take the data for the default tenant's.
            None => {
                let message = format!("there is no collector key for tenant {tenant}");
                Err(Refusal::reject("no_tenant_key", message))
            }
        }
    }
}

fn configuration(message: String) -> Refusal {
    Refusal::reject("configuration", message)
}

fn bearer(key: &String) -> Result<HeaderValue, Refusal> {
    let mut value = HeaderValue::try_from(format!("Bearer {key}"))
        .map_err(|_| configuration("the collector's key has characters that a header cannot carry".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn bearers(keys: &BTreeMap<TenantId, String>) -> Result<BTreeMap<TenantId, HeaderValue>, Refusal> {
    keys.iter().map(|(tenant, key)| Ok((tenant.clone(), bearer(key)?))).collect()
}

#[async_trait]
impl Ingest for CollectorClient {
    async fn ingest(&self, request: IngestRequest) -> Result<IngestAnswer, Refusal> {
        let (path, body) = match request.payload {
            Payload::Signal(signal, bytes) => (format!("/v1/{signal}"), bytes),
            Payload::Batch(bytes) => ("/v1/batch".to_owned(), bytes),
        };
        let mut post = self
            .post(&path, &request.tenant, "application/x-protobuf")?
            .header(headers::CONTENT_HASH, format!("{:032x}", request.content_hash));
        if let Some(stamp) = request.stamp {
            post = post
                .header(headers::AGENT, stamp.agent.to_string())
                .header(headers::EPOCH, stamp.epoch)
                .header(headers::SEQUENCE, stamp.sequence);
        }
        if let Some(closed_until) = request.closed_until {
            post = post.header(headers::CLOSED_UNTIL, closed_until.0);
        }
        let answer = send(post.body(body)).await?;
        decode::partial_success(&answer).map_err(|error| unknown(format!("its answer cannot be read: {error}")))
    }

    async fn heartbeat(&self, beat: Heartbeat) -> Result<(), Refusal> {
        let post = self.post("/v1/heartbeat", &beat.tenant, "application/json")?;
        send(post.json(&beat)).await.map(|_| ())
    }
}

/// One attempt; the body of a successful answer.
async fn send(request: RequestBuilder) -> Result<Bytes, Refusal> {
    let response = request.send().await.map_err(|error| unknown(describe(&error)))?;
    let (status, retry_after_ms) = (response.status(), retry_after_ms(&response));
    let body = read(response).await?;
    if status.is_success() { Ok(body) } else { Err(refusal(status, retry_after_ms, &body)) }
}

async fn read(mut response: Response) -> Result<Bytes, Refusal> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unknown(describe(&error)))? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Err(unknown("its answer is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// The outcome is not known: the sender may repeat the batch, the stamp makes that harmless.
fn unknown(what: String) -> Refusal {
    let message = format!("the collector did not answer as expected: {what}");
    Refusal { class: ErrorClass::Retry, reason: "collector_unreachable", message, retry_after_ms: None }
}

fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn refusal(status: StatusCode, retry_after_ms: Option<u64>, body: &[u8]) -> Refusal {
    let (class, reason) = match status {
        // Our key is wrong, not the data: it stays with the sender until the key is right.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (ErrorClass::Retry, "collector_key"),
        StatusCode::TOO_MANY_REQUESTS => (ErrorClass::Overload, "collector_overload"),
        StatusCode::PAYLOAD_TOO_LARGE => (ErrorClass::Reject, "too_large"),
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => (ErrorClass::Retry, "collector_unavailable"),
        status if status.is_client_error() => (ErrorClass::Reject, "collector_rejected"),
        _ => (ErrorClass::Bug, "collector_error"),
    };
    let said = crate::status::read(body);
    let retry_after_ms = said.retry_after_ms.or(retry_after_ms);
    if let Some((class, reason)) = said.refused {
        return Refusal { class, reason, message: said.message, retry_after_ms };
    }
    let said = decode::status_message(body).unwrap_or(said.message);
    let message = format!("the collector refused with {status}: {said}");
    Refusal { class, reason, message, retry_after_ms }
}

fn retry_after_ms(response: &Response) -> Option<u64> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}
