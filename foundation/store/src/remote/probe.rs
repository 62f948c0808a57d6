//! Finds out, before anything is written, whether the server honours put-if-absent.
//!
//! Commits of several writers are ordered by nothing else. A server that ignores `If-None-Match`, or looks first and writes
//! later, would let two writers win, and the rows of one would be gone. So a few names are contended for at once; of each,
//! one writer may win, and a later one must be refused.

use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode};

use crate::StoreError;
use crate::ulid::new_ulid;

/// Names contended for.
const ROUNDS: usize = 3;
/// Writers of each, at once.
const WRITERS: usize = 8;

/// Checks the server behind `objects`.
///
/// # Errors
/// [`StoreError::NoPutIfAbsent`], faults of the object store.
pub(crate) async fn check_put_if_absent(objects: &dyn ObjectStore, store: &str) -> Result<(), StoreError> {
    let run = new_ulid(Default::default());
    for round in 0..ROUNDS {
        // In capitals, which no tenant's name has.
        let name = Path::from(format!("PROBE/{run}-{round}"));
        let checked = contend(objects, &name, store).await;
        let deleted = objects.delete(&name).await;
        checked?;
        if let Err(error) = deleted {
            tracing::debug!(path = %name, %error, "a name that was tried out is left behind");
        }
    }
    Ok(())
}

async fn contend(objects: &dyn ObjectStore, name: &Path, store: &str) -> Result<(), StoreError> {
    let writer = |number: usize| {
        let text = format!("writer {number}");
        async move {
            match objects.put_opts(name, text.clone().into(), PutMode::Create.into()).await {
                Ok(_) => Ok(Some(text)),
                Err(Error::AlreadyExists { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
    };
    let mut won: Vec<String> = Vec::new();
    for outcome in join_all((0..WRITERS).map(writer)).await {
        won.extend(outcome?);
    }
    won.extend(writer(WRITERS).await?);
    let there = objects.get_opts(name, GetOptions::default()).await?.bytes().await?;
    match won.as_slice() {
        [winner] if winner.as_bytes() == &*there => Ok(()),
        _ => Err(StoreError::NoPutIfAbsent { store: store.to_owned(), winners: won.len(), writers: WRITERS + 1 }),
    }
}
