//! What an agent derived from the items of a batch: counts and durations by series, in few bytes
//! (`docs/formats/batch.md`, ADR 0004).
//!
//! ```text
//! version u8 = 1 · source u8 (1 spans, 2 events) · first window, in units of DERIVED_WINDOW_NS
//! for each service:  length · name · number of series
//!   for each series: length · name · flags u8 · windows after the first · length · distribution · [exemplar]
//! flags: kind (bits 0-2) · status (3-4) · overflow (5) · exemplar (6)
//! exemplar: end u64 LE · trace id 16 (zeros: none) · span id 8 (zeros: none) · value
//! ```
//!
//! Integers without a width are protobuf varints. A distribution is a `daymark_sketch::Sketch` in its compact form; this
//! crate does not look inside.
//!
//! Invariants:
//! - reading allocates nothing and never reads beyond the bytes;
//! - a kind, status, version or flag that is not known is malformed, not skipped: a series would lose its name.

use daymark_model::{DERIVED_WINDOW_NS, SpanId, TraceId, UnixNanos};

use crate::decode::varint;
use crate::proto::put_varint;
use crate::text::text_of;
use crate::{DecodeError, Problem};

const VERSION: u8 = 1;
const KIND: u8 = 0b111;
const MAX_KIND: u8 = 5;
const STATUS_SHIFT: u8 = 3;
const MAX_STATUS: u8 = 2;
const OVERFLOW: u8 = 1 << 5;
const EXEMPLAR: u8 = 1 << 6;

/// What the series were derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerivedSource {
    /// Durations of spans.
    Spans,
    /// Durations of events.
    Events,
}

/// One series of one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DerivedView<'a> {
    /// What it was derived from: decides the metric.
    pub source: DerivedSource,
    /// `service.name`.
    pub service: &'a str,
    /// `span.name` or `event.name`.
    pub name: &'a str,
    /// OTLP's span kind.
    pub kind: u8,
    /// OTLP's status code.
    pub status: u8,
    /// Takes the values of many series, beyond the agent's cap.
    pub overflow: bool,
    /// Start of the window of [`DERIVED_WINDOW_NS`].
    pub window: UnixNanos,
    /// The durations, ns: `Sketch::decode_compact` reads them.
    pub distribution: &'a [u8],
    /// The item of the largest value, when it is shown.
    pub exemplar: Option<DerivedExemplar>,
}

/// The item that a value stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivedExemplar {
    /// When it ended.
    pub end: UnixNanos,
    /// Its trace.
    pub trace_id: Option<TraceId>,
    /// Its span.
    pub span_id: Option<SpanId>,
    /// Its duration, ns.
    pub value_ns: u64,
}

/// Writes the derived series of a batch, those of a service one after another.
pub struct DerivedWriter {
    out: Vec<u8>,
    first: u64,
}

impl DerivedWriter {
    /// `first` is the earliest window, `capacity` the bytes that will be written, about.
    pub fn new(source: DerivedSource, first: UnixNanos, capacity: usize) -> DerivedWriter {
        let mut out = Vec::with_capacity(capacity);
        out.extend([VERSION, if source == DerivedSource::Spans { 1 } else { 2 }]);
        let first = first.0 / DERIVED_WINDOW_NS;
        put_varint(&mut out, first);
        DerivedWriter { out, first }
    }

    /// Begins a service with `series` series.
    pub fn service(&mut self, name: &str, series: usize) {
        self.text(name);
        put_varint(&mut self.out, series as u64);
    }

    /// Adds a series; `view.service` and `view.distribution` are not looked at. `distribution` appends the bytes.
    pub fn series(&mut self, view: &DerivedView<'_>, distribution: impl FnOnce(&mut Vec<u8>)) {
        self.text(view.name);
        let mut flags = view.kind.min(MAX_KIND) | view.status.min(MAX_STATUS) << STATUS_SHIFT;
        flags |= if view.overflow { OVERFLOW } else { 0 } | if view.exemplar.is_some() { EXEMPLAR } else { 0 };
        self.out.push(flags);
        put_varint(&mut self.out, (view.window.0 / DERIVED_WINDOW_NS).saturating_sub(self.first));
        let start = self.out.len();
        distribution(&mut self.out);
        let end = self.out.len();
        put_varint(&mut self.out, (end - start) as u64);
        let prefix = self.out.len() - end;
        self.out[start..].rotate_right(prefix);
        if let Some(exemplar) = view.exemplar {
            self.out.extend_from_slice(&exemplar.end.0.to_le_bytes());
            self.out.extend_from_slice(&exemplar.trace_id.map_or([0; 16], |id| id.0));
            self.out.extend_from_slice(&exemplar.span_id.map_or([0; 8], |id| id.0));
            put_varint(&mut self.out, exemplar.value_ns);
        }
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn text(&mut self, text: &str) {
        put_varint(&mut self.out, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// Shows every series to `visit`; returns how many there were.
///
/// # Errors
/// [`DecodeError`] at `derived` when the bytes are not what [`DerivedWriter`] writes; series before it have been shown.
pub fn walk_derived<'a>(bytes: &'a [u8], mut visit: impl FnMut(&DerivedView<'a>)) -> Result<u64, DecodeError> {
    let mut read = Reader { bytes, at: 0 };
    if read.byte()? != VERSION {
        return Err(derived_fault(0, Problem::Derived("unknown version: upgrade the collector before the agents")));
    }
    let source = match read.byte()? {
        1 => DerivedSource::Spans,
        2 => DerivedSource::Events,
        _ => return Err(derived_fault(1, Problem::Derived("unknown source"))),
    };
    let first = read.varint()?;
    let mut seen = 0;
    while read.at < bytes.len() {
        let service = read.text()?;
        for _ in 0..read.varint()? {
            let view = read.series(source, service, first)?;
            visit(&view);
            seen += 1;
        }
    }
    Ok(seen)
}

/// What is wrong with the derived part of a batch, `position` bytes into it.
pub fn derived_fault(position: usize, problem: Problem) -> DecodeError {
    DecodeError { path: "derived".into(), position, problem }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn fault<T>(&self, problem: Problem) -> Result<T, DecodeError> {
        Err(derived_fault(self.at, problem))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let left = &self.bytes[self.at..];
        let Some(taken) = usize::try_from(len).ok().and_then(|len| left.get(..len)) else {
            return self.fault(Problem::Truncated);
        };
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut left = &self.bytes[self.at..];
        let value = varint(&mut left).or_else(|problem| self.fault(problem))?;
        self.at = self.bytes.len() - left.len();
        Ok(value)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.varint()?;
        let bytes = self.take(len)?;
        text_of(bytes).or_else(|_| self.fault(Problem::Utf8))
    }

    fn series(&mut self, source: DerivedSource, service: &'a str, first: u64) -> Result<DerivedView<'a>, DecodeError> {
        let name = self.text()?;
        let flags = self.byte()?;
        let (kind, status) = (flags & KIND, flags >> STATUS_SHIFT & 0b11);
        if kind > MAX_KIND || status > MAX_STATUS || flags & 0x80 != 0 {
            return self.fault(Problem::Derived("unknown kind, status or flag"));
        }
        let windows = first.checked_add(self.varint()?).and_then(|window| window.checked_mul(DERIVED_WINDOW_NS));
        let Some(window) = windows else { return self.fault(Problem::Derived("a window is beyond the end of time")) };
        let len = self.varint()?;
        let distribution = self.take(len)?;
        let exemplar = if flags & EXEMPLAR == 0 { None } else { Some(self.exemplar()?) };
        let (overflow, window) = (flags & OVERFLOW != 0, UnixNanos(window));
        Ok(DerivedView { source, service, name, kind, status, overflow, window, distribution, exemplar })
    }

    fn exemplar(&mut self) -> Result<DerivedExemplar, DecodeError> {
        let end = UnixNanos(u64::from_le_bytes(self.array()?));
        let (trace_id, span_id) = (self.array::<16>()?, self.array::<8>()?);
        Ok(DerivedExemplar {
            end,
            trace_id: (trace_id != [0; 16]).then_some(TraceId(trace_id)),
            span_id: (span_id != [0; 8]).then_some(SpanId(span_id)),
            value_ns: self.varint()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct One {
        service: String,
        name: String,
        kind: u8,
        status: u8,
        overflow: bool,
        window: u64,
        distribution: Vec<u8>,
        exemplar: Option<DerivedExemplar>,
    }

    fn any_one() -> impl Strategy<Value = One> {
        let exemplar = (any::<u64>(), any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u64>()).prop_map(
            |(end, trace_id, span_id, value_ns)| DerivedExemplar {
                end: UnixNanos(end),
                trace_id: (trace_id != [0; 16]).then_some(TraceId(trace_id)),
                span_id: (span_id != [0; 8]).then_some(SpanId(span_id)),
                value_ns,
            },
        );
        let texts = ("[a-c]{0,2}", ".{0,8}");
        let rest = (any::<bool>(), 0..1_000_u64, prop::collection::vec(any::<u8>(), 0..20), prop::option::of(exemplar));
        (texts, 0..=5_u8, 0..=2_u8, rest).prop_map(
            |((service, name), kind, status, (overflow, window, distribution, exemplar))| One {
                service,
                name,
                kind,
                status,
                overflow,
                window,
                distribution,
                exemplar,
            },
        )
    }

    fn view(one: &One) -> DerivedView<'_> {
        DerivedView {
            source: DerivedSource::Spans,
            service: &one.service,
            name: &one.name,
            kind: one.kind,
            status: one.status,
            overflow: one.overflow,
            window: UnixNanos(one.window * DERIVED_WINDOW_NS),
            distribution: &one.distribution,
            exemplar: one.exemplar,
        }
    }

    fn written(all: &[One]) -> Vec<u8> {
        let first = all.iter().map(|one| one.window).min().unwrap_or(0);
        let mut writer = DerivedWriter::new(DerivedSource::Spans, UnixNanos(first * DERIVED_WINDOW_NS), 64);
        for of_service in all.chunk_by(|a, b| a.service == b.service) {
            writer.service(&of_service[0].service, of_service.len());
            of_service.iter().for_each(|one| writer.series(&view(one), |out| out.extend_from_slice(&one.distribution)));
        }
        writer.into_bytes()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in prop::collection::vec(any_one(), 0..20)) {
            let bytes = written(&all);
            let mut at = 0;
            let seen = walk_derived(&bytes, |read| {
                assert_eq!(*read, view(&all[at]));
                at += 1;
            });
            prop_assert_eq!(seen, Ok(all.len() as u64));
        }

        #[test]
        fn damage_is_an_error_or_other_series_and_never_a_panic(
            all in prop::collection::vec(any_one(), 1..6), at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index,
        ) {
            let mut bytes = written(&all);
            let _ = walk_derived(&bytes[..cut.index(bytes.len())], |_| {});
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let _ = walk_derived(&bytes, |_| {});
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = walk_derived(&bytes, |_| {});
        }
    }

    #[test]
    fn what_a_later_version_says_is_not_guessed_at() {
        let problem = |bytes: &[u8]| walk_derived(bytes, |_| {}).unwrap_err().problem.to_string();
        assert!(problem(&[2, 1, 0]).contains("upgrade the collector"));
        assert_eq!(problem(&[1, 3, 0]), "unknown source");
        assert_eq!(problem(&[1, 1, 0, 0, 1, 0, 0x80, 0, 0]), "unknown kind, status or flag");
        assert_eq!(problem(&[1, 1, 0, 0, 1, 0, 6, 0, 0]), "unknown kind, status or flag");
        assert_eq!(problem(&[1, 1, 0, 0, 200, 1]), "the bytes end inside a field");
    }
}
