//! The far side of [`Ingest`]: a collector reached over HTTP.
//!
//! One attempt per call, with a timeout: the agent does the retries, in one place.

use std::collections::BTreeMap;

use async_trait::async_trait;
use daymark_model::{Refusal, TenantId};

use crate::{Heartbeat, Ingest, IngestAnswer, IngestRequest};

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

/// Sends batches and heartbeats to one collector. Clones share the connections.
#[derive(Clone)]
pub struct CollectorClient {
    _options: CollectorClientOptions,
}

impl CollectorClient {
    /// A client; connects with the first request.
    ///
    /// # Errors
    /// [`Refusal`] (class `Reject`) when the address or a key cannot be used.
    pub fn new(options: CollectorClientOptions) -> Result<CollectorClient, Refusal> {
        Ok(CollectorClient { _options: options })
    }
}

#[async_trait]
impl Ingest for CollectorClient {
    async fn ingest(&self, _request: IngestRequest) -> Result<IngestAnswer, Refusal> {
        todo!()
    }

    async fn heartbeat(&self, _beat: Heartbeat) -> Result<(), Refusal> {
        todo!()
    }
}
