//! The `.idx` file: sections with checksums behind one header.
//!
//! Layout, little-endian: `magic "DAYMIDX1" · header length u32 · header crc32c u32 · header (JSON) · sections`.
//! The header names the sections with offset (from the end of the header), length and CRC32C. All are checked on open:
//! tantivy itself checks nothing there, and a damaged file can make it panic.
//!
//! The index of a merger is those of its inputs, one behind the other, with a header of the same form behind the magic
//! "DAYMIDX2": it names rows, offset and length of each.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"DAYMIDX1";
const JOINED_MAGIC: &[u8; 8] = b"DAYMIDX2";
const FIXED: usize = 16;
/// A header has a dozen sections or some hundred parts; anything longer is damage.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The version this code writes and reads.
pub(super) const VERSION: u32 = 1;

/// Describes an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) rows: u64,
    pub(super) rows_per_page: u32,
    pub(super) sections: Vec<Section>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc32c: u32,
}

/// Describes a joined index.
#[derive(Serialize, Deserialize)]
struct JoinedHeader {
    version: u32,
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    rows: u64,
    offset: u64,
    length: u64,
}

/// Packs named sections into one file.
pub(super) fn pack(rows: u64, rows_per_page: u32, contents: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut offset = 0;
    let sections = contents
        .iter()
        .map(|(name, content)| {
            let section =
                Section { name: name.clone(), offset, length: content.len() as u64, crc32c: crc32c::crc32c(content) };
            offset += section.length;
            section
        })
        .collect();
    let mut file = begin(MAGIC, &Header { version: VERSION, rows, rows_per_page, sections }, offset);
    contents.iter().for_each(|(_, content)| file.extend(content));
    file
}

/// One file of several packed ones, each with its rows, in the order of their rows.
pub(crate) fn join(files: &[(u64, Bytes)]) -> Vec<u8> {
    let mut offset = 0;
    let part = |(rows, file): &(u64, Bytes)| {
        let part = Part { rows: *rows, offset, length: file.len() as u64 };
        offset += part.length;
        part
    };
    let parts = files.iter().map(part).collect();
    let mut joined = begin(JOINED_MAGIC, &JoinedHeader { version: VERSION, parts }, offset);
    files.iter().for_each(|(_, file)| joined.extend(file));
    joined
}

/// A file up to the end of its header, with room for what follows.
fn begin(magic: &[u8; 8], header: &impl Serialize, following: u64) -> Vec<u8> {
    let header = serde_json::json!(header).to_string();
    let mut file = Vec::with_capacity(FIXED + header.len() + following as usize);
    file.extend(magic);
    file.extend((header.len() as u32).to_le_bytes());
    file.extend(crc32c::crc32c(header.as_bytes()).to_le_bytes());
    file.extend(header.as_bytes());
    file
}

/// The packed files that a file consists of, with their rows: itself, unless it is a joined one. What is in them is not
/// looked at.
///
/// # Errors
/// What is damaged.
pub(crate) fn split(file: &Bytes) -> Result<Vec<(u64, Bytes)>, String> {
    if !file.starts_with(JOINED_MAGIC) {
        let (header, _) = open::<Header>(file, MAGIC)?;
        return Ok(vec![(header.rows, file.clone())]);
    }
    let (header, body) = open::<JoinedHeader>(file, JOINED_MAGIC)?;
    check_version(header.version)?;
    let part = |part: &Part| Ok((part.rows, cut(&body, part.offset, part.length).ok_or("a part is cut")?));
    header.parts.iter().map(part).collect()
}

/// Opens a packed file and checks every byte of it.
///
/// # Errors
/// What is damaged.
pub(super) fn unpack(file: &Bytes) -> Result<(Header, Vec<(String, Bytes)>), String> {
    let (header, body) = open::<Header>(file, MAGIC)?;
    check_version(header.version)?;
    let mut sections = Vec::with_capacity(header.sections.len());
    for section in &header.sections {
        let content = cut(&body, section.offset, section.length);
        let content = content.ok_or_else(|| format!("section {} is cut", section.name))?;
        if crc32c::crc32c(&content) != section.crc32c {
            return Err(format!("section {} has a wrong checksum", section.name));
        }
        sections.push((section.name.clone(), content));
    }
    Ok((header, sections))
}

/// The header and what follows it.
fn open<H: DeserializeOwned>(file: &Bytes, magic: &[u8; 8]) -> Result<(H, Bytes), String> {
    let fixed = file.get(..FIXED).ok_or("shorter than its header")?;
    if &fixed[..8] != magic {
        return Err("not an index file".to_owned());
    }
    let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let length = number(8) as usize;
    if length > MAX_HEADER_BYTES {
        return Err(format!("header of {length} bytes"));
    }
    let header = file.get(FIXED..FIXED + length).ok_or("header is cut")?;
    if crc32c::crc32c(header) != number(12) {
        return Err("header has a wrong checksum".to_owned());
    }
    let header = serde_json::from_slice(header).map_err(|error| format!("header: {error}"))?;
    Ok((header, file.slice(FIXED + length..)))
}

fn check_version(version: u32) -> Result<(), String> {
    if version == VERSION { Ok(()) } else { Err(format!("version {version} is not {VERSION}")) }
}

fn cut(body: &Bytes, offset: u64, length: u64) -> Option<Bytes> {
    let end = offset.checked_add(length).filter(|&end| end <= body.len() as u64)?;
    Some(body.slice(offset as usize..end as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let contents =
            vec![("a".to_owned(), b"hello".to_vec()), ("b".to_owned(), Vec::new()), ("c".to_owned(), vec![7; 40])];
        let file = pack(5, 2, &contents);
        let (header, sections) = unpack(&file.clone().into()).unwrap();
        assert_eq!((header.rows, header.rows_per_page), (5, 2));
        assert_eq!(sections.iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect::<Vec<_>>(), contents);
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&damaged.into()).is_err(), "bit {bit}");
        }
        for cut in 0..file.len() {
            assert!(unpack(&file[..cut].to_vec().into()).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_of_a_joined_file_is_found() {
        let one = |byte: u8| Bytes::from(pack(u64::from(byte), 2, &[("a".to_owned(), vec![byte; 9])]));
        let parts = [(3, one(3)), (4, one(4))];
        let file = Bytes::from(join(&parts));
        assert_eq!(split(&file), Ok(parts.to_vec()));
        assert_eq!(split(&parts[0].1), Ok(vec![parts[0].clone()]));
        let is_damaged =
            |file: Bytes| split(&file).map_or(true, |parts| parts.iter().any(|(_, part)| unpack(part).is_err()));
        for bit in 0..file.len() * 8 {
            let mut damaged = file.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(is_damaged(damaged.into()), "bit {bit}");
        }
        assert!((0..file.len()).all(|cut| is_damaged(file.slice(..cut))));
    }
}
