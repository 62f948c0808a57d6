//! The key file: one `TENANT KEY` a line, `#` for comments.

use std::path::{Path, PathBuf};

use daymark_model::TenantId;

use super::keys::{InvalidKey, TenantKeys};

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
    /// A line is not a tenant and a key.
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
}

/// Reads the keys of all tenants, in the order of the file.
///
/// # Errors
/// [`KeyFileError`] names the file and the line.
pub fn read_key_file(path: &Path) -> Result<Vec<(String, TenantId)>, KeyFileError> {
    Ok(read_lines(path)?.into_iter().map(|(_, key)| key).collect())
}

/// The number of a line, and its key and tenant.
type NumberedLine = (usize, (String, TenantId));

/// The keys with the numbers of their lines.
fn read_lines(path: &Path) -> Result<Vec<NumberedLine>, KeyFileError> {
    let named = || path.to_owned();
    let text = std::fs::read_to_string(path).map_err(|source| KeyFileError::Read { path: named(), source })?;
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let wrong = |why: String| KeyFileError::Line { path: named(), line: at + 1, why };
        let mut words = line.split_whitespace();
        let (tenant, key) = match (words.next(), words.next(), words.next()) {
            (None, ..) => continue,
            (Some(comment), ..) if comment.starts_with('#') => continue,
            (Some(tenant), Some(key), None) => (tenant, key),
            _ => return Err(wrong("expected `TENANT KEY`, two words and no more".to_owned())),
        };
        let tenant = TenantId::parse(tenant).map_err(|error| wrong(error.to_string()))?;
        keys.push((at + 1, (key.to_owned(), tenant)));
    }
    if keys.is_empty() {
        return Err(KeyFileError::Empty { path: named() });
    }
    Ok(keys)
}

impl TenantKeys {
    /// The keys in a file of `TENANT KEY` lines.
    ///
    /// # Errors
    /// [`KeyFileError`] names the file and the line.
    pub fn read_file(path: &Path) -> Result<TenantKeys, KeyFileError> {
        let (lines, keys): (Vec<usize>, Vec<_>) = read_lines(path)?.into_iter().unzip();
        TenantKeys::each(keys).map_err(|(at, source)| KeyFileError::Key {
            path: path.to_owned(),
            line: lines.get(at).copied().unwrap_or(0),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<usize, &str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let got = read_key_file(file.path()).and_then(|keys| TenantKeys::read_file(file.path()).map(|_| keys.len()));
        match (got, expected) {
            (Ok(keys), Ok(count)) => assert_eq!(keys, count),
            (Err(error), Err(part)) => {
                let shown = error.to_string();
                assert!(shown.contains(part), "{shown}");
                assert!(!shown.contains("secret"), "{shown}");
            }
            (got, expected) => panic!("{text:?}: got {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn key_files_are_read_or_explained_without_showing_keys() {
        check("# ours\n\nacme secret-one\nacme secret-two\numbrella secret-three\n", Ok(3));
        check("acme\n", Err(":1: expected `TENANT KEY`"));
        check("acme secret-one extra\n", Err(":1: "));
        check("\nACME secret-one\n", Err(":2: "));
        check("acme secret-one\numbrella secret-one\n", Err(":2: tenants acme and umbrella have the same key"));
        check("# ours\n\nacme secret\n", Err(":3: the key of tenant acme is not 8 to 256"));
        check("# nothing\n", Err("has no key"));
    }
}
