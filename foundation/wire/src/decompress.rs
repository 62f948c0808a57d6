//! Capped decompression of gzip and zstd. The only place where raw decompressors are allowed.
//!
//! Invariants:
//! - no more than the cap is ever produced: a bomb costs the cap at most, and memory grows with what was produced;
//! - memory is asked for before it is taken, so that all requests together stay below one limit;
//! - zstd windows are at most 8 MiB, as RFC 9659 has it for content encodings.

use std::io::Read;

use daymark_model::Refusal;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, one member or several.
    Gzip,
    /// Zstandard, one frame or several.
    Zstd,
}

impl Encoding {
    /// The name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }

    /// From the name in `Content-Encoding` or `grpc-encoding`.
    pub fn from_name(name: &[u8]) -> Option<Encoding> {
        [("identity", Encoding::Identity), ("gzip", Encoding::Gzip), ("zstd", Encoding::Zstd)]
            .into_iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
            .map(|(_, encoding)| encoding)
    }
}

/// First buffer, and least growth, bytes.
const STEP_BYTES: usize = 64 << 10;
/// 2^23 bytes: RFC 9659, section 3.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Decompresses `input` to at most `max_bytes`.
///
/// # Errors
/// [`Refusal`] of class reject: `too_large` beyond the cap, `malformed` when the bytes are not of that encoding.
pub fn decompress(encoding: Encoding, input: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    decompress_within(encoding, input, max_bytes, &mut |_| Ok(()))
}

/// As [`decompress`]; `reserve` is asked before memory grows by a number of bytes.
pub(crate) fn decompress_within(
    encoding: Encoding,
    input: &[u8],
    max_bytes: usize,
    reserve: &mut dyn FnMut(usize) -> Result<(), Refusal>,
) -> Result<Vec<u8>, Refusal> {
    match encoding {
        Encoding::Identity => read_capped(input, max_bytes, reserve),
        Encoding::Gzip => read_capped(flate2::read::MultiGzDecoder::new(input), max_bytes, reserve),
        Encoding::Zstd => {
            #[expect(clippy::disallowed_types, reason = "this is the capped seam")]
            let decoder = zstd::Decoder::with_buffer(input).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            });
            read_capped(decoder.map_err(|error| malformed(&error))?, max_bytes, reserve)
        }
    }
}

fn read_capped(
    mut reader: impl Read,
    max_bytes: usize,
    reserve: &mut dyn FnMut(usize) -> Result<(), Refusal>,
) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    let mut filled = 0;
    loop {
        if filled == out.len() {
            if filled > max_bytes {
                return Err(too_large(max_bytes));
            }
            // One byte beyond the cap tells "exactly the cap" from "more".
            let grown = (filled * 2).max(STEP_BYTES).min(max_bytes + 1);
            reserve(grown - filled)?;
            out.resize(grown, 0);
        }
        match reader.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(malformed(&error)),
        }
    }
    if filled > max_bytes {
        return Err(too_large(max_bytes));
    }
    out.truncate(filled);
    Ok(out)
}

fn too_large(max_bytes: usize) -> Refusal {
    let message = format!("the request is larger than {max_bytes} bytes when decompressed: send smaller batches");
    Refusal::reject("too_large", message)
}

fn malformed(error: &std::io::Error) -> Refusal {
    Refusal::reject("malformed", format!("cannot decompress the request: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for size in [0, 1, STEP_BYTES, STEP_BYTES + 1, 1_000_000] {
            let bytes: Vec<u8> = (0..size).map(|i| ((i * i) >> 7) as u8).collect();
            for (encoding, packed) in
                [(Encoding::Gzip, gzip(&bytes)), (Encoding::Zstd, zstd(&bytes)), (Encoding::Identity, bytes.clone())]
            {
                assert_eq!(decompress(encoding, &packed, size).unwrap(), bytes, "{encoding:?} {size}");
                let twice = [&packed[..], &packed].concat();
                assert_eq!(decompress(encoding, &twice, 2 * size).unwrap().len(), 2 * size, "{encoding:?} members");
                if size > 0 {
                    let refusal = decompress(encoding, &packed, size - 1).unwrap_err();
                    assert_eq!(refusal.reason, "too_large", "{encoding:?} {size}");
                }
            }
        }
    }

    /// Scenario: 1 GiB of zeros in about 1 MB. Guarantees: refused after the cap, with no more memory than that.
    #[test]
    fn a_bomb_costs_no_more_than_the_cap() {
        let layer = gzip(&vec![0; 16 << 20]);
        let bombs = [(Encoding::Gzip, layer.repeat(64)), (Encoding::Zstd, zstd(&vec![0; 16 << 20]).repeat(64))];
        for (encoding, bomb) in bombs {
            assert!(bomb.len() < 2 << 20);
            let mut reserved = 0;
            let refusal = decompress_within(encoding, &bomb, 1 << 20, &mut |bytes| {
                reserved += bytes;
                Ok(())
            });
            assert_eq!(refusal.unwrap_err().reason, "too_large");
            assert!(reserved <= (1 << 20) + 1, "{encoding:?} reserved {reserved}");
        }
    }

    #[test]
    fn memory_is_asked_for_before_it_is_taken() {
        let full = || Err(Refusal::unavailable("memory", "no room", 1));
        let refusal = decompress_within(Encoding::Gzip, &gzip(&[7; 100]), 1 << 20, &mut |_| full()).unwrap_err();
        assert_eq!(refusal.reason, "memory");
    }

    #[test]
    fn broken_streams_are_malformed() {
        for (encoding, packed) in [(Encoding::Gzip, gzip(&[7; 5_000])), (Encoding::Zstd, zstd(&[7; 5_000]))] {
            for broken in [&b"garbage, not compressed at all"[..], &packed[..packed.len() - 1], &packed[..7]] {
                let refusal = decompress(encoding, broken, 1 << 20).unwrap_err();
                assert_eq!(refusal.reason, "malformed", "{encoding:?}");
            }
        }
        let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
        wide.window_log(27).unwrap();
        wide.write_all(&[7; 5_000]).unwrap();
        assert_eq!(decompress(Encoding::Zstd, &wide.finish().unwrap(), 1 << 20).unwrap_err().reason, "malformed");
    }
}
