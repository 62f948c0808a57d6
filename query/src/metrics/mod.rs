//! `/api/v1/metrics`: which metrics there are, and their values over time.

mod function;
mod labels;
mod list;
mod range;
mod step;
mod unknown;

pub(crate) use labels::{cardinality, labels, series};
pub(crate) use list::list;
pub(crate) use range::range;
