//! `/api/v1/logs` and `/api/v1/logs/facets`: log records and work-unit events that match a search, newest first, with their volume over time.

mod facets;
mod matching;
mod plan;
mod record;
mod search;
mod syntax;
mod volume;

pub(crate) use facets::facets;
pub(crate) use record::{COLUMNS, LogRecord};
pub(crate) use search::search;
