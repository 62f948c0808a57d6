//! The S3 client: `object_store`'s, with our limits.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::scrub::scrub;
use super::{Remote, RemoteOptions};
use crate::StoreError;

/// The store that `options` name. Nothing is asked of it yet.
///
/// # Errors
/// When the options or the environment do not make a client.
pub(crate) fn connect(options: &RemoteOptions) -> Result<Remote, StoreError> {
    let client = ClientOptions::new()
        .with_connect_timeout(Duration::from_millis(options.connect_timeout_ms))
        .with_timeout(Duration::from_millis(options.request_timeout_ms));
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(options.backoff.first_ms),
        max_backoff: Duration::from_millis(options.backoff.cap_ms),
        base: 2.0,
    };
    let retry = RetryConfig {
        backoff,
        max_retries: options.retries as usize,
        retry_timeout: Duration::from_millis(options.retry_total_ms),
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(client)
        .with_retry(retry)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_region(&options.region)
        .with_bucket_name(options.url.bucket());
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    let bucket = scrub(builder.build())?;
    let prefix = options.url.prefix();
    let inner: Arc<dyn ObjectStore> = match prefix.as_ref().is_empty() {
        true => Arc::new(bucket),
        false => Arc::new(PrefixStore::new(bucket, prefix)),
    };
    Ok(Remote::new(inner, options))
}
