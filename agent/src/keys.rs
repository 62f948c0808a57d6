//! The agent's keys: those that clients may send, and the one of each tenant that it sends to the collector itself.
//!
//! Invariant: when keys are rotated, or one expires, the agent sends the tenant's next one without a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daymark_guard::{Clock, Drain, SystemClock, secret};
use daymark_model::TenantId;
use daymark_telemetry::{OWN_TENANT, own_key_file};
use daymark_wire::{CollectorClient, KeyFile, KeyFileError, Scope, TenantKeys, follow_key_file};

use crate::AgentError;

/// Keys of an agent.
#[derive(Default)]
pub(crate) struct Keys {
    /// Those that clients may send.
    pub(crate) accepted: TenantKeys,
    /// What was read last.
    file: Option<KeyFile>,
    /// The key of the agent's own telemetry, where the key file has none.
    own: Option<(TenantId, String)>,
}

impl Keys {
    /// The keys in the file at `path`.
    ///
    /// # Errors
    /// [`AgentError`] when the file is wrong, or a tenant has no key that can be sent.
    pub(crate) fn read(path: &Path) -> Result<Keys, AgentError> {
        let file = KeyFile::read(path)?;
        sendable(path, &file)?;
        let own = |source| KeyFileError::Own { path: path.to_owned(), source };
        Ok(Keys { accepted: TenantKeys::of(file.keys.clone()).map_err(own)?, file: Some(file), own: None })
    }

    /// The key that each tenant's data is sent with now.
    pub(crate) fn senders(&self) -> BTreeMap<TenantId, String> {
        senders(self.file.as_ref(), self.own.as_ref())
    }

    /// The key of the agent's own telemetry, if it has one; it is accepted and sent on from now on.
    pub(crate) fn take_own(&mut self, data_dir: &Path) -> Result<Option<String>, AgentError> {
        let path = own_key_file(data_dir);
        let unusable = |source: std::io::Error| AgentError::OwnKey { path: path.clone(), source };
        let tenant = TenantId::parse(OWN_TENANT).map_err(|error| unusable(std::io::Error::other(error)))?;
        if let Some(key) = self.senders().remove(&tenant) {
            return Ok(Some(key));
        }
        let key = match secret::existing_key(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        let accepted = self.accepted.with(key.clone(), tenant.clone());
        self.accepted = accepted.map_err(|error| unusable(std::io::Error::other(error)))?;
        self.own = Some((tenant, key.clone()));
        Ok(Some(key))
    }

    /// Follows the key file at `path`, and the times of its keys, until the drain.
    pub(crate) fn follow(self, path: PathBuf, interval_ms: u64, upstream: CollectorClient, drain: &Drain) {
        let Keys { accepted, file, own } = self;
        let file = Arc::new(Mutex::new(file));
        let newest = Arc::clone(&file);
        let named = path.clone();
        drain.spawn(follow_key_file(path, interval_ms, drain.clone(), move |read| {
            sendable(&named, &read)?;
            let own = |source| KeyFileError::Own { path: named.clone(), source };
            accepted.replace(read.keys.clone()).map_err(own)?;
            *newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
            Ok(())
        }));
        let ending = drain.clone();
        drain.spawn(async move {
            while tokio::time::timeout(Duration::from_millis(interval_ms), ending.begun()).await.is_err() {
                let senders = senders(file.lock().unwrap_or_else(PoisonError::into_inner).as_ref(), own.as_ref());
                if let Err(error) = upstream.replace_tenant_keys(&senders) {
                    tracing::error!(%error, "the keys for the collector stay as they were");
                }
            }
        });
    }
}

fn senders(file: Option<&KeyFile>, own: Option<&(TenantId, String)>) -> BTreeMap<TenantId, String> {
    let mut senders = file.map(|file| file.senders(SystemClock.now())).unwrap_or_default();
    senders.extend(own.cloned());
    senders
}

/// Fails when the agent would take a tenant's data and could never send it.
fn sendable(path: &Path, file: &KeyFile) -> Result<(), KeyFileError> {
    let sends = |tenant: &TenantId| {
        file.keys.iter().any(|key| key.tenant == *tenant && key.scopes.has(Scope::Ingest) && key.secret().is_some())
    };
    let taken = file.keys.iter().filter(|key| key.scopes.has(Scope::Ingest));
    match taken.map(|key| &key.tenant).find(|tenant| !sends(tenant)) {
        Some(tenant) => Err(KeyFileError::NotSendable { path: path.to_owned(), tenant: tenant.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Keys, AgentError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Keys::read(file.path())
    }

    #[test]
    fn a_tenant_sends_its_first_key_to_the_collector() {
        let keys = read("acme secret-one\nacme secret-two\numbrella secret-three\n").unwrap().senders();
        let first: Vec<_> = keys.iter().map(|(tenant, key)| (tenant.as_str(), key.as_str())).collect();
        assert_eq!(first, [("acme", "secret-one"), ("umbrella", "secret-three")]);
    }

    /// Guarantee: a key that has expired is not sent, the tenant's next one is.
    #[test]
    fn the_first_key_that_counts_now_is_sent() {
        let keys = read(
            "version: 1\nkeys:\n  - tenant: acme\n    key: secret-old\n    expires: 2001-01-01T00:00:00Z\n  - tenant: acme\n    key: secret-new\n",
        );
        assert_eq!(keys.unwrap().senders().values().collect::<Vec<_>>(), ["secret-new"]);
    }

    #[test]
    fn a_tenant_that_could_never_be_sent_is_refused_at_the_start() {
        let hash = "0".repeat(64);
        let error = read(&format!("version: 1\nkeys:\n  - tenant: acme\n    sha256: {hash}\n")).err().unwrap();
        assert!(error.to_string().contains("tenant acme has only hashes"), "{error}");
    }

    #[test]
    fn own_telemetry_needs_a_key_of_its_tenant() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::default();
        assert_eq!(keys.take_own(dir.path()).unwrap(), None, "without a key users' counts stay theirs");
        let made = secret::shared_key(&own_key_file(dir.path())).unwrap();
        assert_eq!(keys.take_own(dir.path()).unwrap(), Some(made));
        assert_eq!(keys.senders().keys().map(TenantId::as_str).collect::<Vec<_>>(), [OWN_TENANT]);
        std::fs::write(own_key_file(dir.path()), "half").unwrap();
        assert!(Keys::default().take_own(dir.path()).is_err());
        let own = read("daymark key-of-daymark\n").unwrap().take_own(dir.path()).unwrap();
        assert_eq!(own.as_deref(), Some("key-of-daymark"), "the key file comes first");
    }
}
