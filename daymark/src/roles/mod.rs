//! The roles: what runs until it is told to stop.

pub(crate) mod admission;
pub(crate) mod agent;
pub(crate) mod alerts;
pub(crate) mod collector;
pub(crate) mod guard;
pub(crate) mod keys;
pub(crate) mod metrics;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod query;
pub(crate) mod retention;
#[cfg(feature = "sql")]
pub(crate) mod sql;
pub(crate) mod store;
pub(crate) mod up;
