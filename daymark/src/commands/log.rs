//! `daymark log inspect` and `daymark log verify`: what is in an ingest log, and what is damaged.

use std::io::Write;
use std::path::Path;

use daymark_log::{Inspect, InspectSummary, RealFileSystem, inspect as inspect_log};

use crate::commands::output;

/// Prints a line a segment and a frame, and a summary last.
///
/// # Errors
/// When the folder is not an ingest log, or a part of it is damaged.
pub(crate) fn inspect(dir: &Path, out: impl Write) -> anyhow::Result<()> {
    let read = |out: &mut dyn Write| summarise(open(dir, "inspect")?, |line| writeln!(out, "{line}"), dir);
    report(dir, out, read)
}

/// Prints the summary of [`inspect`] and nothing else.
///
/// # Errors
/// As [`inspect`].
pub(crate) fn verify(dir: &Path, out: impl Write) -> anyhow::Result<()> {
    report(dir, out, |_| summarise(open(dir, "verify")?, |_| Ok(()), dir))
}

/// Writes what `read` writes, then its summary, and judges. When nobody reads the lines any more (`| head`), the rest
/// of the log is not read, and nothing is judged.
fn report(
    dir: &Path,
    out: impl Write,
    read: impl FnOnce(&mut dyn Write) -> anyhow::Result<InspectSummary>,
) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(out);
    let written = read(&mut out).and_then(|summary| {
        writeln!(out, "{summary}")?;
        out.flush()?;
        Ok(summary)
    });
    match written {
        Ok(summary) if summary.is_damaged() => anyhow::bail!("the log in {} is damaged: {summary}", dir.display()),
        Ok(_) => Ok(()),
        Err(error) if error.downcast_ref().is_some_and(output::is_closed) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The log in `dir`.
fn open(dir: &Path, command: &str) -> anyhow::Result<Inspect> {
    anyhow::ensure!(
        dir.is_dir(),
        "{} is not a folder: expected the log of a data directory, DATA_DIR/log",
        dir.display()
    );
    let lines = inspect_log(&RealFileSystem, dir)?;
    if lines.segments_left() > 0 {
        return Ok(lines);
    }
    let inner = dir.join("log");
    let holds_log = inspect_log(&RealFileSystem, &inner).is_ok_and(|lines| lines.segments_left() > 0);
    let advice = if holds_log {
        format!("its log is in {0}: try `daymark log {command} {0}`", inner.display())
    } else {
        "expected the log of a data directory, DATA_DIR/log".to_owned()
    };
    anyhow::bail!("{} holds no log (no file like 00000000000000000001.log): {advice}", dir.display())
}

fn summarise(
    lines: Inspect,
    mut show: impl FnMut(&daymark_log::InspectLine) -> std::io::Result<()>,
    dir: &Path,
) -> anyhow::Result<InspectSummary> {
    let mut summary = InspectSummary::default();
    for line in lines {
        let line = line.map_err(|error| anyhow::anyhow!("cannot read the log in {}: {error}", dir.display()))?;
        summary.add(&line);
        show(&line)?;
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use daymark_log::{FrameKind, IngestLog, LogOptions, NewFrame};
    use daymark_model::{LogOffset, TenantId, UnixNanos};

    use super::*;

    /// A data directory with a closed log of three frames.
    fn data_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let options =
            LogOptions { segment_bytes: 256 << 10, min_free_bytes: 0, ..LogOptions::new(dir.path().join("log")) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (log, _) = IngestLog::open(options, Arc::new(RealFileSystem), LogOffset(0)).unwrap();
            let _consumer = log.subscribe(usize::MAX);
            for n in 0..3 {
                let frame = NewFrame {
                    kind: FrameKind::Logs,
                    tenant: TenantId::default(),
                    stamp: None,
                    content_hash: n,
                    received: UnixNanos(1),
                    payload: vec![b'x'; 100].into(),
                };
                log.append(frame).await.unwrap();
            }
            log.close().await.unwrap();
        });
        dir
    }

    /// The first segment of the log in a data directory.
    fn segment(data: &Path) -> std::path::PathBuf {
        let mut files: Vec<_> =
            std::fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        files.remove(0)
    }

    fn change(file: &Path, at: usize, byte: u8) {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[at] = byte;
        std::fs::write(file, bytes).unwrap();
    }

    fn inspected(dir: &Path) -> (String, Result<(), String>) {
        let mut out = Vec::new();
        let done = inspect(dir, &mut out).map_err(|error| format!("{error:#}"));
        (String::from_utf8(out).unwrap(), done)
    }

    #[test]
    fn a_sound_log_ends_with_a_summary() {
        let data = data_dir();
        let (printed, done) = inspected(&data.path().join("log"));
        assert_eq!(done, Ok(()), "{printed}");
        assert_eq!(printed.matches("  frame at=").count(), 3, "{printed}");
        let summary = "3 frames and 300 bytes of payload in 1 segment; no damage; no torn tail";
        assert_eq!(printed.lines().last(), Some(summary));
        let mut out = Vec::new();
        verify(&data.path().join("log"), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{summary}\n"));
    }

    #[test]
    fn damage_fails_and_is_summed_up() {
        let data = data_dir();
        let log = data.path().join("log");
        let at = 8_192 + 100;
        let byte = std::fs::read(segment(data.path())).unwrap()[at];
        change(&segment(data.path()), at, byte ^ 1);
        let (printed, done) = inspected(&log);
        let last = printed.lines().last().unwrap_or_default();
        assert!(last.starts_with("2 frames and 200 bytes of payload in 1 segment; 1 damaged range of "), "{printed}");
        assert!(last.ends_with("at least 1 frame lost; no torn tail"), "{printed}");
        assert_eq!(done.unwrap_err(), format!("the log in {} is damaged: {last}", log.display()));
        assert!(verify(&log, std::io::sink()).is_err());
    }

    #[test]
    fn a_folder_without_a_log_is_named_with_what_to_do() {
        let data = data_dir();
        let said = inspected(data.path()).1.unwrap_err();
        assert!(said.contains(&format!("try `daymark log inspect {}/log`", data.path().display())), "{said}");
        let said = verify(data.path(), std::io::sink()).unwrap_err().to_string();
        assert!(said.contains("try `daymark log verify "), "{said}");
        let empty = tempfile::tempdir().unwrap();
        let said = inspected(empty.path()).1.unwrap_err();
        assert!(
            said.contains(&format!("{} holds no log", empty.path().display())) && said.contains("DATA_DIR/log"),
            "{said}"
        );
        let said = inspected(&empty.path().join("nowhere")).1.unwrap_err();
        assert!(said.contains("nowhere is not a folder"), "{said}");
        let said = inspected(&segment(data.path())).1.unwrap_err();
        assert!(said.contains("is not a folder"), "{said}");
    }

    /// Scenario: `daymark log inspect DIR | head`. Guarantee: it ends without a word.
    #[test]
    fn a_reader_that_has_enough_is_no_failure() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let data = data_dir();
        inspect(&data.path().join("log"), Closed).unwrap();
    }
}
