//! API keys and the tenants they stand for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use daymark_guard::{Drain, Quotas, SystemClock, secret};
use daymark_model::TenantId;
use daymark_telemetry::{OWN_TENANT, own_key_file};
use daymark_wire::{KeyFile, KeyFileError, TenantKeys, follow_key_file};

use crate::cli::DataArgs;

/// Who may come in, and as whom Daymark sends its own telemetry.
pub(crate) struct Access {
    /// The users' keys and Daymark's own.
    pub(crate) keys: TenantKeys,
    /// How much each tenant may send.
    pub(crate) quotas: Arc<Quotas>,
    /// The key of Daymark's own telemetry, which is in the data directory so that an operator and the other roles can
    /// read it.
    pub(crate) own_key: String,
    file: Option<PathBuf>,
    reload_interval_ms: u64,
}

impl Access {
    /// Reads the key file; without one, no key is needed and everything is tenant `default`.
    ///
    /// # Errors
    /// When a file cannot be made or read, or a line is wrong, with file and line; keys are never shown.
    pub(crate) fn open(data: &DataArgs) -> anyhow::Result<Access> {
        let file = data.key_file.as_deref().map(KeyFile::read).transpose().context("key file")?;
        let limits = file.as_ref().map(|file| file.quotas.clone()).unwrap_or_default();
        let users = file.map(|file| TenantKeys::of(file.keys)).transpose().context("key file")?.unwrap_or_default();
        let path = own_key_file(&data.data_dir);
        let named = || format!("key of own telemetry {}", path.display());
        let own_key = secret::shared_key(&path).with_context(named)?;
        let keys = users.with(own_key.clone(), TenantId::parse(OWN_TENANT)?).with_context(named)?;
        let quotas = Quotas::new(limits, Arc::new(SystemClock));
        Ok(Access {
            keys,
            own_key,
            quotas,
            file: data.key_file.clone(),
            reload_interval_ms: data.key_reload_interval_ms,
        })
    }

    /// Follows the key file until the drain begins.
    pub(crate) fn follow(&self, drain: &Drain) {
        let Some(path) = self.file.clone() else { return };
        let (keys, quotas, named) = (self.keys.clone(), Arc::clone(&self.quotas), path.clone());
        drain.spawn(follow_key_file(path, self.reload_interval_ms, drain.clone(), move |file: KeyFile| {
            keys.replace(file.keys).map_err(|source| KeyFileError::Own { path: named.clone(), source })?;
            quotas.replace(file.quotas);
            Ok(())
        }));
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
