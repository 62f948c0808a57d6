//! Keeps account of acknowledged frames that can no longer be read (design G3, G6).
//!
//! Where it sits: recovery and the applier tell it; the record is beside the tables ([`daymark_store::Lost`]), where
//! readers look when they make a receipt.

use daymark_log::{Damage, Frame};
use daymark_model::UnixNanos;
use daymark_store::Lost;

use crate::core::Shared;
use crate::error::CollectorError;

const HOUR_NS: u64 = 3_600_000_000_000;

/// What `damage`, noticed now, has cost.
pub(crate) fn of_damage(damage: &Damage, now: UnixNanos) -> Lost {
    Lost {
        file: damage.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        position: damage.offset,
        bytes: damage.bytes,
        reason: damage.reason.to_string(),
        frames: damage.frames_lost,
        first_offset: damage.offsets.map(|(first, _)| first),
        last_offset: damage.offsets.map(|(_, last)| last),
        received_after: damage.received_after,
        received_before: damage.received_before.unwrap_or(now),
        noticed_at: now,
    }
}

/// A frame that is intact and does not decode.
pub(crate) fn of_frame(frame: &Frame, error: &CollectorError, now: UnixNanos) -> Lost {
    Lost {
        file: "frame".to_owned(),
        position: frame.offset.0,
        bytes: frame.payload.len() as u64,
        reason: error.to_string(),
        frames: Some(1),
        first_offset: Some(frame.offset),
        last_offset: Some(frame.offset),
        received_after: frame.received,
        received_before: frame.received,
        noticed_at: now,
    }
}

/// Notes what was found, and forgets what every table has dropped by now anyhow.
pub(crate) async fn note(shared: &Shared, found: Vec<Lost>) {
    let hours = shared.options.retention.longest_hours();
    let forget = shared.clock.now().minus(hours.saturating_mul(HOUR_NS));
    if let Err(error) = shared.store.note_lost(found, forget).await {
        tracing::error!(%error, "what was lost to damage is not noted: answers will not say so");
    }
}
