//! One dead letter as a file: magic, CRC-32C, length of the header, header in JSON, content as it was sent.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use daymark_model::{TenantId, UnixNanos};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"DMDEADL1";
/// Magic, checksum, length of the header.
const PREFIX_BYTES: usize = 16;

/// A request that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it came.
    pub time: UnixNanos,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it was sent, as a path of the HTTP listener: `/v1/traces`. It tells the signal.
    pub path: String,
    /// `Content-Type`.
    pub content_type: String,
    /// `Content-Encoding`: `identity`, `gzip` or `zstd`.
    pub content_encoding: String,
    /// Why it was refused, in a word.
    pub reason: String,
    /// Why it was refused, as the client was told.
    pub message: String,
    /// What was sent, without the frame of gRPC.
    #[serde(skip)]
    pub content: Bytes,
}

/// A dead letter that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a whole dead letter.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl DeadLetter {
    /// The bytes of its file.
    ///
    /// # Errors
    /// When the header cannot be written as JSON.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let header = serde_json::to_vec(self)?;
        let mut out = Vec::with_capacity(PREFIX_BYTES + header.len() + self.content.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(header.len() as u32).to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&self.content);
        let checksum = crc32c::crc32c(&out[12..]);
        out[8..12].copy_from_slice(&checksum.to_le_bytes());
        Ok(out)
    }

    pub(super) fn decode(bytes: Vec<u8>) -> Result<DeadLetter, String> {
        let damaged = |what: &str| Err(format!("damaged dead letter: {what}"));
        if bytes.len() < PREFIX_BYTES {
            return damaged("it is too short");
        }
        if bytes[..8] != *MAGIC {
            return Err("not a dead letter of a version that this Daymark knows".to_owned());
        }
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if crc32c::crc32c(&bytes[12..]) != number(8) {
            return damaged("its checksum is wrong");
        }
        let Some(content_at) = PREFIX_BYTES.checked_add(number(12) as usize).filter(|at| *at <= bytes.len()) else {
            return damaged("its header is longer than the file");
        };
        let header = serde_json::from_slice(&bytes[PREFIX_BYTES..content_at]);
        let letter: DeadLetter = header.map_err(|error| format!("damaged dead letter: {error}"))?;
        Ok(DeadLetter { content: Bytes::from(bytes).slice(content_at..), ..letter })
    }

    /// Reads a dead letter.
    ///
    /// # Errors
    /// [`DeadLetterError`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<DeadLetter, DeadLetterError> {
        let bytes = std::fs::read(path).map_err(|source| DeadLetterError::Io { path: path.to_owned(), source })?;
        DeadLetter::decode(bytes).map_err(|reason| DeadLetterError::Damaged { path: path.to_owned(), reason })
    }
}
