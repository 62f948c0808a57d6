//! Tools: what runs once, prints and ends.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod sql;
pub(crate) mod store;
