//! `daymark store`: checks, versions, repair and deletion, on the tables themselves.
//!
//! Invariants:
//! - nothing is made where there are no tables: a wrong `--data-dir` is wrong usage;
//! - lines and findings go to standard output, the last word and the exit code to whoever calls.

mod delete;
mod ledger;
mod repair;
mod usage;
mod verify;
mod versions;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daymark_guard::{FileSystem, RealFileSystem};
use daymark_store::{Access, HttpHotSource, RemoteOptions, Store, StoreOptions, Table, TableName};

use crate::cli::StoreArgs;
use crate::cli::store_command::{Selection, StoreCommand};
use crate::roles::keys;

/// The longest wait for one answer of a collector, milliseconds.
const COLLECTOR_TIMEOUT_MS: u64 = 10_000;

/// The command was called in a way that cannot work: exit code 2.
#[derive(Debug)]
pub(crate) struct WrongUsage(String);

impl std::fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// Runs one of them.
///
/// # Errors
/// What went wrong, or what was found: exit code 1; [`WrongUsage`].
pub(crate) async fn run(command: StoreCommand) -> anyhow::Result<()> {
    match command {
        StoreCommand::Verify(args) => verify::run(args).await,
        StoreCommand::Usage(args) => usage::run(args).await,
        StoreCommand::Log(selection) => versions::run(selection).await,
        StoreCommand::RebuildIndex(args) => repair::rebuild_index(args).await,
        StoreCommand::Repair(selection) => repair::run(selection).await,
        StoreCommand::Delete(args) => delete::run(args).await,
    }
}

/// The store of `data_dir`, which has to be there.
async fn open(data_dir: &Path, place: &StoreArgs, access: Access) -> anyhow::Result<Store> {
    if place.take_over {
        return Err(WrongUsage("--take-over is for the collector".to_owned()).into());
    }
    // What a tool reads once is not worth a place in a cache.
    let remote = place.remote(PathBuf::new())?.map(|remote| RemoteOptions { cache: None, ..remote });
    if let Some(remote) = remote {
        return Ok(Store::open_remote(&remote, access, StoreOptions::default()).await?);
    }
    let tables = data_dir.join("tables");
    if !tables.join("FORMAT").is_file() {
        let said = format!(
            "{} holds no tables: expected --data-dir of a collector, or --store when they are in an object store",
            tables.display()
        );
        return Err(WrongUsage(said).into());
    }
    Ok(Store::open_local(data_dir)?)
}

/// The tables that were chosen and exist.
async fn select(selection: &Selection, access: Access) -> anyhow::Result<(Store, Vec<Table>)> {
    let store = open(&selection.data_dir, &selection.place, access).await?;
    let tenants = store.tenants().await?;
    if let Some(tenant) = &selection.tenant
        && !tenants.contains(tenant)
    {
        let there = tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(WrongUsage(format!("tenant {tenant} has no tables; there are those of {there}")).into());
    }
    let mut tables = Vec::new();
    for tenant in tenants.iter().filter(|tenant| selection.tenant.as_ref().is_none_or(|chosen| chosen == *tenant)) {
        for name in TableName::ALL.into_iter().filter(|name| selection.table.is_none_or(|chosen| chosen == *name)) {
            let table = store.table(tenant, name);
            if table.exists().await? {
                tables.push(table);
            }
        }
    }
    Ok((store, tables))
}

/// The collector at `url`, asked as the other roles do.
fn collector(data_dir: &Path, url: &str) -> anyhow::Result<HttpHotSource> {
    Ok(HttpHotSource::new(url, COLLECTOR_TIMEOUT_MS)?.with_key(keys::internal(data_dir)?))
}

/// Whether a collector runs on this data directory: it holds the lock of the ingest log.
fn collector_runs(data_dir: &Path) -> anyhow::Result<bool> {
    let log = data_dir.join("log");
    if !log.is_dir() {
        return Ok(false);
    }
    let lock = RealFileSystem.lock(&log).with_context(|| format!("lock of {}", log.display()))?;
    Ok(lock.is_none())
}
