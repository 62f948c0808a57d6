//! What a calling span says about its callee, for callees that send no spans themselves.

use daymark_trace::Kind;

/// Attributes that name a callee, most telling first.
const KEYS: [&str; 8] = [
    "peer.service",
    "messaging.destination.name",
    "db.system.name",
    "db.system",
    "messaging.system",
    "server.address",
    "net.peer.name",
    "network.peer.address",
];
/// Those of them that tell of a database.
const DATABASE_KEYS: std::ops::RangeInclusive<usize> = 2..=3;

/// The callee by attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Empty when no attribute names one.
    pub(crate) name: &'a str,
    /// It is a database.
    pub(crate) is_database: bool,
}

/// The callee of a span of `kind` with text attributes `attributes`.
pub(crate) fn target<'a>(kind: Kind, attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Target<'a> {
    let mut found = Target::default();
    if !kind.calls() {
        return found;
    }
    let mut best = KEYS.len();
    for (key, value) in attributes.filter(|(_, value)| !value.is_empty()) {
        // Most keys are told apart by their first byte.
        if !matches!(key.as_bytes().first(), Some(b'p' | b'm' | b'd' | b's' | b'n')) {
            continue;
        }
        let Some(rank) = KEYS.iter().position(|known| *known == key) else { continue };
        found.is_database |= DATABASE_KEYS.contains(&rank);
        if rank < best {
            best = rank;
            found.name = value;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_attribute_names_the_callee() {
        let attributes = [("server.address", "10.0.0.7"), ("db.system", "postgresql"), ("http.route", "/")];
        let of = |kind, n: usize| target(kind, attributes[..n].iter().copied());
        assert_eq!(of(Kind::Client, 3), Target { name: "postgresql", is_database: true });
        assert_eq!(of(Kind::Client, 1), Target { name: "10.0.0.7", is_database: false });
        assert_eq!(of(Kind::Client, 0), Target::default());
        assert_eq!(of(Kind::Server, 3), Target::default(), "a server calls nobody");
    }
}
