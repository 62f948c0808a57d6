//! Packed lists of numbers.

/// The numbers of a packed fixed64 or double list.
pub(super) fn fixed64s(bytes: &[u8]) -> impl ExactSizeIterator<Item = u64> + use<'_> {
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|number| u64::from_le_bytes(*number))
}

/// The numbers of a packed varint list; ends at the first byte that is not one.
pub(super) fn varints(bytes: &[u8]) -> impl Iterator<Item = u64> + use<'_> {
    let mut rest = bytes;
    std::iter::from_fn(move || super::wire::varint(&mut rest).ok())
}
