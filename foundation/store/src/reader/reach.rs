//! What a reader does while the object store is out of reach: it answers from what is known, and says so.
//!
//! Where it sits: [`super::Reader`] begins here. A table on local disk is read as it is; its faults are errors.
//!
//! Invariants:
//! - an answer from an older snapshot has a receipt that is partial, with the reason;
//! - a store that does not answer costs a reader one wait, then none for a moment.

use std::time::Duration;

use daymark_model::Receipt;

use crate::store::Shared;
use crate::{Lost, Snapshot, Store, StoreError, Table};

/// The newest snapshot, or the newest one known when the store does not answer in time.
///
/// # Errors
/// Damage of the table's log; faults of a local disk.
pub(super) async fn snapshot(table: &Table, receipt: &mut Receipt) -> Result<Snapshot, StoreError> {
    let answer = in_time(table.shared(), table.snapshot()).await;
    let error = match answer {
        Err(error @ StoreError::Object(_)) if is_remote(table.shared()) => error,
        answer => return answer,
    };
    let known = table.known_snapshot();
    let version = known.version.map_or_else(|| "none".to_owned(), |version| version.to_string());
    receipt.miss(format!("rows of {} published after version {version}: {error}", table.name()));
    Ok(known)
}

/// What is noted as lost; see [`Store::lost`].
///
/// # Errors
/// When it cannot be read in time.
pub(super) async fn lost(store: &Store) -> Result<Vec<Lost>, StoreError> {
    in_time(&store.shared, store.lost()).await
}

fn is_remote(shared: &Shared) -> bool {
    shared.disk.is_none()
}

async fn in_time<T>(shared: &Shared, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    if !is_remote(shared) {
        return asked.await;
    }
    if !shared.away.may_ask(shared.options.clock.now()) {
        return Err(silent("did not answer just now"));
    }
    let limit = Duration::from_millis(shared.options.snapshot_timeout_ms);
    let answer = tokio::time::timeout(limit, asked)
        .await
        .unwrap_or_else(|_| Err(silent(&format!("no answer within {} ms", limit.as_millis()))));
    match &answer {
        Err(StoreError::Object(_)) => shared.away.note(shared.options.clock.now()),
        _ => shared.away.clear(),
    }
    answer
}

fn silent(why: &str) -> StoreError {
    StoreError::Object(object_store::Error::Generic { store: "S3", source: why.into() })
}
