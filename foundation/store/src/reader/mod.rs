//! Reading: one consistent view of published and hot rows, and the tools to touch as little of it as possible.
//!
//! Where it sits: query, SQL and alerts start with [`Reader::view`]; [`View`] answers whole questions (newest rows, one
//! trace), [`Segment`] gives its parts: time pages, bloom filters, text index, filtered rows.
//!
//! Invariants:
//! - a row is in the view exactly once: published up to the snapshot's offset, hot after it;
//! - what cannot be reached or read is named in the receipt, never left out silently;
//! - an index only chooses rows to look at, filters decide.

mod columns;
mod filter;
mod newest;
mod reach;
mod rows;
mod segment;
mod source;
mod traces;
mod view;

pub use filter::{Filter, ReadSpec};
pub use rows::RowChoice;
pub use segment::{PageTimes, Search, Segment};
pub use view::{Reader, View};
