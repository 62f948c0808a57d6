//! What a backup holds: `MANIFEST.json`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Component, Path};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

const FILE: &str = "MANIFEST.json";
/// The layout this version writes and reads.
const VERSION: u32 = 1;
/// A longer manifest is not ours: about four million files.
const MAX_BYTES: u64 = 1 << 30;

/// One backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) version: u32,
    /// The program that wrote it.
    pub(super) written_by: String,
    /// When the backup began, nanoseconds since the epoch: all that was acknowledged by then is in it.
    pub(super) begun_unix_nano: u64,
    /// Newest log offset in it.
    pub(super) through: u64,
    pub(super) files: Vec<BackedUp>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackedUp {
    /// Where it belongs, below the data directory.
    pub(super) path: String,
    /// Where it is, below the backup.
    pub(super) stored: String,
    pub(super) bytes: u64,
    pub(super) crc32c: u32,
    /// Permission bits: keys are for their owner only.
    pub(super) mode: u32,
}

impl Manifest {
    pub(super) fn new(begun_unix_nano: u64) -> Manifest {
        let written_by = concat!("daymark ", env!("CARGO_PKG_VERSION")).to_owned();
        Manifest { version: VERSION, written_by, begun_unix_nano, ..Manifest::default() }
    }

    /// The manifest in `dir`; `None` without one.
    ///
    /// # Errors
    /// When it cannot be read, is not whole, or is of another version.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Option<Manifest>> {
        let path = dir.join(FILE);
        let shown = path.display();
        let bytes = match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{shown}")),
            Ok(meta) => {
                ensure!(meta.len() <= MAX_BYTES, "{shown}: {} bytes is no manifest of a backup", meta.len());
                fs::read(&path).with_context(|| format!("{shown}"))?
            }
        };
        let Sealed { crc32c, manifest } =
            serde_json::from_slice(&bytes).with_context(|| format!("{shown} is not a manifest of a backup"))?;
        ensure!(sum(&manifest)? == crc32c, "{shown} is damaged: its checksum does not match");
        ensure!(
            manifest.version == VERSION,
            "{shown} has version {}, this program reads version {VERSION}: use the version of daymark that wrote it ({})",
            manifest.version,
            manifest.written_by
        );
        for file in &manifest.files {
            ensure!(is_inside(&file.path) && is_inside(&file.stored), "{shown}: {:?} leaves the folder", file.path);
        }
        Ok(Some(manifest))
    }

    /// Replaces the manifest in `dir`, durably.
    ///
    /// # Errors
    /// When it cannot be written; the old one is still there then.
    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let temporary = dir.join("MANIFEST.json.tmp");
        let sealed = Sealed { crc32c: sum(self)?, manifest: self.clone() };
        let mut file = File::create(&temporary).with_context(|| format!("{}", temporary.display()))?;
        file.write_all(&serde_json::to_vec_pretty(&sealed)?)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(FILE))?;
        Ok(File::open(dir)?.sync_all()?)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    /// CRC32C of the manifest as compact JSON.
    crc32c: u32,
    manifest: Manifest,
}

fn sum(manifest: &Manifest) -> anyhow::Result<u32> {
    Ok(crc32c::crc32c(&serde_json::to_vec(manifest)?))
}

/// Whether a path stays below the folder it is joined to.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_path(path: &str) -> Manifest {
        let file = BackedUp { path: path.into(), stored: "data/x".into(), bytes: 1, crc32c: 2, mode: 0o600 };
        Manifest { through: 7, files: vec![file], ..Manifest::new(5) }
    }

    #[test]
    fn a_manifest_is_read_back_as_written_and_any_change_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        with_path("tables/x").write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(with_path("tables/x")));
        let path = dir.path().join(FILE);
        let changed = fs::read_to_string(&path).unwrap().replace("\"through\": 7", "\"through\": 8");
        fs::write(&path, changed).unwrap();
        assert!(Manifest::read(dir.path()).unwrap_err().to_string().contains("is damaged"));
    }

    #[test]
    fn a_manifest_that_leaves_its_folder_or_is_of_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../escape", "/etc/passwd", "a/../../b", ""] {
            with_path(path).write(dir.path()).unwrap();
            assert!(Manifest::read(dir.path()).unwrap_err().to_string().contains("leaves the folder"), "{path}");
        }
        Manifest { version: 9, ..with_path("x") }.write(dir.path()).unwrap();
        assert!(Manifest::read(dir.path()).unwrap_err().to_string().contains("has version 9"));
    }
}
