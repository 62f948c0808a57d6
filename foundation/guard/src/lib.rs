//! What protects every component: the seams to clock and file system, quotas, fair slots, the memory gate, retry policy, drain, secrets,
//! health checks, the watchdog, and the faults that tests switch on.
//!
//! Invariants:
//! - this is the only crate that reads the system clock or a random source;
//! - a fault can be active only in builds with debug assertions.

pub mod clock;
pub mod drain;
pub mod fault;
pub mod fs;
pub mod health;
pub mod memory;
pub mod quota;
pub mod retry;
pub mod secret;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod slots;
pub mod watchdog;

pub use clock::{Clock, ManualClock, SystemClock};
pub use drain::Drain;
pub use fs::{FileSystem, OpenFile, RealFileSystem};
pub use health::{CheckKind, Health, HealthOptions};
pub use memory::{Held, MemoryGate, MemoryOptions};
pub use quota::{Charge, Counted, QuotaLimit, QuotaLimits, Quotas};
pub use retry::{Backoff, BackoffOptions};
pub use slots::{FairSlots, NoSlot, Slot};
