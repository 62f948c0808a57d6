//! `<data>/tables/LOST.json`: acknowledged data that damage to the ingest log has cost, so that answers say so.
//!
//! Where it sits: the collector notes what recovery could not read ([`Store::note_lost`]); [`crate::Reader`] warns in the
//! receipt of every answer whose time it may concern; `/api/v1/ledger` lists it.
//!
//! Nobody can know the times of rows that cannot be read. What is known is when their frame was received: no row is
//! later than that by more than a clock's error, and any may be earlier. So an answer is warned of when its range begins
//! before the first intact frame after the damage was received.
//!
//! Invariants: the file is replaced whole and durably; at most [`MAX_ENTRIES`] entries are kept, the oldest are merged.

use daymark_model::{LogOffset, TimeRange, UnixNanos};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError};

/// Entries kept; beyond, the two oldest become one.
const MAX_ENTRIES: usize = 256;
/// A larger file is not ours.
const MAX_BYTES: u64 = 1 << 20;
const FILE: &str = "LOST.json";
const VERSION: u32 = 1;

/// A part of the ingest log that cannot be read any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The log's file; empty where several were merged.
    pub file: String,
    /// Where in the file it begins, bytes.
    pub position: u64,
    /// How long it is, bytes; 0 when that is not known.
    pub bytes: u64,
    /// What is wrong.
    pub reason: String,
    /// How many frames are lost, where that is known.
    pub frames: Option<u64>,
    /// First log offset that is lost, where that is known.
    pub first_offset: Option<LogOffset>,
    /// Last log offset that is lost, where that is known.
    pub last_offset: Option<LogOffset>,
    /// When the last intact frame before it was received; 0 when that is not known.
    pub received_after: UnixNanos,
    /// When the first intact frame after it was received, else when the damage was noticed.
    pub received_before: UnixNanos,
    /// When it was noticed.
    pub noticed_at: UnixNanos,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    lost: Vec<Lost>,
}

impl Lost {
    /// Whether the same part was noted before: it is found again by every start until its segment is gone.
    fn is(&self, other: &Lost) -> bool {
        (&self.file, self.position, &self.reason) == (&other.file, other.position, &other.reason)
    }

    fn merge(self, other: Lost) -> Lost {
        Lost {
            file: String::new(),
            position: 0,
            bytes: self.bytes + other.bytes,
            reason: "several".to_owned(),
            frames: self.frames.zip(other.frames).map(|(ours, theirs)| ours + theirs),
            first_offset: self.first_offset.min(other.first_offset),
            last_offset: self.last_offset.max(other.last_offset),
            received_after: self.received_after.min(other.received_after),
            received_before: self.received_before.max(other.received_before),
            noticed_at: self.noticed_at.max(other.noticed_at),
        }
    }
}

/// One sentence about what of `lost` an answer over `range` may lack; `None` when nothing.
pub(crate) fn warning(lost: &[Lost], range: TimeRange) -> Option<String> {
    let concerned: Vec<&Lost> = lost.iter().filter(|lost| range.start <= lost.received_before).collect();
    if concerned.is_empty() {
        return None;
    }
    let frames = concerned.iter().map(|lost| lost.frames).sum::<Option<u64>>();
    let frames = frames.map_or_else(|| "log frames".to_owned(), |frames| format!("{frames} log frame(s)"));
    let bytes: u64 = concerned.iter().map(|lost| lost.bytes).sum();
    Some(format!(
        "{frames} ({bytes} damaged bytes) that had been acknowledged could not be read: rows may be missing (see \
         /api/v1/ledger and `daymark log inspect`)"
    ))
}

impl Store {
    /// What was lost and not forgotten, oldest first.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub async fn lost(&self) -> Result<Vec<Lost>, StoreError> {
        let path = Path::from(FILE);
        let got = match self.shared.objects.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            got => got?,
        };
        let damaged = |reason: String| StoreError::DamagedRecord { path: path.to_string(), reason };
        if got.meta.size > MAX_BYTES {
            return Err(damaged(format!("{} bytes is more than it ever has", got.meta.size)));
        }
        let record: Record = serde_json::from_slice(&got.bytes().await?).map_err(|error| damaged(error.to_string()))?;
        match record.version {
            VERSION => Ok(record.lost),
            other => Err(damaged(format!("version {other}, this program reads {VERSION}"))),
        }
    }

    /// Notes what was lost, once each, and forgets what was received before `forget`. Durable on return. A record that
    /// cannot be read is replaced. For one writer: the collector.
    ///
    /// # Errors
    /// Faults of the object store.
    pub async fn note_lost(&self, found: Vec<Lost>, forget: UnixNanos) -> Result<(), StoreError> {
        let known = match self.lost().await {
            Ok(known) => known,
            Err(error @ StoreError::DamagedRecord { .. }) => {
                tracing::error!(%error, "what was noted as lost is forgotten");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let mut lost: Vec<Lost> = known.iter().filter(|lost| lost.received_before >= forget).cloned().collect();
        for one in found {
            if !lost.iter().any(|known| known.is(&one)) {
                lost.push(one);
            }
        }
        while lost.len() > MAX_ENTRIES {
            let (first, second) = (lost.remove(0), lost.remove(0));
            lost.insert(0, first.merge(second));
        }
        if lost == known {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&Record { version: VERSION, lost })
            .map_err(|error| StoreError::DamagedRecord { path: FILE.to_owned(), reason: error.to_string() })?;
        self.shared.objects.put_opts(&Path::from(FILE), text.into(), PutMode::Overwrite.into()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(position: u64, received_s: u64) -> Lost {
        Lost {
            file: "1.log".into(),
            position,
            bytes: 100,
            frames: Some(1),
            received_before: UnixNanos::from_seconds(received_s),
            ..Lost::default()
        }
    }

    #[tokio::test]
    async fn what_is_lost_is_noted_once_and_bounded_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_local(dir.path()).unwrap();
        assert_eq!(store.lost().await.unwrap(), []);
        for _ in 0..2 {
            store.note_lost(vec![lost(1, 10), lost(2, 20)], UnixNanos(0)).await.unwrap();
        }
        assert_eq!(store.lost().await.unwrap(), [lost(1, 10), lost(2, 20)]);
        assert!(store.tenants().await.unwrap().is_empty(), "the record is no tenant");
        let many = (3..=400).map(|position| lost(position, 30)).collect();
        store.note_lost(many, UnixNanos(0)).await.unwrap();
        let kept = Store::open_local(dir.path()).unwrap().lost().await.unwrap();
        assert_eq!((kept.len(), kept.iter().filter_map(|lost| lost.frames).sum::<u64>()), (MAX_ENTRIES, 400));
        store.note_lost(Vec::new(), UnixNanos::from_seconds(31)).await.unwrap();
        assert_eq!(store.lost().await.unwrap(), []);
    }

    #[test]
    fn answers_over_later_times_are_not_warned() {
        let warned = |start_s: u64| {
            let range = TimeRange { start: UnixNanos::from_seconds(start_s), end: UnixNanos(u64::MAX) };
            warning(&[lost(1, 10), lost(2, 20)], range)
        };
        assert!(warned(0).unwrap().starts_with("2 log frame(s) (200 damaged bytes)"));
        assert!(warned(15).unwrap().starts_with("1 log frame(s)"));
        assert_eq!(warned(21), None);
    }
}
