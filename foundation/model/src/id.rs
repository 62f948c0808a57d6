//! Identifiers. Shown as lower-case hex, parsed in either case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an id of the expected length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hex digits, got {got:?}")]
pub struct InvalidId {
    /// Number of hex digits expected.
    pub expected: usize,
    /// What came instead, cut to 80 characters.
    pub got: String,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Reads the id from exactly its number of bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<$name> {
                <[u8; $len]>::try_from(bytes).ok().map($name)
            }

            /// All bytes zero, which OTLP treats as "no id".
            pub fn is_zero(&self) -> bool {
                self.0 == [0; $len]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<$name, InvalidId> {
                let invalid = || InvalidId { expected: $len * 2, got: text.chars().take(80).collect() };
                if text.len() != $len * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(invalid());
                }
                let mut bytes = [0; $len];
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| invalid())?;
                }
                Ok($name(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// W3C trace id, 16 bytes.
    TraceId, 16
);
hex_id!(
    /// W3C span id, 8 bytes.
    SpanId, 8
);
hex_id!(
    /// Identity of one agent installation, 16 random bytes kept in its data directory.
    AgentId, 16
);

/// Sequence number of a frame in the ingest log. The first frame is 1; 0 means "nothing yet".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogOffset(pub u64);

impl LogOffset {
    /// The offset after this one.
    pub fn next(self) -> LogOffset {
        LogOffset(self.0 + 1)
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Marks one batch of one agent, so that a repeated batch is recognised (design G2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Which agent.
    pub agent: AgentId,
    /// Which run of that agent; grows with each start.
    pub epoch: u64,
    /// Which batch of that run, per collector, from 1.
    pub sequence: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_as_lower_case_hex() {
        let id: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        assert_eq!(id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!("0AF7651916CD43DD8448EB211C80319C".parse::<TraceId>().unwrap(), id);
        assert!("0af7".parse::<TraceId>().is_err());
        assert!("zz".repeat(16).parse::<TraceId>().is_err());
        assert!("+f".repeat(16).parse::<TraceId>().is_err(), "a sign is not a digit");
        assert!("ü".repeat(8).parse::<SpanId>().is_err());
    }
}
