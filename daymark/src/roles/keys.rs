//! API keys and the tenants they stand for.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context as _;
use daymark_guard::secret;
use daymark_model::TenantId;
use daymark_wire::TenantKeys;

/// Tenant of Daymark's own telemetry, so that users' counts stay theirs.
const OWN_TENANT: &str = "daymark";

/// Keys from a file of `TENANT KEY` lines; without a file, no key is needed and everything is tenant `default`.
///
/// # Errors
/// When the file cannot be read or a line is wrong; keys are never shown.
pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<TenantKeys> {
    match file {
        Some(path) => TenantKeys::read_file(path).with_context(|| format!("key file {}", path.display())),
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
    let named = || format!("internal key {}", path.display());
    std::fs::create_dir_all(data_dir).with_context(named)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let key = secret::random_key();
            file.write_all(key.as_bytes()).with_context(named)?;
            file.sync_all().with_context(named)?;
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let key = std::fs::read_to_string(&path).with_context(named)?;
            // Another role may be writing it at this moment, or died while it did.
            anyhow::ensure!(key.len() == 32, "{} is not whole: delete it and start the roles again", named());
            Ok(key)
        }
        Err(error) => Err(error).with_context(named),
    }
}

/// `users`, and a fresh key for Daymark's own telemetry.
///
/// # Errors
/// Never in practice: a random key does not collide.
pub(crate) fn with_own(users: &TenantKeys) -> anyhow::Result<(TenantKeys, String)> {
    let key = secret::random_key();
    let keys = users.with(key.clone(), TenantId::parse(OWN_TENANT)?)?;
    Ok((keys, key))
}
