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

pub(crate) use action::{Action, Add, Metadata, Protocol, Remove, Txn, add_of, decode_commit, encode_commit};
pub(crate) use checkpoint::{CheckpointContent, read_checkpoint, write_checkpoint};
pub(crate) use log::{LogDir, LogFiles, checkpoint_path, commit_path};
pub(crate) use state::State;
