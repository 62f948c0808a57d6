//! Which tenant a request belongs to and what it may do, by its key.
//!
//! Invariants:
//! - a key is never logged or shown;
//! - comparing takes the same time whichever key is tried: all keys are compared, by their SHA-256;
//! - clones share the keys: what [`TenantKeys::replace`] puts in place counts for every listener from the next request on;
//! - keys added by [`TenantKeys::with`] (Daymark's own) stay when the others are replaced.

mod entry;
mod file;
mod parse;
mod quotas;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use daymark_guard::{Clock, SystemClock};
use daymark_model::{Refusal, TenantId, UnixNanos};
use http::HeaderMap;

use entry::KeyDigest;
pub use entry::{InvalidKey, Key, Scope, Scopes};
pub use file::{KeyFile, KeyFileError};
pub use reload::follow_key_file;

/// API keys and their tenants. Without any key every request belongs to the default tenant.
#[derive(Clone)]
pub struct TenantKeys {
    users: Arc<RwLock<Arc<[Key]>>>,
    /// Daymark's own keys.
    own: Arc<[Key]>,
    /// Whether a request must carry a key.
    required: bool,
    clock: Arc<dyn Clock>,
}

impl Default for TenantKeys {
    fn default() -> TenantKeys {
        TenantKeys {
            users: Arc::new(RwLock::new([].into())),
            own: [].into(),
            required: false,
            clock: Arc::new(SystemClock),
        }
    }
}

impl TenantKeys {
    /// Keys with every scope and their tenants; a tenant may have several.
    ///
    /// # Errors
    /// [`InvalidKey`] when a key is unusable or listed twice.
    pub fn new(keys: impl IntoIterator<Item = (String, TenantId)>) -> Result<TenantKeys, InvalidKey> {
        let keys: Vec<Key> = keys.into_iter().map(|(key, tenant)| Key::new(key, tenant)).collect::<Result<_, _>>()?;
        TenantKeys::of(keys)
    }

    /// These keys.
    ///
    /// # Errors
    /// [`InvalidKey`] when a key is listed twice.
    pub fn of(keys: Vec<Key>) -> Result<TenantKeys, InvalidKey> {
        distinct(&keys).map_err(|(_, error)| error)?;
        let required = !keys.is_empty();
        Ok(TenantKeys { required, users: Arc::new(RwLock::new(keys.into())), ..TenantKeys::default() })
    }

    /// The same keys, whose times are judged by `clock`.
    #[must_use]
    pub fn judged_by(self, clock: Arc<dyn Clock>) -> TenantKeys {
        TenantKeys { clock, ..self }
    }

    /// The same keys and one more of Daymark's own, which does not change whether a request must carry a key and stays
    /// when the users' keys are replaced.
    ///
    /// # Errors
    /// [`InvalidKey`] when the key is unusable or is a user's.
    pub fn with(&self, key: String, tenant: TenantId) -> Result<TenantKeys, InvalidKey> {
        let own: Vec<Key> = self.own.iter().cloned().chain([Key::new(key, tenant)?]).collect();
        apart(&own, &self.users())?;
        Ok(TenantKeys { own: own.into(), ..self.clone() })
    }

    /// Puts other users' keys in place of those there are.
    ///
    /// # Errors
    /// [`InvalidKey`] when they cannot be used; the old ones stay.
    pub fn replace(&self, keys: Vec<Key>) -> Result<(), InvalidKey> {
        distinct(&keys).map_err(|(_, error)| error)?;
        apart(&self.own, &keys)?;
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
        Ok(())
    }

    fn users(&self) -> Arc<[Key]> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every tenant that has a key, once each.
    pub fn tenants(&self) -> BTreeSet<TenantId> {
        self.users().iter().chain(self.own.iter()).map(|key| key.tenant.clone()).collect()
    }

    /// The tenant of a request that needs `scope`, from `Authorization: Bearer KEY` or `x-daymark-key: KEY`.
    ///
    /// # Errors
    /// [`Refusal`] with reason `unknown_key` or `expired_key` (401 / UNAUTHENTICATED), or `wrong_scope` (403 /
    /// PERMISSION_DENIED).
    pub fn tenant(&self, headers: &HeaderMap, scope: Scope) -> Result<TenantId, Refusal> {
        let Some(sent) = sent_key(headers) else {
            if !self.required {
                return Ok(TenantId::default());
            }
            let message = "this listener needs a key: send `Authorization: Bearer KEY` or `x-daymark-key: KEY`";
            return Err(Refusal::reject("unknown_key", message));
        };
        let sent = KeyDigest::of(sent);
        let users = self.users();
        let mut found = None;
        for key in users.iter().chain(self.own.iter()) {
            if key.digest.is(&sent) {
                found = Some(key);
            }
        }
        match found {
            Some(key) => admit(key, scope, self.clock.now()).map(|()| key.tenant.clone()),
            // A client that sends a key where none is needed is still the default tenant.
            None if !self.required => Ok(TenantId::default()),
            None => Err(Refusal::reject("unknown_key", "the key is not known")),
        }
    }
}

impl Key {
    /// In words, whether it counts at `now`, and until when.
    pub fn validity(&self, now: UnixNanos) -> String {
        match (self.not_before, self.expires) {
            (Some(from), _) if now < from => format!("not valid before {}", parse::shown(from)),
            (_, Some(end)) if now >= end => format!("expired at {}", parse::shown(end)),
            (_, Some(end)) => format!("valid until {}", parse::shown(end)),
            (_, None) => "valid".to_owned(),
        }
    }
}

/// Whether a known key counts now and for this.
fn admit(key: &Key, scope: Scope, now: UnixNanos) -> Result<(), Refusal> {
    let named = || match &key.name {
        Some(name) => format!("the key {name:?} of tenant {}", key.tenant),
        None => format!("this key of tenant {}", key.tenant),
    };
    if !key.holds_at(now) {
        let message = format!("{}: {}; send a key that is valid now", named(), key.validity(now));
        return Err(Refusal::reject("expired_key", message));
    }
    if !key.scopes.has(scope) {
        let message = format!("this needs scope `{}`; {} has {}", scope.as_str(), named(), key.scopes);
        return Err(Refusal::reject("wrong_scope", message));
    }
    Ok(())
}

/// Fails with the place of a key that is there already.
fn distinct(keys: &[Key]) -> Result<(), (usize, InvalidKey)> {
    for (at, key) in keys.iter().enumerate() {
        if let Some(other) = keys[..at].iter().find(|other| other.digest == key.digest) {
            return Err((at, clash(other, key)));
        }
    }
    Ok(())
}

/// A user's key may be Daymark's own only if it is of the same tenant.
fn apart(own: &[Key], users: &[Key]) -> Result<(), InvalidKey> {
    let same = |key: &Key, user: &Key| user.digest == key.digest && user.tenant != key.tenant;
    let both = |key: &Key| users.iter().find(|user| same(key, user)).map(|user| clash(key, user));
    own.iter().find_map(both).map_or(Ok(()), Err)
}

fn clash(a: &Key, b: &Key) -> InvalidKey {
    match a.tenant == b.tenant {
        true => InvalidKey::Twice(a.tenant.clone()),
        false => InvalidKey::Shared(a.tenant.clone(), b.tenant.clone()),
    }
}

fn sent_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-daymark-key") {
        return Some(key.as_bytes());
    }
    let authorization = headers.get(http::header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}

impl fmt::Debug for TenantKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantKeys({} keys)", self.users().len() + self.own.len())
    }
}
