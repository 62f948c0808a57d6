//! The table log: Delta Lake protocol reader 1, writer 2, written by ourselves (`docs/formats/tables.md`).
//!
//! Where it sits: below [`crate::Table`], which checks and retries; here are the bytes and the algebra of actions.
//!
//! Invariants:
//! - [`State`] changes by whole commits only, in version order, none skipped;
//! - a commit file that is empty or not whole is an error, never an empty commit.

mod action;
mod checkpoint;
mod log;
mod state;

pub(crate) use action::{Action, Metadata, Protocol, Remove, Txn, add_of, encode_commit};
pub(crate) use checkpoint::{CheckpointContent, write_checkpoint};
pub(crate) use log::{LogDir, commit_path};
pub(crate) use state::State;
