//! The agent: takes OTLP on every host, derives exact metrics from it, and passes both on to the collector.
//!
//! Where it sits: between the services and the collector. [`pipeline`] is the whole path of a request, top to bottom.
//!
//! Invariants:
//! - a client gets a success answer only after the collector made its items, and what was derived from them, durable;
//! - one client request is one stamped batch, and every attempt of it carries the same stamp and the same bytes;
//! - what waits here is bounded in items and in bytes; beyond that clients are turned away with a time to come back;
//! - every item received ends in the [`Ledger`](daymark_model::Ledger) as stored, rejected or shed.
//!
//! What it does not do: it stores no telemetry of its own yet, so a refused request is the client's to repeat; it
//! neither samples nor redacts yet.

mod agent;
pub mod cli;
mod closed;
mod derive;
mod error;
mod health;
mod heartbeat;
mod identity;
mod keys;
mod options;
mod pipeline;
mod queue;
mod send;

pub use agent::{Agent, AgentHandle};
pub use error::AgentError;
pub use health::add_checks;
pub use options::AgentOptions;
