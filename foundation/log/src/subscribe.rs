//! The consumer's end: durable frames in offset order.

use std::time::Duration;

use crate::Frame;

/// Receives every durable frame once, in offset order. Dropping it lets the log go on without a consumer.
pub struct DurableFrames {}

/// What a wait with a time limit brought.
#[derive(Debug)]
pub enum Next {
    /// The next frame.
    Frame(Frame),
    /// None came in time.
    Idle,
    /// The log has ended and all its frames were taken.
    Ended,
}

impl DurableFrames {
    /// The next frame; `None` when the log has ended (closed or failed) and all its frames were taken. Cancel safe.
    pub async fn recv(&mut self) -> Option<Frame> {
        todo!()
    }

    /// The next frame, waiting up to `limit`. For a thread outside the async runtime.
    pub fn blocking_recv(&mut self, limit: Duration) -> Next {
        todo!()
    }

    /// The next frame if one waits.
    pub fn try_recv(&mut self) -> Option<Frame> {
        todo!()
    }
}
