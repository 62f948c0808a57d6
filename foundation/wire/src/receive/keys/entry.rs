//! One key: whose it is, what it may do, and from when until when.
//!
//! Invariants: what is compared is the SHA-256 of a key, so that the same work is done for a key from a file that holds
//! it and for one from a file that holds its hash; neither is ever shown.

use std::fmt;

use daymark_model::{TenantId, UnixNanos};
use sha2::{Digest, Sha256};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Send telemetry.
    Ingest,
    /// Read telemetry, SLOs, incidents and dashboards.
    Query,
    /// Change the state of incidents.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Ingest, Scope::Query, Scope::Admin];

    /// As it is written in a key file.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Query => "query",
            Scope::Admin => "admin",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A set of [`Scope`]s.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope: what keys had before there were scopes.
    pub const ALL: Scopes = Scopes(0b111);

    /// These scopes.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Scopes {
        Scopes(scopes.into_iter().fold(0, |set, scope| set | 1 << scope as u8))
    }

    /// Whether `scope` is one of them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Scope::ALL.into_iter().filter(|s| self.has(*s)).map(Scope::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyDigest([u8; 32]);

impl KeyDigest {
    pub(super) fn of(key: &[u8]) -> KeyDigest {
        KeyDigest(Sha256::digest(key).into())
    }

    /// From 64 hex digits.
    pub(super) fn from_hex(text: &str) -> Option<KeyDigest> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut digest = [0; 32];
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(KeyDigest(digest))
    }

    /// In the same time whatever differs.
    pub(super) fn is(&self, other: &KeyDigest) -> bool {
        std::hint::black_box(self.0.iter().zip(&other.0).fold(0, |diff, (x, y)| diff | (x ^ y))) == 0
    }
}

/// The key itself, where the file holds it; an agent sends it on.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A key of a tenant.
#[derive(Clone, Debug)]
pub struct Key {
    /// Whose data its holder sends and reads.
    pub tenant: TenantId,
    /// What it may do.
    pub scopes: Scopes,
    /// What operators call it; messages name it.
    pub name: Option<String>,
    /// Not known before this time.
    pub not_before: Option<UnixNanos>,
    /// Not known from this time on.
    pub expires: Option<UnixNanos>,
    pub(super) digest: KeyDigest,
    pub(super) secret: Option<Secret>,
}

impl Key {
    /// A key with every scope and no end.
    ///
    /// # Errors
    /// [`InvalidKey::Format`] when it cannot be sent as a header or is too short.
    pub fn new(key: String, tenant: TenantId) -> Result<Key, InvalidKey> {
        if !(8..=256).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidKey::Format(tenant));
        }
        let (digest, secret) = (KeyDigest::of(key.as_bytes()), Some(Secret(key)));
        Ok(Key { tenant, scopes: Scopes::ALL, name: None, not_before: None, expires: None, digest, secret })
    }

    /// The key itself, unless only its hash is known.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(|secret| secret.0.as_str())
    }

    /// Whether it counts at `now`.
    pub fn holds_at(&self, now: UnixNanos) -> bool {
        self.not_before.is_none_or(|from| from <= now) && self.expires.is_none_or(|end| now < end)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hash)")
    }
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
    /// A key twice, so that one entry's scopes or times would silently not count.
    #[error("a key of tenant {0} is listed twice: keep one entry")]
    Twice(TenantId),
}
