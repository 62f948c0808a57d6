//! [`Span`]: what stitching needs of a span, in 40 bytes.

/// Latest time and longest duration that are told apart, nanoseconds (year 2116): sums of two fit an `i64`.
pub(crate) const MAX_NS: u64 = i64::MAX as u64 / 2;

/// Role of a span in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Kind {
    /// Not told, or not known.
    #[default]
    Unspecified,
    /// Inside one service.
    Internal,
    /// Takes a synchronous call.
    Server,
    /// Makes a synchronous call.
    Client,
    /// Sends a message.
    Producer,
    /// Takes a message.
    Consumer,
}

impl Kind {
    /// From OTLP's number.
    pub fn from_otlp(kind: u8) -> Kind {
        match kind {
            1 => Kind::Internal,
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Unspecified,
        }
    }

    /// From the name in the `spans` table.
    pub fn parse(name: &str) -> Kind {
        match name {
            "internal" => Kind::Internal,
            "server" => Kind::Server,
            "client" => Kind::Client,
            "producer" => Kind::Producer,
            "consumer" => Kind::Consumer,
            _ => Kind::Unspecified,
        }
    }

    /// Calls something: client or producer.
    pub fn calls(self) -> bool {
        matches!(self, Kind::Client | Kind::Producer)
    }

    /// Is called: server or consumer.
    pub fn is_called(self) -> bool {
        matches!(self, Kind::Server | Kind::Consumer)
    }
}

/// A span. Ids are those of the wire as big-endian numbers; `clock`, `service` and `peer` are the caller's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// Unique in the trace.
    pub id: u64,
    /// The span that caused it; 0 for a root.
    pub parent: u64,
    /// Start by the sender's clock, Unix nanoseconds.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// Whose clock timed it: equal numbers, same clock. See [`crate::clock_of`].
    pub clock: u16,
    /// Service.
    pub service: u16,
    /// Name of what it calls, for callees that send no spans; 0 when it has none.
    pub peer: u16,
    /// Role in a call.
    pub kind: Kind,
    /// Bits: [`Span::ERROR`] and what the caller needs.
    pub marks: u8,
}

impl Span {
    /// The status is an error.
    pub const ERROR: u8 = 1;
    /// First bit that is free for the caller.
    pub const FREE_MARK: u8 = 2;

    /// Whether its status is an error.
    pub fn is_error(&self) -> bool {
        self.marks & Span::ERROR != 0
    }

    pub(crate) fn start_ns(&self) -> i64 {
        self.start.min(MAX_NS) as i64
    }

    pub(crate) fn duration_ns(&self) -> i64 {
        self.duration.min(MAX_NS) as i64
    }
}

const _: () = assert!(size_of::<Span>() == 40, "stitching keeps one for every span of every open trace");
