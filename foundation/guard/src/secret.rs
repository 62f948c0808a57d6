//! Secrets made at start: keys that nobody has to configure.

use rand::Rng;

/// A fresh key of 32 hex digits from the operating system's random source.
#[expect(clippy::disallowed_methods, reason = "the randomness seam itself")]
pub fn random_key() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}
