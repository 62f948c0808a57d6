//! What protects every component: the clock seam, retry policy, drain, secrets, and the faults that tests switch on.
//!
//! Invariants:
//! - this is the only crate that reads the system clock or a random source;
//! - a fault can be active only in builds with debug assertions.

pub mod clock;
pub mod drain;
pub mod fault;
pub mod retry;
pub mod secret;

pub use clock::{Clock, ManualClock, SystemClock};
pub use drain::Drain;
pub use retry::{Backoff, BackoffOptions};
