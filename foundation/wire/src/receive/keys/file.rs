//! The key file, `docs/formats/keys.md`: versioned YAML, or one `TENANT KEY` a line.
//!
//! Invariants: a mistake names file and line; keys are never shown; a file is at most [`MAX_FILE_BYTES`].

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use daymark_guard::QuotaLimits;
use daymark_model::{TenantId, UnixNanos};

use super::entry::{InvalidKey, Key, Scope};
use super::{TenantKeys, distinct, parse};

/// Largest key file, bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most keys of a file: every request is compared with each.
pub(super) const MAX_KEYS: usize = 10_000;

/// A key file that cannot be used. Keys are never shown.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not what was expected there.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A key cannot be used.
    #[error("{}:{line}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        source: InvalidKey,
    },
    /// It names no key at all.
    #[error("{} has no key; without keys, leave the option out", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// An agent would take a tenant's data and could not send it on.
    #[error("{}: tenant {tenant} has only hashes of keys to send with: an agent needs one as `key:`", path.display())]
    NotSendable {
        /// Which file.
        path: PathBuf,
        /// Which tenant.
        tenant: TenantId,
    },
    /// It cannot be used together with Daymark's own keys.
    #[error("{}: {source}", path.display())]
    Own {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: InvalidKey,
    },
}

/// What a key file says.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// The keys, in the order of the file.
    pub keys: Vec<Key>,
    /// How much tenants may send.
    pub quotas: QuotaLimits,
}

impl KeyFile {
    /// Reads a key file in either format.
    ///
    /// # Errors
    /// [`KeyFileError`] names the file and the line.
    pub fn read(path: &Path) -> Result<KeyFile, KeyFileError> {
        KeyFile::parse(path, &KeyFile::text(path)?)
    }

    /// The text of a key file, of at most one byte more than is allowed.
    pub(super) fn text(path: &Path) -> Result<String, KeyFileError> {
        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
        read.map(|_| text).map_err(|source| KeyFileError::Read { path: path.to_owned(), source })
    }

    /// The meaning of `text`, which stands in `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<KeyFile, KeyFileError> {
        let named = || path.to_owned();
        let wrong = |(line, why): (usize, String)| KeyFileError::Line { path: named(), line, why };
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(wrong((1, format!("the file is larger than {MAX_FILE_BYTES} bytes"))));
        }
        let (numbered, quotas) = match is_yaml(text) {
            true => parse::yaml(text).map_err(wrong)?,
            false => (parse::lines(text).map_err(wrong)?, QuotaLimits::default()),
        };
        let (lines, keys): (Vec<usize>, Vec<Key>) = numbered.into_iter().unzip();
        if keys.is_empty() {
            return Err(KeyFileError::Empty { path: named() });
        }
        if keys.len() > MAX_KEYS {
            return Err(wrong((lines[MAX_KEYS], format!("more than {MAX_KEYS} keys"))));
        }
        distinct(&keys).map_err(|(at, source)| KeyFileError::Key { path: named(), line: lines[at], source })?;
        Ok(KeyFile { keys, quotas })
    }

    /// The first key of each tenant that may send at `now` and that the file holds itself.
    pub fn senders(&self, now: UnixNanos) -> BTreeMap<TenantId, String> {
        let usable = self.keys.iter().filter(|key| key.scopes.has(Scope::Ingest) && key.holds_at(now));
        let mut senders = BTreeMap::new();
        for (key, secret) in usable.filter_map(|key| Some((key, key.secret()?))) {
            senders.entry(key.tenant.clone()).or_insert_with(|| secret.to_owned());
        }
        senders
    }
}

impl TenantKeys {
    /// The keys of a key file.
    ///
    /// # Errors
    /// [`KeyFileError`] names the file and the line.
    pub fn read_file(path: &Path) -> Result<TenantKeys, KeyFileError> {
        let own = |source| KeyFileError::Own { path: path.to_owned(), source };
        TenantKeys::of(KeyFile::read(path)?.keys).map_err(own)
    }
}

/// The first word of YAML is a key of a mapping, that of a line is a tenant.
fn is_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.and_then(|line| line.split_whitespace().next()).is_some_and(|word| word.contains(':') || word == "---")
}
