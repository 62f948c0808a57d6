//! The API over a small store: what each route answers, and what its receipt says.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../../../foundation/sql/tests/fixture/mod.rs"]
mod fixture;

mod app;
mod ledger;
mod logs;
mod metrics;
mod partial;
mod refusals;
mod services;
mod sql;
mod traces;
