//! Counts what is asked of the object store: requests cost money and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use object_store::{Error, Result};

/// Calls since the process began. One may take several requests: repetitions, parts of a large file, pages of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestStats {
    /// Objects written.
    pub puts: u64,
    /// Objects or ranges read.
    pub gets: u64,
    /// Listings.
    pub lists: u64,
    /// Objects deleted.
    pub deletes: u64,
    /// Calls that failed after all repetitions, for another reason than that an object is there or is not.
    pub failed: u64,
}

/// The counters. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    puts: AtomicU64,
    gets: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    failed: AtomicU64,
}

impl Requests {
    pub(crate) fn stats(&self) -> RequestStats {
        let Counters { puts, gets, lists, deletes, failed } = &*self.0;
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        RequestStats {
            puts: read(puts),
            gets: read(gets),
            lists: read(lists),
            deletes: read(deletes),
            failed: read(failed),
        }
    }

    pub(super) fn put(&self) {
        self.0.puts.fetch_add(1, Relaxed);
    }

    pub(super) fn get(&self, count: u64) {
        self.0.gets.fetch_add(count, Relaxed);
    }

    pub(super) fn list(&self) {
        self.0.lists.fetch_add(1, Relaxed);
    }

    pub(super) fn delete(&self) {
        self.0.deletes.fetch_add(1, Relaxed);
    }

    /// Counts a failure.
    pub(super) fn outcome<T>(&self, result: Result<T>) -> Result<T> {
        let failed = |error: &Error| {
            !matches!(
                error,
                Error::NotFound { .. }
                    | Error::AlreadyExists { .. }
                    | Error::NotImplemented { .. }
                    | Error::Precondition { .. }
                    | Error::NotModified { .. }
            )
        };
        if result.as_ref().is_err_and(failed) {
            self.0.failed.fetch_add(1, Relaxed);
        }
        result
    }
}
