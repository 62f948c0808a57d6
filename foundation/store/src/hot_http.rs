//! The client side of hot rows: a collector elsewhere, asked over HTTP.
//!
//! `GET /internal/v1/status` and `/internal/v1/storage` answer JSON. `POST /internal/v1/hot` takes a JSON [`HotRequest`] and answers an Arrow IPC
//! stream with the header `daymark-through`, or 409 with `{"needed": offset}` when the snapshot is too old.

use std::time::Duration;

use arrow::ipc::reader::StreamReader;
use async_trait::async_trait;
use bytes::Bytes;
use daymark_model::LogOffset;
use reqwest::{Client, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{CollectorStatus, HotError, HotRequest, HotRows, HotSource, Usage};

/// Header of the answer to a hot request: the newest log offset that the rows reflect.
pub const THROUGH_HEADER: &str = "daymark-through";

/// Header of the answer to a hot request: whether durable rows are still being applied. Absent from an older collector.
pub const BEHIND_HEADER: &str = "daymark-behind";

/// Body of a 409 answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleBody {
    /// The snapshot must have consumed at least this offset.
    pub needed: LogOffset,
}

/// A collector at an address.
#[derive(Clone, Debug)]
pub struct HttpHotSource {
    client: Client,
    url: String,
    /// Sent as `Authorization: Bearer`; never shown.
    key: Option<Key>,
    max_bytes: usize,
}

#[derive(Clone)]
struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl HttpHotSource {
    /// Largest answer taken, bytes.
    pub const MAX_BYTES: usize = 512 << 20;

    /// For the collector at `url` (`http://host:port`), each call limited to `timeout_ms`.
    ///
    /// # Errors
    /// [`HotError::Unreachable`] when no HTTP client can be made.
    pub fn new(url: &str, timeout_ms: u64) -> Result<HttpHotSource, HotError> {
        let client = Client::builder()
            .timeout(Duration::from_millis(timeout_ms))
            .tcp_nodelay(true)
            .build()
            .map_err(|error| unreachable(&error))?;
        Ok(HttpHotSource {
            client,
            url: url.trim_end_matches('/').to_owned(),
            key: None,
            max_bytes: HttpHotSource::MAX_BYTES,
        })
    }

    /// The same source, with the key that the collector's internal routes ask for.
    #[must_use]
    pub fn with_key(mut self, key: String) -> HttpHotSource {
        self.key = Some(Key(key));
        self
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, HotError> {
        let request = match &self.key {
            Some(Key(key)) => request.bearer_auth(key),
            None => request,
        };
        request.send().await.map_err(|error| unreachable(&error))
    }

    /// The JSON answer of `/internal/v1/WHAT`.
    async fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, HotError> {
        let url = format!("{}/internal/v1/{what}", self.url);
        let answer = self.send(self.client.get(&url)).await?;
        let status = answer.status();
        let body = self.body(answer).await?;
        if status != StatusCode::OK {
            return Err(HotError::Unreachable(format!("{url}: status {status}")));
        }
        serde_json::from_slice(&body).map_err(|error| HotError::Unreachable(format!("{url}: {error}")))
    }

    /// Reads a body of at most `max_bytes`.
    async fn body(&self, mut answer: Response) -> Result<Bytes, HotError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(HotError::Unreachable(format!("answer exceeds {} bytes", self.max_bytes)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }
}

fn unreachable(error: &reqwest::Error) -> HotError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    HotError::Unreachable(format!("{error}{cause}"))
}

#[async_trait]
impl HotSource for HttpHotSource {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        let url = format!("{}/internal/v1/hot", self.url);
        let answer = self.send(self.client.post(&url).json(&request)).await?;
        let status = answer.status();
        let through = answer.headers().get(THROUGH_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let behind = answer.headers().get(BEHIND_HEADER).is_some_and(|value| value == "true");
        let body = self.body(answer).await?;
        match status {
            StatusCode::OK => decode(through, behind, body).await,
            StatusCode::CONFLICT => match serde_json::from_slice::<StaleBody>(&body) {
                Ok(StaleBody { needed }) => Err(HotError::Stale { needed }),
                Err(error) => Err(HotError::Unreachable(format!("{url}: conflict without offset: {error}"))),
            },
            _ => Err(HotError::Unreachable(format!("{url}: status {status}"))),
        }
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        self.json("status").await
    }

    async fn storage(&self) -> Result<Usage, HotError> {
        self.json("storage").await
    }
}

async fn decode(through: Option<u64>, behind: bool, body: Bytes) -> Result<HotRows, HotError> {
    let malformed = |what: String| HotError::Unreachable(format!("malformed hot rows: {what}"));
    let through = through.ok_or_else(|| malformed(format!("no {THROUGH_HEADER} header")))?;
    let read = move || StreamReader::try_new(std::io::Cursor::new(body), None)?.collect::<Result<Vec<_>, _>>();
    let batches = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| malformed(error.to_string()))?
        .map_err(|error| malformed(error.to_string()))?;
    Ok(HotRows { through: LogOffset(through), batches, behind })
}
