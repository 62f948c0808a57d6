//! Figures for the log's own metrics.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many of the newest syncs the quantiles are taken over.
const WINDOW: usize = 1_024;

/// State of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStats {
    /// Bytes of segment files on disk, the spares included.
    pub bytes: u64,
    /// Segment files that hold or take frames.
    pub segments: u64,
    /// Frames made durable since the log was opened.
    pub frames: u64,
    /// Syncs that made them durable.
    pub commits: u64,
    /// Median time of a data sync, microseconds; 0 before the first.
    pub fsync_p50_us: u64,
    /// 99th percentile of the time of a data sync, microseconds.
    pub fsync_p99_us: u64,
    /// Bytes appended but not yet durable.
    pub queued_bytes: u64,
    /// Bytes durable but not yet taken by the consumer.
    pub undelivered_bytes: u64,
    /// Whether new data is refused for lack of disk space.
    pub disk_full: bool,
}

/// Durations of the newest syncs.
#[derive(Debug, Default)]
pub(crate) struct SyncTimes {
    micros: Vec<u32>,
    next: usize,
}

impl SyncTimes {
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        if self.micros.len() < WINDOW {
            self.micros.push(micros);
        } else {
            self.micros[self.next] = micros;
        }
        self.next = (self.next + 1) % WINDOW;
    }

    /// The median and the 99th percentile, microseconds.
    pub(crate) fn quantiles(&self) -> (u64, u64) {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        (at(50).copied().unwrap_or(0).into(), at(99).copied().unwrap_or(0).into())
    }
}
