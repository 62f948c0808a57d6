//! API keys and the tenants they stand for.

use std::path::Path;

use anyhow::Context as _;
use daymark_guard::secret;
use daymark_model::TenantId;
use daymark_telemetry::{OWN_TENANT, own_key_file};
use daymark_wire::TenantKeys;

/// Keys from a file of `TENANT KEY` lines; without a file, no key is needed and everything is tenant `default`.
///
/// # Errors
/// When the file cannot be read or a line is wrong, with file and line; keys are never shown.
pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<TenantKeys> {
    match file {
        Some(path) => TenantKeys::read_file(path).context("key file"),
        None => Ok(TenantKeys::default()),
    }
}

/// The key of the collector's internal routes, which roles apart share through the data directory.
/// The first to ask makes it.
///
/// # Errors
/// When the file cannot be made or read.
pub(crate) fn internal(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join("internal.key");
    secret::shared_key(&path).with_context(|| format!("internal key {}", path.display()))
}

/// The keys of `users` and the one of Daymark's own telemetry, which is in the data directory so that an operator and
/// the other roles can read it.
///
/// # Errors
/// When the file cannot be made or read, or its key is a user's.
pub(crate) fn with_own(users: &TenantKeys, data_dir: &Path) -> anyhow::Result<(TenantKeys, String)> {
    let path = own_key_file(data_dir);
    let named = || format!("key of own telemetry {}", path.display());
    let key = secret::shared_key(&path).with_context(named)?;
    let keys = users.with(key.clone(), TenantId::parse(OWN_TENANT)?).with_context(named)?;
    Ok((keys, key))
}
