//! The `.idx` file: sections with checksums behind one header.
//!
//! Layout, little-endian: `magic "DAYMIDX1" · header length u32 · header crc32c u32 · header (JSON) · sections`.
//! The header names the sections with offset (from the end of the header), length and CRC32C. All are checked on open:
//! tantivy itself checks nothing there, and a damaged file can make it panic.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"DAYMIDX1";
const FIXED: usize = 16;
/// A header has a dozen sections; anything longer is damage.
const MAX_HEADER_BYTES: usize = 1 << 20;

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

/// The version this code writes and reads.
pub(super) const VERSION: u32 = 1;

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
    let header = Header { version: VERSION, rows, rows_per_page, sections };
    let header = serde_json::json!(header).to_string();
    let mut file = Vec::with_capacity(FIXED + header.len() + offset as usize);
    file.extend(MAGIC);
    file.extend((header.len() as u32).to_le_bytes());
    file.extend(crc32c::crc32c(header.as_bytes()).to_le_bytes());
    file.extend(header.as_bytes());
    contents.iter().for_each(|(_, content)| file.extend(content));
    file
}

/// Opens a packed file and checks every byte of it.
///
/// # Errors
/// What is damaged.
pub(super) fn unpack(file: &Bytes) -> Result<(Header, Vec<(String, Bytes)>), String> {
    let fixed = file.get(..FIXED).ok_or("shorter than its header")?;
    if &fixed[..8] != MAGIC {
        return Err("not an index file".to_owned());
    }
    let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let length = number(8) as usize;
    if length > MAX_HEADER_BYTES {
        return Err(format!("header of {length} bytes"));
    }
    let header_bytes = file.get(FIXED..FIXED + length).ok_or("header is cut")?;
    if crc32c::crc32c(header_bytes) != number(12) {
        return Err("header has a wrong checksum".to_owned());
    }
    let header: Header = serde_json::from_slice(header_bytes).map_err(|error| format!("header: {error}"))?;
    if header.version != VERSION {
        return Err(format!("version {} is not {VERSION}", header.version));
    }
    let body = file.slice(FIXED + length..);
    let mut sections = Vec::with_capacity(header.sections.len());
    for section in &header.sections {
        let end = section.offset.checked_add(section.length).filter(|&end| end <= body.len() as u64);
        let end = end.ok_or_else(|| format!("section {} is cut", section.name))?;
        let content = body.slice(section.offset as usize..end as usize);
        if crc32c::crc32c(&content) != section.crc32c {
            return Err(format!("section {} has a wrong checksum", section.name));
        }
        sections.push((section.name.clone(), content));
    }
    Ok((header, sections))
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
}
