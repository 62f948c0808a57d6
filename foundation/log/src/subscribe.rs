//! The consumer's end: durable frames in offset order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Frame;
use crate::shared::Shared;

/// Receives every durable frame once, in offset order. Dropping it lets the log go on without a consumer.
pub struct DurableFrames {
    shared: Arc<Shared>,
    subscription: u64,
}

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
    pub(crate) fn new(shared: Arc<Shared>, limit_bytes: usize) -> DurableFrames {
        let mut state = shared.lock();
        state.subscription += 1;
        state.is_consumer_gone = false;
        state.ready_limit_bytes = limit_bytes;
        let subscription = state.subscription;
        drop(state);
        shared.wake_all();
        DurableFrames { shared, subscription }
    }

    /// The next frame; `None` when the log has ended (closed or failed) and all its frames were taken. Cancel safe.
    pub async fn recv(&mut self) -> Option<Frame> {
        loop {
            match self.poll() {
                Next::Frame(frame) => return Some(frame),
                Next::Ended => {
                    // A permit taken by an ended subscription belongs to the newest one.
                    self.shared.arrived_async.notify_one();
                    return None;
                }
                Next::Idle => self.shared.arrived_async.notified().await,
            }
        }
    }

    /// The next frame, waiting up to `limit`. For a thread outside the async runtime.
    pub fn blocking_recv(&mut self, limit: Duration) -> Next {
        let start = Instant::now();
        loop {
            match self.poll() {
                Next::Idle => {}
                found => return found,
            }
            let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Next::Idle;
            };
            let state = self.shared.lock();
            if state.ready.is_empty() && !state.has_ended() && state.subscription == self.subscription {
                drop(self.shared.wait_for(&self.shared.arrived, state, left));
            }
        }
    }

    /// The next frame if one waits.
    pub fn try_recv(&mut self) -> Option<Frame> {
        match self.poll() {
            Next::Frame(frame) => Some(frame),
            Next::Idle | Next::Ended => None,
        }
    }

    fn poll(&mut self) -> Next {
        let mut state = self.shared.lock();
        if state.subscription != self.subscription {
            return Next::Ended;
        }
        let Some(frame) = state.ready.pop_front() else {
            return if state.has_ended() { Next::Ended } else { Next::Idle };
        };
        let was_full = !state.has_room_at_consumer();
        state.ready_bytes -= frame.cost_bytes();
        let has_room_again = was_full && state.has_room_at_consumer();
        drop(state);
        if has_room_again {
            self.shared.work.notify_all();
        }
        Next::Frame(frame)
    }
}

impl Drop for DurableFrames {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.subscription == self.subscription {
            state.is_consumer_gone = true;
            state.ready.clear();
            state.ready_bytes = 0;
        }
        drop(state);
        self.shared.wake_all();
    }
}
