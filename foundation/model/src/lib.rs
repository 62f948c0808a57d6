//! The words every part of Daymark shares: ids, time, tenants, signals, the ledger, receipts, error classes.
//!
//! Where it sits: below everything. Data flows through types from here, nothing here does IO.
//!
//! Invariants:
//! - no IO, no clock, no randomness, no async;
//! - an id that exists is valid: constructors parse, nothing validates later.

mod derived;
mod error;
mod id;
mod ledger;
mod memory;
mod receipt;
mod signal;
mod spelling;
mod tenant;
mod time;
mod yaml;

pub use derived::{
    DERIVED_METRICS, DERIVED_WINDOW_NS, DerivedAttribute, DerivedMetric, EVENT_DURATION, MetricName, SPAN_DURATION,
    metric_name,
};
pub use error::{Classify, ErrorClass, Refusal};
pub use id::{AgentId, InvalidId, LogOffset, SpanId, Stamp, TraceId};
pub use ledger::{InFlight, Ledger, LedgerRow, LedgerSnapshot};
pub use memory::{MemoryState, MemoryStatus};
pub use receipt::Receipt;
pub use signal::Signal;
pub use spelling::{did_you_mean, edits, nearest};
pub use tenant::{InvalidTenant, TenantId};
pub use time::{TimeRange, UnixNanos};
pub use yaml::yaml_reason;
