//! Holding the files of all tables: while somebody copies them, nobody deletes any.
//!
//! Where it sits: `daymark backup` holds them; what deletes files of older versions ([`crate::Table::retain`],
//! [`crate::Table::purge`]) asks here first.
//!
//! Invariants:
//! - holders are many, whoever deletes is alone; both are locks of `<data>/tables/lock`, which end with their process;
//! - commits go on: only files that nothing live needs stay longer.
//!
//! Tables in an object store are not held: nothing of ours copies them.

use std::time::Duration;

use crate::disk::Lock;
use crate::store::Shared;
use crate::{Store, StoreError};

/// Longest wait of a holder for a clean-up, which may have many files to delete.
const CLEAN_UP: Duration = Duration::from_secs(60);
/// Longest wait of whoever deletes: another clean-up may end, a backup takes long.
const HOLDERS: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(50);

/// Until it is dropped, no file of any table is deleted.
pub struct FileHold {
    _lock: Lock,
}

/// The right to delete files.
pub(crate) struct Deleting {
    _lock: Option<Lock>,
}

impl Store {
    /// Holds the files of all tables; waits a little for a clean-up that is under way.
    ///
    /// # Errors
    /// [`StoreError::FilesHeld`] when a clean-up takes too long; [`StoreError::Io`] when the directory cannot be locked.
    pub async fn hold_files(&self) -> Result<FileHold, StoreError> {
        let mut waited = Duration::ZERO;
        loop {
            let lock = match &self.shared.disk {
                Some(disk) => disk.share()?,
                None => Some(Box::new(()) as Lock),
            };
            match lock {
                Some(lock) => return Ok(FileHold { _lock: lock }),
                None if waited >= CLEAN_UP => return Err(StoreError::FilesHeld { by: "a clean-up (--purge)" }),
                None => tokio::time::sleep(POLL).await,
            }
            waited += POLL;
        }
    }

    /// Whether files of older versions may be deleted now.
    ///
    /// # Errors
    /// [`StoreError::FilesHeld`]; [`StoreError::Io`] when the directory cannot be locked.
    pub async fn may_delete_files(&self) -> Result<(), StoreError> {
        self.shared.delete_files().await.map(drop)
    }
}

impl Shared {
    /// The right to delete files; waits a little for another clean-up.
    ///
    /// # Errors
    /// As [`Store::may_delete_files`].
    pub(crate) async fn delete_files(&self) -> Result<Deleting, StoreError> {
        let mut waited = Duration::ZERO;
        loop {
            match self.try_delete_files()? {
                Some(deleting) => return Ok(deleting),
                None if waited >= HOLDERS => return Err(StoreError::FilesHeld { by: "a backup" }),
                None => tokio::time::sleep(POLL).await,
            }
            waited += POLL;
        }
    }

    /// The right to delete files, if nobody holds them.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the directory cannot be locked.
    pub(crate) fn try_delete_files(&self) -> Result<Option<Deleting>, StoreError> {
        let Some(disk) = &self.disk else { return Ok(Some(Deleting { _lock: None })) };
        Ok(disk.lock()?.map(|lock| Deleting { _lock: Some(lock) }))
    }
}
