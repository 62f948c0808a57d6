//! A remote store whose answers are lost, late, wrong or refused.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daymark_guard::BackoffOptions;
use futures::future::join_all;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{Remote, RemoteOptions, check_put_if_absent};
use crate::{Access, Store, StoreError, StoreOptions};

/// What becomes of a put.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Done,
    /// Applied, but the answer is lost.
    AnswerLost,
    /// Applied, and the answer is that of a repetition: "exists".
    SaidToExist,
    /// Not applied; the server asks to slow down.
    Refused,
    /// Not applied; the server says that somebody else is at it (409).
    Conflict,
}

/// A store in memory whose puts meet the fates given, in order; then all are done.
#[derive(Debug, Default)]
pub(crate) struct Fateful {
    pub(crate) inner: InMemory,
    fates: Mutex<Vec<Fate>>,
    puts: AtomicUsize,
    /// So many reads fail from now on.
    pub(crate) reads_fail: AtomicUsize,
    /// Whether `If-None-Match` is ignored.
    ignores_conditions: bool,
}

impl Fateful {
    pub(crate) fn meets(fates: &[Fate]) -> Arc<Fateful> {
        let store = Arc::new(Fateful::default());
        store.will_meet(fates);
        store
    }

    /// The fates of the puts to come.
    pub(crate) fn will_meet(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.iter().rev().copied().collect();
    }
}

fn broken(why: &str) -> Error {
    Error::Generic { store: "S3", source: why.into() }
}

#[async_trait]
impl ObjectStore for Fateful {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        self.puts.fetch_add(1, Relaxed);
        let fate = self.fates.lock().unwrap().pop().unwrap_or(Fate::Done);
        if self.ignores_conditions {
            opts.mode = PutMode::Overwrite;
        }
        match fate {
            Fate::Refused => return Err(broken("503 SlowDown")),
            Fate::Conflict => {
                return Err(Error::AlreadyExists { path: location.to_string(), source: "409".into() });
            }
            _ => {}
        }
        let done = self.inner.put_opts(location, payload, opts).await?;
        match fate {
            Fate::AnswerLost => Err(broken("connection closed before the answer")),
            Fate::SaidToExist => Err(Error::AlreadyExists { path: location.to_string(), source: "412".into() }),
            _ => Ok(done),
        }
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.reads_fail.load(Relaxed) > 0 {
            self.reads_fail.fetch_sub(1, Relaxed);
            return Err(broken("timed out"));
        }
        self.inner.get_opts(location, options).await
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

impl std::fmt::Display for Fateful {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fateful")
    }
}

fn options() -> RemoteOptions {
    RemoteOptions {
        retries: 3,
        backoff: BackoffOptions { first_ms: 1, cap_ms: 1 },
        ..RemoteOptions::new("s3://telemetry".parse().unwrap())
    }
}

pub(crate) fn over(store: &Arc<Fateful>) -> Remote {
    Remote::new(Arc::<Fateful>::clone(store), &options())
}

async fn create(remote: &Remote, name: &str, text: &str) -> Result<PutResult> {
    remote.put_opts(&Path::from(name), text.to_owned().into(), PutMode::Create.into()).await
}

#[tokio::test]
async fn the_outcome_of_a_put_whose_answer_is_lost_is_read_back() {
    for fate in [Fate::AnswerLost, Fate::SaidToExist] {
        let store = Fateful::meets(&[fate]);
        create(&over(&store), "1.json", "ours").await.unwrap();
        assert_eq!(store.puts.load(Relaxed), 1, "{fate:?}: what is there is not written again");
    }
    for fate in [Fate::Refused, Fate::Conflict] {
        let store = Fateful::meets(&[fate, fate]);
        create(&over(&store), "1.json", "ours").await.unwrap();
        assert_eq!(store.puts.load(Relaxed), 3, "{fate:?}");
    }
}

#[tokio::test]
async fn an_object_of_another_writer_is_never_taken_for_ours() {
    for fate in [Fate::Done, Fate::Refused, Fate::Conflict] {
        let store = Fateful::meets(&[fate]);
        for theirs in ["them", "longer than ours"] {
            store.inner.put(&Path::from("1.json"), theirs.into()).await.unwrap();
            let error = create(&over(&store), "1.json", "ours").await.unwrap_err();
            assert!(matches!(error, Error::AlreadyExists { .. }), "{fate:?}: {error}");
        }
    }
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_an_error_and_never_a_lost_race() {
    let store = Fateful::meets(&[Fate::Conflict; 4]);
    let error = create(&over(&store), "1.json", "ours").await.unwrap_err();
    assert!(matches!(error, Error::Generic { .. }), "{error}");
    let store = Fateful::meets(&[Fate::AnswerLost]);
    store.reads_fail.store(100, Relaxed);
    let error = create(&over(&store), "1.json", "ours").await.unwrap_err();
    assert!(matches!(error, Error::Generic { .. }), "{error}");
    store.reads_fail.store(0, Relaxed);
    create(&over(&store), "1.json", "ours").await.unwrap();
}

#[tokio::test]
async fn a_large_file_arrives_whole_in_parts() {
    let store = Fateful::meets(&[]);
    let bytes: Vec<u8> = (0..(17 << 20)).map(|at: u32| (at % 251) as u8).collect();
    let at = Path::from("default/logs/01ABC.parquet");
    over(&store).put_opts(&at, bytes.clone().into(), PutMode::Create.into()).await.unwrap();
    assert_eq!(store.puts.load(Relaxed), 0, "no single request carries it");
    assert!(store.inner.get(&at).await.unwrap().bytes().await.unwrap() == bytes);
}

#[tokio::test]
async fn a_server_that_ignores_if_none_match_is_refused_before_anything_is_written() {
    let lax = Arc::new(Fateful { ignores_conditions: true, ..Fateful::default() });
    let remote = over(&lax);
    let error = check_put_if_absent(&remote, "s3://telemetry").await.unwrap_err();
    assert!(matches!(error, StoreError::NoPutIfAbsent { winners: 9, .. }), "{error}");
    assert!(error.to_string().contains("s3://telemetry: 9 of 9 writers"), "{error}");
    let listed = remote.list_with_delimiter(None).await.unwrap();
    assert!(listed.objects.is_empty() && listed.common_prefixes.is_empty(), "{listed:?}");

    let strict = Fateful::meets(&[Fate::AnswerLost, Fate::Refused]);
    check_put_if_absent(&over(&strict), "s3://telemetry").await.unwrap();
}

#[tokio::test]
async fn of_many_writers_behind_a_bad_network_exactly_one_wins() {
    for round in 0..20 {
        let fates = [Fate::AnswerLost, Fate::Refused, Fate::SaidToExist, Fate::Conflict, Fate::Done];
        let fates: Vec<Fate> = (0..8).map(|writer| fates[(writer * 3 + round) % fates.len()]).collect();
        let store = Fateful::meets(&fates);
        let remote = over(&store);
        let tried = join_all((0..8).map(|writer| {
            let remote = &remote;
            async move { create(remote, "1.json", &format!("writer {writer}")).await.is_ok() }
        }));
        let won: Vec<usize> =
            tried.await.into_iter().enumerate().filter(|(_, won)| *won).map(|(writer, _)| writer).collect();
        assert_eq!(won.len(), 1, "round {round}: {fates:?}");
        let there = store.inner.get(&Path::from("1.json")).await.unwrap().bytes().await.unwrap();
        assert_eq!(there, format!("writer {}", won[0]));
    }
}

#[tokio::test]
async fn a_reader_writes_nothing_and_an_unknown_format_is_refused() {
    let store = Fateful::meets(&[]);
    let open = |access| {
        let objects: Arc<dyn ObjectStore> = Arc::new(over(&store));
        async move { Store::open_objects(objects, "s3://telemetry", access, StoreOptions::default()).await }
    };
    open(Access::Read).await.unwrap();
    assert_eq!(store.puts.load(Relaxed), 0);
    let opened = open(Access::Write).await.unwrap();
    assert!(opened.tenants().await.unwrap().is_empty(), "what was tried out is no tenant");
    store.inner.put(&Path::from("FORMAT"), r#"{"format":2}"#.into()).await.unwrap();
    for access in [Access::Read, Access::Write] {
        let error = open(access).await.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("s3://telemetry/FORMAT has format 2"), "{error}");
    }
}
