//! Protobuf writing: keys, varints and nested messages into one buffer.
//!
//! Used for the batch, for JSON turned into protobuf and for answers. A nested message is written after its key and
//! closed with [`close`], which puts the length in front of it.

/// Appends a variable-length integer.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, value);
}

/// Appends a 64-bit field of fixed width.
pub(crate) fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a 32-bit field of fixed width.
pub(crate) fn put_fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    put_varint(out, u64::from(field) << 3 | 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends bytes, a string or a finished message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Begins a nested message; returns where it begins, for [`close`].
pub(crate) fn open(out: &mut Vec<u8>, field: u32) -> usize {
    put_varint(out, u64::from(field) << 3 | 2);
    out.len()
}

/// Ends the nested message that begins at `start`.
pub(crate) fn close(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    let end = out.len();
    put_varint(out, length as u64);
    let prefix = out.len() - end;
    out[start..].rotate_right(prefix);
}
