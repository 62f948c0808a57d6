//! Large files go up in parts, a few at a time.
//!
//! A crash leaves parts that nobody sees and that cost money: a rule of the bucket should end unfinished uploads after a
//! day (`docs/operations.md`).

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, MultipartUpload, ObjectStore, PutMultipartOptions, PutPayload, PutResult, Result};

use super::Remote;

impl Remote {
    /// Writes `payload` under `location`, which nobody else writes.
    ///
    /// # Errors
    /// Faults of the object store; what was uploaded is given up then.
    pub(super) async fn upload(&self, location: &Path, payload: PutPayload) -> Result<PutResult> {
        let whole: Bytes = payload.into();
        let mut upload = self.inner.put_multipart_opts(location, PutMultipartOptions::default()).await?;
        let done = match self.send_parts(&mut *upload, &whole).await {
            Ok(()) => upload.complete().await,
            Err(error) => Err(error),
        };
        match done {
            Ok(done) => Ok(done),
            // The end of an upload may be applied although its answer was lost, and then is not found when repeated.
            Err(error) => match self.inner.get_opts(location, GetOptions::new().with_head(true)).await {
                Ok(there) if there.meta.size == whole.len() as u64 => {
                    Ok(PutResult { e_tag: there.meta.e_tag, version: there.meta.version })
                }
                _ => {
                    if let Err(error) = upload.abort().await {
                        tracing::debug!(path = %location, %error, "unfinished upload is left behind");
                    }
                    Err(error)
                }
            },
        }
    }

    async fn send_parts(&self, upload: &mut dyn MultipartUpload, whole: &Bytes) -> Result<()> {
        let size = self.limits.part_bytes;
        let parts = (0..whole.len()).step_by(size).map(|start| whole.slice(start..whole.len().min(start + size)));
        let parts: Vec<_> = parts.map(|part| upload.put_part(PutPayload::from_bytes(part))).collect();
        futures::stream::iter(parts).buffer_unordered(self.limits.parts_in_flight).try_collect().await
    }
}
