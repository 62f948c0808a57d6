//! Put if absent, with an outcome that is known.
//!
//! The answer to a conditional put can be lost (the connection breaks after the server has applied it), late, or wrong: a
//! repetition inside the client finds its own first attempt and is told that the object exists. So whenever the answer is
//! not a plain success, the object is read back. Bytes equal to ours are ours: a commit carries an id of its own, and a
//! segment's name does.
//!
//! What stays unknown after all attempts is told as the last error; the same put again finds out.

use daymark_guard::Backoff;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, PutMode, PutPayload, PutResult, Result};
use tokio::time::Instant;

use super::Remote;

/// What lies under a name after a put whose answer does not tell.
enum Found {
    Ours(PutResult),
    Another,
    Nothing,
}

impl Remote {
    /// Writes `payload` under `location` unless something is there.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when other bytes are there; faults after the last attempt.
    pub(super) async fn create(&self, location: &Path, payload: PutPayload) -> Result<PutResult> {
        let mut backoff = Backoff::new(self.limits.backoff);
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let error = match self.inner.put_opts(location, payload.clone(), PutMode::Create.into()).await {
                Ok(done) => return Ok(done),
                Err(error) if is_definite(&error) => return Err(error),
                Err(error) => error,
            };
            match self.read_back(location, &payload).await {
                Ok(Found::Ours(done)) => return Ok(done),
                Ok(Found::Another) => return Err(taken(location, error)),
                // Not applied, or not yet: if it arrives late, it meets the next attempt and one of both is refused.
                Ok(Found::Nothing) => {}
                Err(read) => tracing::debug!(path = %location, %read, "outcome of a put is not known yet"),
            }
            if attempt >= self.limits.retries || started.elapsed() >= self.limits.retry_total {
                return Err(unsettled(error));
            }
            attempt += 1;
            tokio::time::sleep(backoff.next_wait(None)).await;
        }
    }

    async fn read_back(&self, location: &Path, payload: &PutPayload) -> Result<Found> {
        let got = match self.inner.get_opts(location, GetOptions::default()).await {
            Err(Error::NotFound { .. }) => return Ok(Found::Nothing),
            got => got?,
        };
        if got.meta.size != payload.content_length() as u64 {
            return Ok(Found::Another);
        }
        let done = PutResult { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let there = got.bytes().await?;
        let ours = payload.iter().flat_map(|chunk| chunk.iter()).eq(there.iter());
        Ok(if ours { Found::Ours(done) } else { Found::Another })
    }
}

/// Whether nothing was written for sure, and another attempt would fare no better.
fn is_definite(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

fn taken(location: &Path, error: Error) -> Error {
    match error {
        Error::AlreadyExists { .. } => error,
        other => Error::AlreadyExists { path: location.to_string(), source: other.to_string().into() },
    }
}

/// "Exists" must not be said of a name under which nothing was found.
fn unsettled(error: Error) -> Error {
    match error {
        Error::AlreadyExists { path, source } | Error::Precondition { path, source } => {
            let source = format!("{path} was refused as existing, but is not there: {source}").into();
            Error::Generic { store: "S3", source }
        }
        other => other,
    }
}
