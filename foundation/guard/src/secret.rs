//! Secrets made at start: keys that nobody has to configure.

use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::Rng;

/// Hex digits of a key.
const KEY_DIGITS: usize = 32;

/// A fresh key of 32 hex digits from the operating system's random source.
#[expect(clippy::disallowed_methods, reason = "the randomness seam itself")]
pub fn random_key() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

/// The key in the file at `path`, readable by its owner only; the first to ask makes it, and its folder.
///
/// # Errors
/// When the file cannot be made or read, or is not whole.
pub fn shared_key(path: &Path) -> std::io::Result<String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match existing_key(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        known => return known,
    }
    // Written whole under another name first: nobody ever reads half a key.
    let key = random_key();
    let draft = path.with_extension(format!("{}.draft", random_key()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => existing_key(path),
        Err(error) => Err(error),
    }
}

/// The key in the file at `path`, which somebody else made.
///
/// # Errors
/// When the file cannot be read or is not whole.
pub fn existing_key(path: &Path) -> std::io::Result<String> {
    let key = std::fs::read_to_string(path)?;
    match key.len() == KEY_DIGITS {
        true => Ok(key),
        false => Err(Error::new(
            ErrorKind::InvalidData,
            "the key is not whole: delete the file and start the roles that share it again",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_ask_makes_the_key() {
        let path = std::env::temp_dir().join(format!("daymark-key-{}", random_key()));
        assert_eq!(existing_key(&path).unwrap_err().kind(), ErrorKind::NotFound);
        let made = shared_key(&path).unwrap();
        assert_eq!(made.len(), KEY_DIGITS);
        assert_eq!(shared_key(&path).unwrap(), made);
        assert_eq!(existing_key(&path).unwrap(), made);
        std::fs::write(&path, "half").unwrap();
        assert!(shared_key(&path).unwrap_err().to_string().contains("delete the file"));
        std::fs::remove_file(&path).unwrap();
    }
}
