//! `FORMAT` beside the tables: which version of the layout they have.

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use crate::{Access, Disk, StoreError};

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
    let (path, text) = disk.small_file("FORMAT", &ours().into(), MAX_BYTES);
    let unknown =
        |found: String| StoreError::UnknownFormat { path: path.display().to_string(), found, supported: SUPPORTED };
    let text = match text {
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            return Err(unknown(format!("more than {MAX_BYTES} bytes of something else")));
        }
        text => text.map_err(|error| StoreError::io(&path, error))?,
    };
    check(&text).map_err(unknown)
}

/// As [`check_or_create`], in an object store. A reader leaves an empty one alone.
pub(crate) async fn check_objects(objects: &dyn ObjectStore, place: &str, access: Access) -> Result<(), StoreError> {
    let path = Path::from("FORMAT");
    let unknown =
        |found: String| StoreError::UnknownFormat { path: format!("{place}/{path}"), found, supported: SUPPORTED };
    let got = match objects.get(&path).await {
        Err(Error::NotFound { .. }) if access == Access::Read => return Ok(()),
        Err(Error::NotFound { .. }) => {
            match objects.put_opts(&path, ours().into(), PutMode::Create.into()).await {
                Ok(_) | Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            objects.get(&path).await?
        }
        got => got?,
    };
    if got.meta.size > MAX_BYTES {
        return Err(unknown(format!("{} bytes of something else", got.meta.size)));
    }
    check(&got.bytes().await?).map_err(unknown)
}

fn ours() -> String {
    serde_json::json!({ "format": SUPPORTED }).to_string()
}

/// What the file says, when it is not what we read.
fn check(text: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Format>(text) {
        Ok(Format { format: SUPPORTED }) => Ok(()),
        Ok(Format { format }) => Err(format.to_string()),
        Err(_) => Err(String::from_utf8_lossy(text).into_owned()),
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
