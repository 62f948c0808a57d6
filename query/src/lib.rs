//! Answers questions about stored telemetry over HTTP (`/api/v1`) and serves the web app.
//!
//! Where it sits: store reader (segments + hot rows) → plan → prune → scan → **JSON answer with its receipt**.
//!
//! Invariants:
//! - the tenant of a query comes from the request's key alone, never from its content;
//! - every answer carries a [`Receipt`](daymark_model::Receipt) that says whether something was missing;
//! - every query has a time limit, a row limit and a byte limit, each a named option of [`QueryOptions`];
//!   a limit that is hit is a clear error or is named in the receipt, never a silently shorter answer;
//! - a parameter that is not understood is refused, never ignored;
//! - nothing here writes, and nothing here knows DataFusion: SQL comes in through the [`SqlEngine`] seam.

mod asked;
mod attributes;
mod error;
mod graph;
mod ledger;
mod logs;
mod metrics;
mod options;
mod params;
mod router;
mod rows;
mod scan;
mod services;
mod sql;
mod storage;
mod time;
mod traces;
mod ui;

pub use error::QueryError;
pub use options::QueryOptions;
pub use router::{QueryParts, TenantOf, router};
pub use sql::{SqlAnswer, SqlEngine, SqlFormat, SqlRequest};
pub use ui::serve as web_app;
