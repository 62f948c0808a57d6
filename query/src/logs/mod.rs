//! `/api/v1/logs`: log records and work-unit events that match a search, newest first, with their volume over time.

mod matching;
mod plan;
mod record;
mod search;
mod syntax;
mod volume;

pub(crate) use record::{COLUMNS, LogRecord};
pub(crate) use search::search;
