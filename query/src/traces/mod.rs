//! `/api/v1/traces`: search for traces, and one trace with its spans and logs.

mod by_id;
mod figures;
mod search;
mod span;
mod summary;

pub(crate) use by_id::by_id;
pub(crate) use search::search;
