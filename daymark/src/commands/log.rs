//! `daymark log inspect`: what is in an ingest log, and what is damaged.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use daymark_log::{RealFileSystem, inspect as inspect_log};

/// Prints a line a segment and a frame.
///
/// # Errors
/// When the folder is not an ingest log.
pub(crate) fn inspect(dir: &Path) -> anyhow::Result<()> {
    let lines = inspect_log(&RealFileSystem, dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in lines {
        match line {
            Ok(line) => writeln!(out, "{line}")?,
            Err(error) => writeln!(out, "damaged: {error}")?,
        }
    }
    out.flush()?;
    Ok(())
}
