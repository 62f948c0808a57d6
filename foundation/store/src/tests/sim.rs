//! A store on the simulated disk: its own code writes through the seam, here are the reads.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use daymark_guard::sim::SimFileSystem;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::{Disk, Store, StoreError, StoreOptions};

const ROOT: &str = "/data/tables";

/// The tables on `disk`, as a process sees them that starts now.
pub(super) fn try_open(disk: &SimFileSystem, options: StoreOptions) -> Result<Store, StoreError> {
    let reads = SimReads { disk: disk.clone(), root: ROOT.into() };
    Store::open_on(Disk::open_on(disk.boot(), ROOT.as_ref(), Arc::new(reads))?, options)
}

pub(super) fn open(disk: &SimFileSystem, options: StoreOptions) -> Store {
    try_open(disk, options).unwrap()
}

/// Reads and lists. Every file is as old as time itself, so that whatever may be deleted for its age is.
struct SimReads {
    disk: SimFileSystem,
    root: PathBuf,
}

impl std::fmt::Display for SimReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("simulated disk")
    }
}

impl std::fmt::Debug for SimReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

fn refused(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "simulated disk, reads".to_owned() }
}

impl SimReads {
    fn meta(&self, location: Path, size: usize) -> ObjectMeta {
        ObjectMeta { location, last_modified: Default::default(), size: size as u64, e_tag: None, version: None }
    }

    fn below(&self, prefix: Option<&Path>) -> Vec<ObjectMeta> {
        let dir = prefix.map_or(self.root.clone(), |prefix| self.root.join(prefix.as_ref()));
        let files = self.disk.files_below(&dir).into_iter();
        let named = files.filter(|path| !path.to_string_lossy().contains('#'));
        let meta = |path: PathBuf| {
            let location = Path::parse(path.strip_prefix(&self.root).ok()?.to_str()?).ok()?;
            Some(self.meta(location, self.disk.contents(&path)?.len()))
        };
        named.filter_map(meta).collect()
    }
}

#[async_trait]
impl ObjectStore for SimReads {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(refused("put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("multipart upload"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let absent = || Error::NotFound { path: location.to_string(), source: "absent".into() };
        let bytes: Bytes = self.disk.contents(&self.root.join(location.as_ref())).ok_or_else(absent)?.into();
        let size = bytes.len() as u64;
        let range = options.range.map(|range| range.as_range(size)).transpose();
        let range = range.map_err(|error| Error::Generic { store: "sim", source: Box::new(error) })?.unwrap_or(0..size);
        let part = bytes.slice(range.start as usize..range.end as usize);
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::once(async { Ok(part) }).boxed()),
            meta: self.meta(location.clone(), bytes.len()),
            range,
            attributes: Default::default(),
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.and_then(|_| async { Err(refused("delete")) }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::iter(self.below(prefix).into_iter().map(Ok)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut result = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        let base = prefix.cloned().unwrap_or_default();
        for meta in self.below(prefix) {
            let mut parts = meta.location.prefix_match(&base).into_iter().flatten();
            match (parts.next(), parts.next()) {
                (Some(dir), Some(_)) => {
                    let dir = base.clone().join(dir);
                    if !result.common_prefixes.contains(&dir) {
                        result.common_prefixes.push(dir);
                    }
                }
                _ => {
                    drop(parts);
                    result.objects.push(meta);
                }
            }
        }
        Ok(result)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(refused("copy"))
    }
}
