//! Which tenant a request belongs to, by its key.
//!
//! Invariants: a key is never logged or shown; comparing takes the same time whichever key is tried.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use daymark_model::{Refusal, TenantId};
use http::HeaderMap;

/// API keys and their tenants. Without any key every request belongs to the default tenant.
#[derive(Clone, Default)]
pub struct TenantKeys {
    keys: Arc<[(Box<[u8]>, TenantId)]>,
    /// Whether a request must carry a key.
    required: bool,
}

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Shorter than 8 or longer than 256 characters, or not printable ASCII.
    #[error("the key of tenant {0} is not 8 to 256 printable ASCII characters")]
    Format(TenantId),
    /// One key for two tenants.
    #[error("tenants {0} and {1} have the same key")]
    Shared(TenantId, TenantId),
}

impl TenantKeys {
    /// Keys with their tenants; a tenant may have several.
    ///
    /// # Errors
    /// [`InvalidKey`] when a key is unusable or belongs to two tenants.
    pub fn new(keys: impl IntoIterator<Item = (String, TenantId)>) -> Result<TenantKeys, InvalidKey> {
        TenantKeys::each(keys).map_err(|(_, error)| error)
    }

    /// As [`TenantKeys::new`]; an error comes with the number of the key, from 0.
    pub(super) fn each(keys: impl IntoIterator<Item = (String, TenantId)>) -> Result<TenantKeys, (usize, InvalidKey)> {
        let mut known: Vec<(Box<[u8]>, TenantId)> = Vec::new();
        for (at, (key, tenant)) in keys.into_iter().enumerate() {
            if !(8..=256).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err((at, InvalidKey::Format(tenant)));
            }
            if let Some((_, other)) = known.iter().find(|(k, other)| **k == *key.as_bytes() && *other != tenant) {
                return Err((at, InvalidKey::Shared(other.clone(), tenant)));
            }
            known.push((key.into_bytes().into(), tenant));
        }
        Ok(TenantKeys { required: !known.is_empty(), keys: known.into() })
    }

    /// The same keys and one more, which does not change whether a request must carry a key.
    ///
    /// # Errors
    /// [`InvalidKey`] when the key is unusable or belongs to another tenant.
    pub fn with(&self, key: String, tenant: TenantId) -> Result<TenantKeys, InvalidKey> {
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let known = self.keys.iter().map(|(key, tenant)| (text(key), tenant.clone()));
        let keys = TenantKeys::new(known.chain([(key, tenant)]))?;
        Ok(TenantKeys { required: self.required, ..keys })
    }

    /// Every tenant that has a key, once each.
    pub fn tenants(&self) -> BTreeSet<TenantId> {
        self.keys.iter().map(|(_, tenant)| tenant.clone()).collect()
    }

    /// The tenant of a request, from `Authorization: Bearer KEY` or `x-daymark-key: KEY`.
    ///
    /// # Errors
    /// [`Refusal`] with reason `unknown_key` (401 / UNAUTHENTICATED).
    pub fn tenant(&self, headers: &HeaderMap) -> Result<TenantId, Refusal> {
        let Some(sent) = sent_key(headers) else {
            if !self.required {
                return Ok(TenantId::default());
            }
            let message = "this listener needs a key: send `Authorization: Bearer KEY` or `x-daymark-key: KEY`";
            return Err(Refusal::reject("unknown_key", message));
        };
        // A client that sends a key where none is needed is still the default tenant.
        let mut found = (!self.required).then(TenantId::default);
        for (key, tenant) in self.keys.iter() {
            if equal_in_constant_time(key, sent) {
                found = Some(tenant.clone());
            }
        }
        found.ok_or_else(|| Refusal::reject("unknown_key", "the key is not known"))
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

/// The lengths may leak, the content does not.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y))) == 0
}

impl fmt::Debug for TenantKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantKeys({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_key_decides_the_tenant() {
        let tenant = |name| TenantId::parse(name).unwrap();
        let keys =
            TenantKeys::new([("acme-secret".into(), tenant("acme")), ("umbrella-key".into(), tenant("umbrella"))]);
        let keys = keys.unwrap();
        assert_eq!(keys.tenant(&headers("x-daymark-key", "acme-secret")).unwrap(), tenant("acme"));
        assert_eq!(keys.tenant(&headers("authorization", "bearer umbrella-key")).unwrap(), tenant("umbrella"));
        for bad in ["", "acme", "acme-secreT", "acme-secret1"] {
            let refusal = keys.tenant(&headers("x-daymark-key", bad)).unwrap_err();
            assert_eq!(refusal.reason, "unknown_key");
        }
        assert_eq!(keys.tenant(&HeaderMap::new()).unwrap_err().reason, "unknown_key");
        assert!(!format!("{keys:?}").contains("secret"));
    }

    #[test]
    fn without_keys_everything_is_the_default_tenant() {
        let none = TenantKeys::default();
        assert_eq!(none.tenant(&headers("x-daymark-key", "whatever")).unwrap(), TenantId::default());
    }

    #[test]
    fn unusable_keys_are_refused() {
        let tenant = |name| TenantId::parse(name).unwrap();
        assert!(TenantKeys::new([("short".into(), tenant("a"))]).is_err());
        let shared = [("long-enough".to_owned(), tenant("a")), ("long-enough".to_owned(), tenant("b"))];
        assert_eq!(TenantKeys::new(shared).unwrap_err(), InvalidKey::Shared(tenant("a"), tenant("b")));
    }
}
