//! The durable history of alerts: an append-only file of JSON lines with a checksum each.
//!
//! Where it sits: every incident event and every notification is appended and synced here before it takes effect; at a
//! start, the records are applied again in order. Format: `docs/formats/alerts-journal.md`.
//!
//! Invariants:
//! - [`Journal::append`] returns after the records are synced, or they are not in the journal;
//! - a damaged line costs itself: it is skipped and reported, the rest is read;
//! - the file is bounded: it is rewritten without forgotten incidents when it grows past its limit.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use daymark_model::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::definition::SloId;
use crate::error::AlertsError;
use crate::incident::{IncidentEvent, IncidentId};
use crate::notification::Notification;
use crate::sli::Slot;

const HEADER: &str = "daymark-alerts-journal 1";
/// Longest line read: a notification with its body is a few KiB.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// How an attempt to deliver ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(crate) enum Attempt {
    /// The receiver took it.
    Delivered,
    /// It will be tried again.
    Failed,
    /// It will not be tried again.
    Dead,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Record {
    /// Something happened to an incident.
    Incident {
        /// Which.
        incident: IncidentId,
        /// What.
        event: IncidentEvent,
    },
    /// A notification was put into the outbox.
    Queued {
        /// The whole of it.
        notification: Notification,
    },
    /// A notification was tried.
    Attempted {
        /// Number of the notification.
        number: u64,
        /// Wall time.
        at: UnixNanos,
        /// How it ended.
        attempt: Attempt,
        /// The answer's status, when there was one.
        http_status: Option<u16>,
        /// What went wrong, when something did.
        error: Option<String>,
    },
    /// How far an SLO was evaluated: a start continues there.
    Evaluated {
        /// Which.
        slo: SloId,
        /// Up to which boundary.
        end: Slot,
    },
}

/// What was found at opening.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// All records, in order.
    pub(crate) records: Vec<Record>,
    /// Lines that were skipped for damage, as `line: reason`.
    pub(crate) damage: Vec<String>,
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes known to be whole; whatever lies after them is cut before the next append.
    length: u64,
    compact_above: u64,
    max_bytes: u64,
}

impl Journal {
    /// Opens or creates `dir/journal.jsonl`; it is rewritten when it has grown past `max_bytes`.
    ///
    /// # Errors
    /// When the file cannot be read or created, or has another format.
    pub(crate) fn open(dir: &Path, max_bytes: u64) -> Result<(Journal, Replay), AlertsError> {
        let path = dir.join("journal.jsonl");
        let fail = failure(&path);
        std::fs::create_dir_all(dir).map_err(&fail)?;
        let created = !path.exists();
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(&fail)?;
        if file.metadata().map_err(&fail)?.len() == 0 {
            writeln!(file, "{HEADER}").and_then(|()| file.sync_all()).map_err(&fail)?;
        }
        if created {
            sync_dir(dir).map_err(&fail)?;
        }
        file.seek(SeekFrom::Start(0)).map_err(&fail)?;
        let (replay, length) = read(&path, &file)?;
        Ok((Journal { path, file, length, compact_above: max_bytes, max_bytes }, replay))
    }

    /// Appends records and syncs them.
    ///
    /// # Errors
    /// When they could not be written or synced; none of them counts then.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), AlertsError> {
        let text: String = records.iter().map(line).collect();
        let written = self
            .file
            .set_len(self.length)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.length)))
            .and_then(|_| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.sync_data());
        written.map_err(failure(&self.path))?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Whether the file has outgrown its limit.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.length > self.compact_above
    }

    /// Replaces the file by one that holds `records` only.
    ///
    /// # Errors
    /// When that failed; the old file is in use then.
    pub(crate) fn rewrite(&mut self, records: &[Record]) -> Result<(), AlertsError> {
        let fail = failure(&self.path);
        let temporary = self.path.with_extension("tmp");
        let text: String = std::iter::once(format!("{HEADER}\n")).chain(records.iter().map(line)).collect();
        let mut file = File::create(&temporary).map_err(&fail)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(&fail)?;
        std::fs::rename(&temporary, &self.path).map_err(&fail)?;
        sync_dir(self.path.parent().unwrap_or(Path::new("."))).map_err(&fail)?;
        self.file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(&fail)?;
        self.length = text.len() as u64;
        // What must be kept may exceed the limit: wait for it to double rather than rewrite at every append.
        self.compact_above = self.max_bytes.max(self.length * 2);
        Ok(())
    }

    /// Reads the whole file again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn reread(&self) -> Result<Replay, AlertsError> {
        let file = File::open(&self.path).map_err(failure(&self.path))?;
        Ok(read(&self.path, &file)?.0)
    }
}

fn failure(path: &Path) -> impl Fn(std::io::Error) -> AlertsError + use<> {
    let path = path.to_owned();
    move |source| AlertsError::Journal { path: path.clone(), source }
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// `crc32c in 8 hex digits`, space, JSON, newline.
fn line(record: &Record) -> String {
    // Records hold strings, integers and JSON only: they always serialize.
    let json = serde_json::to_string(record).unwrap_or_default();
    format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()))
}

/// All records, and the length of the file up to the end of its last line.
fn read(path: &Path, file: &File) -> Result<(Replay, u64), AlertsError> {
    let fail = failure(path);
    let mut reader = BufReader::new(file);
    let mut replay = Replay::default();
    let mut length = 0;
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).map_err(&fail)?;
        if read == 0 {
            break;
        }
        if bytes.last() != Some(&b'\n') {
            replay.damage.push(format!("line {number}: torn tail of {read} bytes"));
            break;
        }
        length += read as u64;
        let text = bytes[..read - 1].to_vec();
        if number == 1 {
            check_header(path, &text)?;
            continue;
        }
        match parse(&text) {
            Ok(record) => replay.records.push(record),
            Err(reason) => replay.damage.push(format!("line {number}: {reason}")),
        }
    }
    Ok((replay, length))
}

fn check_header(path: &Path, line: &[u8]) -> Result<(), AlertsError> {
    if line == HEADER.as_bytes() {
        return Ok(());
    }
    let found = String::from_utf8_lossy(line).chars().take(80).collect();
    Err(AlertsError::JournalFormat { path: path.to_owned(), found, expected: HEADER })
}

fn parse(line: &[u8]) -> Result<Record, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("{} bytes, at most {MAX_LINE_BYTES} are read", line.len()));
    }
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let (crc, json) = text.split_once(' ').ok_or("no checksum")?;
    if crc != format!("{:08x}", crc32c::crc32c(json.as_bytes())) {
        return Err("checksum differs".to_owned());
    }
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> Record {
        Record::Evaluated { slo: SloId::parse("slo").unwrap(), end: Slot(n) }
    }

    fn open(dir: &Path) -> (Journal, Replay) {
        Journal::open(dir, 1_000).unwrap()
    }

    #[test]
    fn records_survive_a_restart_and_a_torn_tail_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).0.append(&[record(1), record(2)]).unwrap();
        let path = dir.path().join("journal.jsonl");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"0123 {\"rec").unwrap();

        let (mut journal, replay) = open(dir.path());
        assert_eq!(replay.records, [record(1), record(2)]);
        assert_eq!(replay.damage.len(), 1);
        journal.append(&[record(3)]).unwrap();
        let (_, replay) = open(dir.path());
        assert_eq!(replay.records, [record(1), record(2), record(3)]);
        assert!(replay.damage.is_empty());
    }

    #[test]
    fn any_flipped_bit_costs_at_most_its_line() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).0.append(&[record(1), record(2), record(3)]).unwrap();
        let path = dir.path().join("journal.jsonl");
        let whole = std::fs::read(&path).unwrap();
        for bit in (HEADER.len() + 1) * 8..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            let (_, replay) = open(dir.path());
            // A flipped newline joins two lines, a flip into one splits a line; neither may change a record.
            assert!(!replay.records.is_empty() && !replay.damage.is_empty(), "bit {bit}");
            assert!(replay.records.iter().all(|r| [record(1), record(2), record(3)].contains(r)), "bit {bit}");
        }
    }

    #[test]
    fn another_format_is_a_named_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("journal.jsonl"), "daymark-alerts-journal 2\n").unwrap();
        assert!(matches!(Journal::open(dir.path(), 1), Err(AlertsError::JournalFormat { .. })));
    }

    #[test]
    fn a_rewrite_keeps_what_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path());
        let many: Vec<Record> = (0..40).map(record).collect();
        journal.append(&many).unwrap();
        assert!(journal.wants_compaction());
        journal.rewrite(&many[39..]).unwrap();
        assert!(!journal.wants_compaction());
        journal.append(&[record(50)]).unwrap();
        assert_eq!(open(dir.path()).1.records, [record(39), record(50)]);
    }
}
