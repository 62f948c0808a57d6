//! Tables in an S3-compatible object store.
//!
//! Where it sits: between the tables and `object_store`'s S3 client, which signs, times out and repeats single requests.
//!
//! Invariants:
//! - a put-if-absent is answered only with what is known: after an answer that may be wrong or did not come, the object is
//!   read back, and whose bytes are there decides ([`create`]);
//! - only names that their writer made up (segments) are uploaded in parts: a commit is always one request;
//! - no text of a server's error leaves this module unscrubbed: some repeat the credentials that they refuse ([`scrub`]);
//! - a store whose put-if-absent lets two writers win is refused before anything is written to it ([`probe`]).

mod address;
mod away;
mod client;
mod create;
mod probe;
mod requests;
mod scrub;
#[cfg(test)]
pub(crate) mod tests;
mod upload;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daymark_guard::BackoffOptions;
use futures::stream::BoxStream;
use futures::{StreamExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

pub use address::{BadAddress, StoreUrl};
pub(crate) use away::Away;
pub(crate) use client::connect;
pub(crate) use probe::check_put_if_absent;
pub use requests::RequestStats;
pub(crate) use requests::Requests;
use scrub::scrubbed;

/// Where the object store is, and how long its answers are waited for. Credentials are no option: they come from the
/// environment (`AWS_*`) or from what AWS gives the machine.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Bucket and prefix.
    pub url: StoreUrl,
    /// Address of the server; AWS's own when absent.
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// Longest wait for a connection, milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the whole answer to one request, milliseconds.
    pub request_timeout_ms: u64,
    /// A request that failed for a passing reason is repeated so often.
    pub retries: u32,
    /// No request is repeated after so long, milliseconds.
    pub retry_total_ms: u64,
    /// Waits before repetitions.
    pub backoff: BackoffOptions,
    /// Larger files are uploaded in parts of this size.
    pub part_bytes: usize,
    /// Parts on their way at once.
    pub parts_in_flight: usize,
    /// Local copies of what was read and written; none when absent.
    pub cache: Option<CacheOptions>,
}

/// Where parts of remote segments are kept locally, and how much of them.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Directory for this process alone.
    pub dir: PathBuf,
    /// Bytes on disk at most.
    pub max_bytes: u64,
}

impl RemoteOptions {
    /// The defaults, for the store at `url`.
    pub fn new(url: StoreUrl) -> RemoteOptions {
        RemoteOptions {
            url,
            endpoint: None,
            region: "us-east-1".to_owned(),
            connect_timeout_ms: 3_000,
            request_timeout_ms: 15_000,
            retries: 4,
            retry_total_ms: 30_000,
            backoff: BackoffOptions { first_ms: 100, cap_ms: 5_000 },
            part_bytes: 8 << 20,
            parts_in_flight: 4,
            cache: None,
        }
    }
}

/// An object store behind the rules of this module.
#[derive(Debug)]
pub(crate) struct Remote {
    inner: Arc<dyn ObjectStore>,
    limits: Limits,
    requests: Requests,
}

/// The part of [`RemoteOptions`] that is ours to keep.
#[derive(Clone, Copy, Debug)]
struct Limits {
    retries: u32,
    retry_total: Duration,
    backoff: BackoffOptions,
    part_bytes: usize,
    parts_in_flight: usize,
}

impl Remote {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, options: &RemoteOptions) -> Remote {
        let limits = Limits {
            retries: options.retries,
            retry_total: Duration::from_millis(options.retry_total_ms),
            backoff: options.backoff,
            part_bytes: options.part_bytes.max(5 << 20),
            parts_in_flight: options.parts_in_flight.max(1),
        };
        Remote { inner, limits, requests: Requests::default() }
    }

    /// What is asked of the server, counted from now on.
    pub(crate) fn requests(&self) -> Requests {
        self.requests.clone()
    }
}

/// Whether `location` is named by a ULID of its writer, so that nobody else ever writes it.
pub(crate) fn is_segment_file(location: &Path) -> bool {
    let in_log = location.parts().any(|part| part.as_ref() == "_delta_log");
    !in_log && matches!(location.extension(), Some("parquet" | "idx"))
}

#[async_trait]
impl ObjectStore for Remote {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let large = payload.content_length() > self.limits.part_bytes;
        self.requests.put();
        let done = match opts.mode {
            PutMode::Create if large && is_segment_file(location) => self.upload(location, payload).await,
            PutMode::Create => self.create(location, payload).await,
            PutMode::Overwrite if large => self.upload(location, payload).await,
            PutMode::Overwrite | PutMode::Update(_) => self.inner.put_opts(location, payload, opts).await,
        };
        self.requests.outcome(done.map_err(scrubbed))
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).map_err(scrubbed).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.requests.get(1);
        self.requests.outcome(self.inner.get_opts(location, options).map_err(scrubbed).await)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.requests.get(ranges.len() as u64);
        self.requests.outcome(self.inner.get_ranges(location, ranges).map_err(scrubbed).await)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.requests.delete();
        self.inner.delete_stream(locations).map_err(scrubbed).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.list();
        self.inner.list(prefix).map_err(scrubbed).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.requests.list();
        self.requests.outcome(self.inner.list_with_delimiter(prefix).map_err(scrubbed).await)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: self.to_string() })
    }
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "daymark remote {}", self.inner)
    }
}
