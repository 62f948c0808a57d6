//! `daymark backup` and `daymark restore`: a consistent copy of a data directory, taken beside a running collector.
//!
//! A backup is a folder: `MANIFEST.json` and the files it names below `data/` and `log/` (`docs/formats/backup.md`).
//!
//! How it is consistent: the ingest log is copied first, up to its newest intact frame; then of every table the newest
//! version that has consumed nothing behind that frame. What a table lacks of the log copy is replayed by the first
//! start after a restore, as after a crash. The dedup window is read before the log, and the copy begins anew when a
//! segment was released in between, so that every request is recognised either by the window or by its frame.
//!
//! Invariants:
//! - everything acknowledged before the backup began is in it, once;
//! - the manifest is replaced last, whole and durably: an interrupted backup leaves the one before intact;
//! - the collector's files are only read. While a backup runs, no file of a table is deleted ([`Store::hold_files`]): a clean-up
//!   comes later, `daymark store delete --purge` is refused.
//!
//! [`Store::hold_files`]: daymark_store::Store::hold_files

mod copy;
mod manifest;
mod restore;
mod write;

pub(crate) use restore::restore;
pub(crate) use write::backup;
