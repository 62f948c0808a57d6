//! Parts of segments from an object store, kept on local disk within a budget of bytes.
//!
//! Where it sits: between the tables and [`crate::remote`]. Footers, page indexes, bloom filters, text indexes and column
//! pages are all ranges of segment files; a file is cached in blocks of 256 KiB, each a small file of its own
//! (`docs/formats/cache.md`). What is uploaded is cached on the way, so rows just published need no request.
//!
//! Invariants:
//! - only files that never change are cached: segments and their indexes, whose names are never used again;
//! - a block is returned only if its checksum, its length and its identity are right; a damaged one is dropped, counted
//!   and fetched again;
//! - the files never take more than the budget: what was unused for longest goes first;
//! - several readers of one block cause one request;
//! - nothing is synced: a block that a crash has torn is damage like any other;
//! - a cache that cannot be written (a full disk) costs requests, never an answer.

mod file;
mod flight;
mod lru;
mod through;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, Result};

use file::Read;
use flight::Flights;
use lru::Lru;
pub(crate) use through::Cached;

/// Bytes of a block; the last one of a file is shorter.
pub(crate) const BLOCK: u64 = 256 << 10;
/// Blocks fetched by one request at most: 8 MiB.
const RUN_BLOCKS: usize = 32;
/// Requests of one read at once.
const REQUESTS: usize = 4;

/// Stands for one block of one file in one store.
pub(crate) type BlockId = u128;

/// What the cache did since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Blocks found on disk.
    pub hits: u64,
    /// Blocks that had to be fetched.
    pub misses: u64,
    /// Blocks dropped to stay within the budget.
    pub evicted: u64,
    /// Blocks dropped because they were damaged.
    pub damaged: u64,
    /// Blocks that could not be written.
    pub unwritten: u64,
    /// Requests sent to fetch blocks.
    pub fetches: u64,
    /// Bytes fetched.
    pub fetched_bytes: u64,
    /// Bytes kept now.
    pub bytes: u64,
    /// The budget.
    pub max_bytes: u64,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    evicted: AtomicU64,
    damaged: AtomicU64,
    unwritten: AtomicU64,
    fetches: AtomicU64,
    fetched_bytes: AtomicU64,
}

/// The blocks in one directory. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct BlockCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// Tells apart the blocks of several stores.
    store: String,
    max_bytes: u64,
    kept: Mutex<Lru>,
    flights: Flights,
    counters: Counters,
}

impl BlockCache {
    /// Opens `dir`, which is made when absent; blocks of an earlier run are kept, those beyond the budget dropped.
    ///
    /// # Errors
    /// When the directory cannot be made or listed.
    pub(crate) fn open(dir: &FsPath, store: &str, max_bytes: u64) -> std::io::Result<BlockCache> {
        std::fs::create_dir_all(dir)?;
        let mut kept = Lru::default();
        for (id, bytes) in file::list(dir)? {
            kept.insert(id, bytes);
        }
        let inner = Inner {
            dir: dir.to_owned(),
            store: store.to_owned(),
            max_bytes,
            kept: Mutex::new(kept),
            flights: Flights::default(),
            counters: Counters::default(),
        };
        inner.shrink();
        Ok(BlockCache { inner: Arc::new(inner) })
    }

    /// What it did so far.
    pub(crate) fn stats(&self) -> CacheStats {
        let Inner { counters, max_bytes, .. } = &*self.inner;
        CacheStats {
            hits: counters.hits.load(Relaxed),
            misses: counters.misses.load(Relaxed),
            evicted: counters.evicted.load(Relaxed),
            damaged: counters.damaged.load(Relaxed),
            unwritten: counters.unwritten.load(Relaxed),
            fetches: counters.fetches.load(Relaxed),
            fetched_bytes: counters.fetched_bytes.load(Relaxed),
            bytes: self.inner.kept().bytes(),
            max_bytes: *max_bytes,
        }
    }

    /// Ranges of the file at `path`, from blocks on disk where there are any, else from `objects`.
    ///
    /// # Errors
    /// Faults of the object store; a range beyond the end of the file.
    pub(crate) async fn get_ranges(
        &self,
        objects: &dyn ObjectStore,
        path: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>> {
        let touched = ranges.iter().filter(|range| !range.is_empty());
        let numbers: BTreeSet<u64> = touched.flat_map(|range| range.start / BLOCK..=(range.end - 1) / BLOCK).collect();
        let mut blocks = self.read(path, numbers.iter().copied().collect()).await?;
        let mut missing: Vec<u64> = numbers.into_iter().filter(|number| !blocks.contains_key(number)).collect();
        self.inner.counters.hits.fetch_add(blocks.len() as u64, Relaxed);
        self.inner.counters.misses.fetch_add(missing.len() as u64, Relaxed);
        while !missing.is_empty() {
            let (ours, others) = self.inner.flights.claim(missing, |number| self.inner.id(path, number));
            // Somebody may have fetched them between the look and the claim.
            let found = self.read(path, ours.numbers().to_vec()).await?;
            let wanted: Vec<u64> =
                ours.numbers().iter().copied().filter(|number| !found.contains_key(number)).collect();
            blocks.extend(found);
            blocks.extend(self.fetch(objects, path, &wanted).await?);
            drop(ours);
            let mut awaited = Vec::with_capacity(others.len());
            for (number, flight) in others {
                flight.landed().await;
                awaited.push(number);
            }
            blocks.extend(self.read(path, awaited.clone()).await?);
            // What the other could not fetch, or could not keep, is ours to fetch.
            missing = awaited.into_iter().filter(|number| !blocks.contains_key(number)).collect();
        }
        ranges.iter().map(|range| cut(path, &blocks, range)).collect()
    }

    /// Keeps a file that was just written.
    pub(crate) async fn keep(&self, path: &Path, whole: &Bytes) {
        if whole.len() as u64 > self.inner.max_bytes / 2 {
            return;
        }
        self.write(path, split(0, whole)).await;
    }

    /// The blocks that are on disk and sound.
    async fn read(&self, path: &Path, numbers: Vec<u64>) -> Result<BTreeMap<u64, Bytes>> {
        let inner = Arc::clone(&self.inner);
        let ids: Vec<(u64, BlockId)> = numbers.into_iter().map(|number| (number, inner.id(path, number))).collect();
        let known = inner.kept().use_all(ids);
        if known.is_empty() {
            return Ok(BTreeMap::new());
        }
        let path = path.clone();
        let read = tokio::task::spawn_blocking(move || {
            known.into_iter().filter_map(|(number, id)| Some((number, inner.read_one(&path, id)?))).collect()
        });
        Ok(read.await?)
    }

    /// Fetches blocks, neighbours in one request, and keeps them.
    async fn fetch(&self, objects: &dyn ObjectStore, path: &Path, numbers: &[u64]) -> Result<BTreeMap<u64, Bytes>> {
        let neighbours = numbers.chunk_by(|a, b| a + 1 == *b).flat_map(|run| run.chunks(RUN_BLOCKS));
        let requests: Vec<(u64, u64)> = neighbours.filter_map(|run| Some((*run.first()?, *run.last()? + 1))).collect();
        let counters = &self.inner.counters;
        let fetched: Vec<BTreeMap<u64, Bytes>> = futures::stream::iter(requests)
            .map(|(first, end)| async move {
                counters.fetches.fetch_add(1, Relaxed);
                let bytes = objects.get_range(path, first * BLOCK..end * BLOCK).await?;
                counters.fetched_bytes.fetch_add(bytes.len() as u64, Relaxed);
                let blocks = split(first, &bytes);
                self.write(path, blocks.clone()).await;
                Ok::<_, Error>(blocks)
            })
            .buffer_unordered(REQUESTS)
            .try_collect()
            .await?;
        Ok(fetched.into_iter().flatten().collect())
    }

    async fn write(&self, path: &Path, blocks: BTreeMap<u64, Bytes>) {
        let inner = Arc::clone(&self.inner);
        let path = path.clone();
        let written = tokio::task::spawn_blocking(move || {
            for (number, block) in blocks {
                inner.write_one(inner.id(&path, number), &block);
            }
            inner.shrink();
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, "blocks are not cached");
        }
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Lru> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, path: &Path, number: u64) -> BlockId {
        let mut text = Vec::with_capacity(self.store.len() + path.as_ref().len() + 10);
        text.extend_from_slice(self.store.as_bytes());
        text.push(0);
        text.extend_from_slice(path.as_ref().as_bytes());
        text.push(0);
        text.extend_from_slice(&number.to_le_bytes());
        xxhash_rust::xxh3::xxh3_128(&text)
    }

    fn read_one(&self, path: &Path, id: BlockId) -> Option<Bytes> {
        match file::read(&self.dir, id) {
            Read::Sound(bytes) => return Some(bytes),
            Read::Absent => {}
            Read::Damaged(reason) => {
                self.counters.damaged.fetch_add(1, Relaxed);
                tracing::warn!(%path, file = %file::name(id), reason, "cached block is damaged and fetched again");
                file::remove(&self.dir, id);
            }
        }
        self.kept().remove(id);
        None
    }

    fn write_one(&self, id: BlockId, block: &Bytes) {
        match file::write(&self.dir, id, block) {
            Ok(bytes) => self.kept().insert(id, bytes),
            Err(error) => {
                // A full disk fails every write: told at the first, and now and then.
                if self.counters.unwritten.fetch_add(1, Relaxed).is_multiple_of(1_000) {
                    tracing::warn!(dir = %self.dir.display(), %error, "blocks are not cached");
                }
            }
        }
    }

    fn shrink(&self) {
        let dropped = self.kept().shrink(self.max_bytes);
        self.counters.evicted.fetch_add(dropped.len() as u64, Relaxed);
        for id in dropped {
            file::remove(&self.dir, id);
        }
    }
}

/// `bytes` as blocks, of which the first has number `first`.
fn split(first: u64, bytes: &Bytes) -> BTreeMap<u64, Bytes> {
    let size = BLOCK as usize;
    let starts = (0..bytes.len()).step_by(size);
    (first..).zip(starts.map(|start| bytes.slice(start..bytes.len().min(start + size)))).collect()
}

/// `range` of a file whose blocks are here.
fn cut(path: &Path, blocks: &BTreeMap<u64, Bytes>, range: &Range<u64>) -> Result<Bytes> {
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    let (first, last) = (range.start / BLOCK, (range.end - 1) / BLOCK);
    let part = |number: u64| {
        let block = blocks.get(&number)?;
        let start = range.start.saturating_sub(number * BLOCK) as usize;
        let end = (range.end - number * BLOCK).min(BLOCK) as usize;
        (start <= end && end <= block.len()).then(|| block.slice(start..end))
    };
    let beyond = || Error::Generic { store: "cache", source: format!("{path}: {range:?} is beyond its end").into() };
    if first == last {
        return part(first).ok_or_else(beyond);
    }
    let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
    for number in first..=last {
        whole.extend_from_slice(&part(number).ok_or_else(beyond)?);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests;
