//! `<data>/tables/FORMAT`: which version of the layout the directory has.

use serde::{Deserialize, Serialize};

use crate::{Disk, StoreError};

/// The layout that this version writes and reads.
const SUPPORTED: u32 = 1;
/// A `FORMAT` file is tiny; anything longer is not one.
const MAX_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

/// Checks the directory's format, or marks an empty directory as ours.
pub(crate) fn check_or_create(disk: &Disk) -> Result<(), StoreError> {
    let ours = serde_json::json!({ "format": SUPPORTED }).to_string();
    let (path, text) = disk.small_file("FORMAT", &ours.into(), MAX_BYTES);
    let unknown =
        |found: String| StoreError::UnknownFormat { path: path.display().to_string(), found, supported: SUPPORTED };
    let text = match text {
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            return Err(unknown(format!("more than {MAX_BYTES} bytes of something else")));
        }
        text => text.map_err(|error| StoreError::io(&path, error))?,
    };
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
        let disk = Disk::open(dir.path()).unwrap();
        check_or_create(&disk).unwrap();
        check_or_create(&disk).unwrap();
        for other in [r#"{"format":2}"#, "", "garbage"] {
            std::fs::write(dir.path().join("FORMAT"), other).unwrap();
            let error = check_or_create(&disk).unwrap_err();
            assert!(matches!(error, StoreError::UnknownFormat { .. }), "{other}: {error}");
        }
    }
}
