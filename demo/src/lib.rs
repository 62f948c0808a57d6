//! The demo: a small shop that runs, breaks, pages and recovers, so that a newcomer sees the whole path on real input.
//!
//! Six services, each a process of its own instrumented with `tracing` and the OpenTelemetry SDK, call each other over
//! HTTP and export over OTLP to the agent, as any user's service would:
//!
//! ```text
//! traffic ─▶ frontend ─▶ checkout ─▶ cart · inventory · payment · shipping
//! ```
//!
//! First comes seeded healthy history with past timestamps, enough for the six-hour window of the page tiers; then live
//! traffic at the same rate; then `payment` fails half of its calls until the page has arrived.
//!
//! Invariants:
//! - the demo talks to Daymark only as a user would: OTLP in, webhook and HTTP API out;
//! - what `--check` expects is computed here, from the requests the demo itself counted, never read from Daymark.

mod check;
mod definitions;
mod history;
mod oracle;
mod pager;
mod process;
mod run;
mod shop;
mod telemetry;
mod traffic;

pub use definitions::{EMBEDDED, write_definitions};
pub use pager::Pager;
pub use run::{DemoOptions, run};
pub use shop::{ServiceArgs, serve};
