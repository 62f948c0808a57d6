//! The demo's SLOs, dashboard and receiver: the same kind of files a team keeps in its repository.

use std::path::Path;

use anyhow::Context as _;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "definitions"]
struct Files;

/// Paths of the embedded definition files, relative to the definitions folder.
pub const EMBEDDED: fn() -> Vec<String> = || Files::iter().map(|path| path.into_owned()).collect();

/// Where the embedded receiver points until the demo's own listener is known.
const PLACEHOLDER_URL: &str = "http://127.0.0.1:9099/page";

/// Writes the definitions into `dir`, with `pager_url` as the receiver.
///
/// # Errors
/// When a file cannot be written.
pub fn write_definitions(dir: &Path, pager_url: &str) -> anyhow::Result<()> {
    for path in Files::iter() {
        let file = Files::get(&path).with_context(|| format!("embedded file {path} is missing"))?;
        let text = String::from_utf8(file.data.into_owned()).with_context(|| format!("{path} is not UTF-8"))?;
        let target = dir.join(path.as_ref());
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        std::fs::write(&target, text.replace(PLACEHOLDER_URL, pager_url))
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_receiver_points_at_the_pager() {
        let dir = tempfile::tempdir().unwrap();
        write_definitions(dir.path(), "http://127.0.0.1:1/page").unwrap();
        let alerting = std::fs::read_to_string(dir.path().join("alerting.yaml")).unwrap();
        assert!(alerting.contains("http://127.0.0.1:1/page"), "{alerting}");
        assert!(EMBEDDED().iter().any(|path| path.starts_with("slos/")));
    }
}
