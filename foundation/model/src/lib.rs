//! The words every part of Daymark shares: ids, time, tenants, signals, the ledger, receipts, error classes.
//!
//! Where it sits: below everything. Data flows through types from here, nothing here does IO.
//!
//! Invariants:
//! - no IO, no clock, no randomness, no async;
//! - an id that exists is valid: constructors parse, nothing validates later.

mod error;
mod id;
mod ledger;
mod receipt;
mod signal;
mod tenant;
mod time;

pub use error::{Classify, ErrorClass, Refusal};
pub use id::{AgentId, InvalidId, LogOffset, SpanId, Stamp, TraceId};
pub use ledger::{InFlight, Ledger, LedgerRow, LedgerSnapshot};
pub use receipt::Receipt;
pub use signal::Signal;
pub use tenant::{InvalidTenant, TenantId};
pub use time::{TimeRange, UnixNanos};
