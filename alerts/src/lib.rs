//! SLOs to pages: definitions → SLIs → burn rates → incidents → routing → notification.
//!
//! Where it sits: beside `query`, reading good and total events through `daymark-store`; nothing depends on it but the
//! binary.
//!
//! The path of one evaluation, in the order of the modules:
//! [`definition`] (YAML in the users' repository) → `sli_reader` (rollups to good/total) → [`sli`] (prefix sums) →
//! [`burn`] (exact comparison) → [`evaluator`] (a pure function to incident events) → [`incident`] (the state those
//! events make) → `journal` (durable before anything acts on it) → `outbox` → `webhook`.
//!
//! Invariants:
//! - no decision uses a float: targets, factors and counts are integers, floats appear in answers for people only;
//! - the evaluator is stateless over the store: the same series and the same incident give the same events;
//! - missing data is *unknown* with its reason: it neither fires nor resolves;
//! - an event is synced to the journal before it changes state, and before a notification of it is sent.

pub mod burn;
pub mod decimal;
pub mod definition;
pub mod error;
pub mod evaluator;
pub mod incident;
pub mod sli;

mod api;
mod budget;
mod check;
mod duration;
mod evaluation;
mod journal;
mod labels;
mod load;
mod notification;
mod outbox;
mod service;
#[cfg(test)]
mod service_tests;
mod sli_reader;
mod state;
mod validate;
mod webhook;

pub use check::{Report, check};
pub use definition::{BrokenSlo, Definitions, SloId, ThresholdLine};
pub use error::{AlertsError, DefinitionError};
pub use service::{Alerts, AlertsHandle, AlertsOptions};
