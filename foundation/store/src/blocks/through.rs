//! The object store with the cache in front of it.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::BlockCache;
use crate::remote::is_segment_file;

/// Ranges of segments come from the cache; everything else is asked of the store.
#[derive(Debug)]
pub(crate) struct Cached {
    inner: Arc<dyn ObjectStore>,
    blocks: BlockCache,
}

impl Cached {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, blocks: BlockCache) -> Cached {
        Cached { inner, blocks }
    }
}

#[async_trait]
impl ObjectStore for Cached {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let kept = is_segment_file(location).then(|| payload.clone());
        let done = self.inner.put_opts(location, payload, opts).await?;
        if let Some(payload) = kept {
            self.blocks.keep(location, &payload.into()).await;
        }
        Ok(done)
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match is_segment_file(location) {
            true => self.blocks.get_ranges(&*self.inner, location, ranges).await,
            false => self.inner.get_ranges(location, ranges).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // Blocks of a deleted file are not asked for again, and leave as the longest unused.
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl std::fmt::Display for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cached {}", self.inner)
    }
}
