//! SQL over the tables of one tenant, hot rows included: the one crate that knows DataFusion.
//!
//! Where it sits: store reader (segments + hot rows) → **table providers → DataFusion** → text of the answer.
//!
//! Invariants:
//! - the tenant is an argument of every call and fixed before the statement is parsed: no statement can name another;
//! - only one statement at a time, and only one that reads: DDL, DML, COPY and SET are refused before planning ends;
//! - pruning only ever leaves out rows that the statement's own filters exclude: DataFusion applies every filter again;
//! - time, rows, bytes and memory are capped by [`SqlOptions`], and a cap that is hit is an error, not a shorter answer;
//! - every function runs within [`bounded`], constants while planning included;
//! - statements run on threads of their own, and stop soon after their caller stops waiting;
//! - `traces` shows the newest version of each trace.
//!
//! What is shown: ids as lower-case hex text, times as `timestamp` (µs, UTC) and `*_unix_nano`, attributes as
//! `attributes['key']`. Functions beyond DataFusion's: `match(body, 'words "a phrase" prefix*')`,
//! `hdr_quantile(hist, q)`, `hist_buckets(hist)`, `hdr_merge(hist)`.

mod bounded;
mod buckets;
mod cells;
mod concat;
mod depth;
mod engine;
mod error;
mod functions;
mod growth;
mod ids;
mod merge;
mod options;
mod prune;
mod pushdown;
mod render;
mod scan;
mod shape;
mod size;
mod statement;
mod stopping;
mod table;
mod words;

pub use engine::{Answer, Format, SqlEngine};
pub use error::SqlError;
pub use options::SqlOptions;
