//! What end-to-end tests are made of: the real programs as processes, a client that counts what was acknowledged,
//! and the questions a user would ask afterwards.
//!
//! Invariants:
//! - nothing here reaches into a process: OTLP in, HTTP and files out;
//! - every wait has a limit and says what it waited for.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a harness fails by panicking")]

mod ask;
mod client;
mod program;
mod system;

pub use ask::Ask;
pub use client::{Acknowledged, Client, Request};
pub use program::{Program, binary, free_address, workspace_root};
pub use system::{Role, System, SystemOptions};
