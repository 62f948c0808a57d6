//! The cache over a store that counts its requests.

use std::fmt;

use async_trait::async_trait;
use futures::future::join_all;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult,
};
use proptest::prelude::*;

use super::*;

/// A store in memory that counts reads, and refuses them when told to.
#[derive(Debug, Default)]
struct Counting {
    inner: InMemory,
    gets: AtomicU64,
    away: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, opts).await
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.gets.fetch_add(1, Relaxed);
        // Others come while this request is under way.
        tokio::task::yield_now().await;
        match self.away.load(Relaxed) {
            true => Err(Error::Generic { store: "S3", source: "away".into() }),
            false => self.inner.get_opts(at, options).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counting")
    }
}

struct World {
    dir: tempfile::TempDir,
    objects: Arc<Counting>,
    content: Bytes,
    path: Path,
}

const BUDGET: u64 = 64 << 20;

impl World {
    /// A store with one segment of so many bytes.
    async fn new(bytes: u32) -> World {
        let content: Bytes = (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let path = Path::from("default/logs/01ABC.parquet");
        let objects = Arc::new(Counting::default());
        objects.put(&path, content.clone().into()).await.unwrap();
        World { dir: tempfile::tempdir().unwrap(), objects, content, path }
    }

    fn cache(&self, max_bytes: u64) -> BlockCache {
        BlockCache::open(self.dir.path(), "s3://telemetry", max_bytes).unwrap()
    }

    async fn read(&self, cache: &BlockCache, range: Range<u64>) -> Result<Bytes> {
        let read = cache.get_ranges(&*self.objects, &self.path, std::slice::from_ref(&range)).await?;
        assert!(read[0] == self.content.slice(range.start as usize..range.end as usize), "{range:?}");
        Ok(read[0].clone())
    }

    fn requests(&self) -> u64 {
        self.objects.gets.swap(0, Relaxed)
    }

    fn files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[tokio::test]
async fn what_was_read_or_written_once_is_not_fetched_again_also_after_a_restart() {
    let world = World::new(700_000).await;
    let cache = world.cache(BUDGET);
    world.read(&cache, 10..300_000).await.unwrap();
    assert_eq!(world.requests(), 1, "neighbours come with one request");
    world.read(&cache, 0..524_288).await.unwrap();
    assert_eq!(world.requests(), 0);
    let reopened = world.cache(BUDGET);
    world.read(&reopened, 200_000..500_000).await.unwrap();
    assert_eq!(world.requests(), 0);
    world.read(&reopened, 0..700_000).await.unwrap();
    assert_eq!(world.requests(), 1, "only the block that is missing");
    let stats = reopened.stats();
    assert_eq!((stats.hits, stats.misses, stats.fetches, stats.damaged), (4, 1, 1, 0));

    let fresh = BlockCache::open(tempfile::tempdir().unwrap().path(), "s3://telemetry", BUDGET).unwrap();
    fresh.keep(&world.path, &world.content).await;
    // Its directory is gone, so nothing was written, and nothing is claimed to be.
    assert_eq!((fresh.stats().bytes, fresh.stats().unwritten), (0, 3));
    world.read(&fresh, 0..700_000).await.unwrap();
}

#[tokio::test]
async fn uploaded_files_are_read_without_a_request() {
    let world = World::new(0).await;
    let inner: Arc<dyn ObjectStore> = Arc::<Counting>::clone(&world.objects);
    let cached = Cached::new(inner, world.cache(BUDGET));
    let content: Bytes = vec![7; 600_000].into();
    let segment = Path::from("default/logs/01NEW.parquet");
    cached.put(&segment, content.clone().into()).await.unwrap();
    let read = cached.get_ranges(&segment, &[0..100, 599_000..600_000, 5..5]).await.unwrap();
    assert_eq!(read, [content.slice(..100), content.slice(599_000..), Bytes::new()]);
    assert_eq!(world.requests(), 0);
    let commit = Path::from("default/logs/_delta_log/00000000000000000000.json");
    cached.put(&commit, content.clone().into()).await.unwrap();
    cached.get_ranges(&commit, std::slice::from_ref(&(0..10))).await.unwrap();
    assert_eq!(world.requests(), 1, "a commit is always asked for");
}

#[tokio::test]
async fn a_damaged_block_is_never_returned_and_is_fetched_again() {
    let world = World::new(300_000).await;
    let cache = world.cache(BUDGET);
    world.read(&cache, 0..300_000).await.unwrap();
    let first = world.files().into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    let sound = std::fs::read(&first).unwrap();
    let mut flips: Vec<usize> = (0..40).collect();
    flips.extend([sound.len() / 2, sound.len() - 1]);
    let mut broken: Vec<Vec<u8>> = flips.iter().map(|at| flipped(&sound, *at)).collect();
    broken.extend([0, 10, 32, sound.len() - 1].map(|length| sound[..length].to_vec()));
    broken.push([&sound[..], b"x"].concat());
    let second = world.files().into_iter().find(|file| *file != first).unwrap();
    broken.push(std::fs::read(second).unwrap());
    for (case, bytes) in broken.iter().enumerate() {
        world.requests();
        std::fs::write(&first, bytes).unwrap();
        world.read(&cache, 0..1_000).await.unwrap();
        assert_eq!((world.requests(), cache.stats().damaged), (1, case as u64 + 1), "case {case}");
        assert!(std::fs::read(&first).unwrap() == sound, "it is sound again");
    }
}

fn flipped(sound: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    bytes[at] ^= 4;
    bytes
}

#[tokio::test]
async fn the_files_stay_within_the_budget_and_a_smaller_budget_shrinks_them() {
    let world = World::new(4 << 20).await;
    let cache = world.cache(2 << 20);
    let on_disk = |world: &World| world.files().iter().map(|file| file.metadata().unwrap().len()).sum::<u64>();
    for start in 0..16_u64 {
        world.read(&cache, start * BLOCK..(start + 1) * BLOCK).await.unwrap();
        world.read(&cache, 0..10).await.unwrap();
        assert!(on_disk(&world) <= 2 << 20);
        assert_eq!(on_disk(&world), cache.stats().bytes);
    }
    assert!(cache.stats().evicted >= 8);
    world.requests();
    world.read(&cache, 0..10).await.unwrap();
    assert_eq!(world.requests(), 0, "what is used stays");
    std::fs::write(world.dir.path().join(format!("{:032x}.1-1.tmp", 7)), "torn").unwrap();
    let smaller = world.cache(1 << 20);
    assert!(on_disk(&world) <= 1 << 20 && smaller.stats().bytes == on_disk(&world), "no temporary file is left");
}

#[tokio::test]
async fn readers_of_one_block_cause_one_request_and_survive_each_others_failure() {
    let world = World::new(300_000).await;
    let cache = world.cache(BUDGET);
    for read in join_all((0..20).map(|_| world.read(&cache, 0..1_000))).await {
        read.unwrap();
    }
    assert_eq!(world.requests(), 1);
    world.objects.away.store(true, Relaxed);
    world.read(&cache, 0..1_000).await.unwrap();
    let failed = join_all((0..5).map(|_| world.read(&cache, 270_000..280_000))).await;
    assert!(failed.iter().all(Result::is_err));
    world.objects.away.store(false, Relaxed);
    // One that nobody waits for any more blocks no other.
    {
        let abandoned = world.read(&cache, 270_000..280_000);
        futures::pin_mut!(abandoned);
        assert!(futures::poll!(&mut abandoned).is_pending());
    }
    world.read(&cache, 270_000..280_000).await.unwrap();
}

#[tokio::test]
async fn another_store_shares_no_block_and_no_range_beyond_the_end_is_made_up() {
    let world = World::new(300_000).await;
    world.read(&world.cache(BUDGET), 0..300_000).await.unwrap();
    world.requests();
    let other = BlockCache::open(world.dir.path(), "s3://other", BUDGET).unwrap();
    world.read(&other, 0..10).await.unwrap();
    assert_eq!(world.requests(), 1);
    for range in [299_999..300_001, 262_143..300_001, 300_000..300_001, 900_000..900_001] {
        let beyond = other.get_ranges(&*world.objects, &world.path, std::slice::from_ref(&range)).await;
        assert!(beyond.is_err(), "{range:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_ranges_are_those_of_the_file(ranges in prop::collection::vec((0..900_000_u64, 0..500_000_u64), 1..12)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let world = World::new(900_000).await;
            // Small enough that blocks leave while others are read.
            let cache = world.cache(900_000);
            let ranges: Vec<Range<u64>> =
                ranges.into_iter().map(|(start, length)| start..(start + length).min(900_000)).collect();
            let read = cache.get_ranges(&*world.objects, &world.path, &ranges).await.unwrap();
            for (range, bytes) in ranges.iter().zip(&read) {
                assert!(*bytes == world.content.slice(range.start as usize..range.end as usize), "{range:?}");
            }
            join_all(ranges.iter().map(|range| world.read(&cache, range.clone()))).await;
        });
    }
}
