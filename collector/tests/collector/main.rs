//! The collector as a whole, through its handle: what is acknowledged is found, once, whatever happens in between.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod accounts;
mod durability;
mod faults;
mod hot_rows;
mod input;
mod joining;
mod late;
mod model;
mod operation;
mod otlp;
mod quotas;
mod repeats;
mod rollups;
mod same_tables;
mod stitching;
mod world;
