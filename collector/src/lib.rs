//! The collector: makes telemetry durable, acknowledges it, and turns it into tables.
//!
//! Where it sits: agents and clients send through [`daymark_wire::Ingest`]; readers take published tables from the
//! store and unpublished rows from [`daymark_store::HotSource`]. [`CollectorHandle`] implements both.
//! `pipeline.rs` and `applier.rs` show the whole path: admit -> log -> ack | decode -> stitch -> roll up -> seal -> publish.
//!
//! Invariants (design §2):
//! - `Ok` from `ingest` means durable (G1); a repeated batch is acknowledged and not stored again (G2);
//! - every item received has one outcome in the ledger (G3);
//! - every queue and cache has a cap in [`CollectorOptions`] or beside its type (G4);
//! - a reader that takes a table at offset O and the hot rows after O sees every row once, also during a seal;
//! - tenants share nothing but the log and the threads.

mod account;
mod admit;
mod agents;
mod applier;
mod columns;
mod compact;
mod core;
mod correlate;
mod decode;
mod dedup;
mod dedup_file;
mod error;
mod exposition;
mod handle;
mod health;
mod hot_batch;
mod internal;
mod keyed;
mod late;
mod layers;
mod lookup;
mod lost;
mod options;
mod pace;
mod pipeline;
mod resources;
mod restore;
mod retain;
mod rollup;
mod seal;
mod stitch;
mod storage;
mod tenant;
mod vitals;

pub use error::CollectorError;
pub use handle::{Collector, CollectorHandle};
pub use options::{CollectorOptions, Retention};
