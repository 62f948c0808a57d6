//! Dashboards as code: YAML in the users' repository → check → JSON for the web app.
//!
//! Where it sits: `daymark dashboards check` runs [`check`] offline on a pull request; `daymark up` serves [`load`]ed
//! dashboards through [`router`]. The format is published as a JSON Schema, [`json_schema`], made from the structs in
//! [`definition`] and kept in `docs/schemas/dashboard.schema.json`.
//!
//! Invariants:
//! - a mistake names file and line;
//! - a threshold that belongs to an SLO is written as a reference, so that it cannot drift from the objective: the binary
//!   passes a [`ThresholdResolver`], this crate knows no SLOs;
//! - times are UTC: there is no field for a time zone.
//!
//! What it does not do: it runs no query and draws nothing.

mod check;
pub mod definition;
mod error;
mod explain;
mod load;
mod references;
mod rules;
mod serve;
mod tree;

pub use check::{Report, check};
pub use definition::json_schema;
pub use error::DashboardError;
pub use load::{LoadedDashboard, load};
pub use references::{BrokenSloFile, SloLines};
pub use serve::{ResolvedThreshold, ThresholdResolver, router};
