//! `<data>/tables/FORMAT`: which version of the layout the directory has.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::disk::put_file_if_absent;

/// The layout that this version writes and reads.
const SUPPORTED: u32 = 1;
/// A `FORMAT` file is tiny; anything longer is not one.
const MAX_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

/// Checks the directory's format, or marks an empty directory as ours.
pub(crate) fn check_or_create(root: &Path) -> Result<(), StoreError> {
    let path = root.join("FORMAT");
    let unknown =
        |found: String| StoreError::UnknownFormat { path: path.display().to_string(), found, supported: SUPPORTED };
    match std::fs::metadata(&path) {
        Ok(meta) if meta.len() > MAX_BYTES => return Err(unknown(format!("{} bytes of something else", meta.len()))),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = serde_json::json!({ "format": SUPPORTED }).to_string();
            match put_file_if_absent(&path, &text.into()) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(StoreError::io(&path, error));
                }
                _ => {}
            }
        }
        Err(error) => return Err(StoreError::io(&path, error)),
    }
    let text = std::fs::read(&path).map_err(|error| StoreError::io(&path, error))?;
    match serde_json::from_slice::<Format>(&text) {
        Ok(Format { format: SUPPORTED }) => Ok(()),
        Ok(Format { format }) => Err(unknown(format.to_string())),
        Err(_) => Err(unknown(String::from_utf8_lossy(&text).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_is_a_named_error() {
        let dir = tempfile::tempdir().unwrap();
        check_or_create(dir.path()).unwrap();
        check_or_create(dir.path()).unwrap();
        for other in [r#"{"format":2}"#, "", "garbage"] {
            std::fs::write(dir.path().join("FORMAT"), other).unwrap();
            let error = check_or_create(dir.path()).unwrap_err();
            assert!(matches!(error, StoreError::UnknownFormat { .. }), "{other}: {error}");
        }
    }
}
