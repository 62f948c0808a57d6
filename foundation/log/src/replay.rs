//! Reads recovered frames from disk, one at a time.

use crate::{Frame, LogError};

/// Durable frames of the time before the log was opened, in offset order. Holds one frame in memory at a time.
pub struct Replay {}

impl Iterator for Replay {
    type Item = Result<Frame, LogError>;

    fn next(&mut self) -> Option<Result<Frame, LogError>> {
        todo!()
    }
}
