//! API keys and the tenants they stand for.

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

/// `users`, and a fresh key for Daymark's own telemetry.
///
/// # Errors
/// Never in practice: a random key does not collide.
pub(crate) fn with_own(users: &TenantKeys) -> anyhow::Result<(TenantKeys, String)> {
    let key = secret::random_key();
    let keys = users.with(key.clone(), TenantId::parse(OWN_TENANT)?)?;
    Ok((keys, key))
}
