//! The series of one request: a map from (service, name, kind, status, window) to a sketch, without an allocation for
//! a value of a known series. Texts are copied once, into one arena that is reused from request to request.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::ops::Range;

use daymark_model::{DERIVED_WINDOW_NS, SpanId, TraceId, UnixNanos};
use daymark_sketch::Sketch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Overflow series of one request at most: one for each status and window, until there are this many.
const OVERFLOW_LIMIT: usize = 64;

/// OTLP's code for a failed span.
pub(crate) const STATUS_ERROR: u8 = 2;

/// One value to record.
pub(crate) struct Observation<'a> {
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    /// OTLP's span kind.
    pub(crate) kind: u8,
    /// OTLP's status code.
    pub(crate) status: u8,
    pub(crate) value_ns: u64,
    pub(crate) exemplar: Exemplar,
}

/// A span that shows what a value stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exemplar {
    /// When the work ended: decides the window.
    pub(crate) end: UnixNanos,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) span_id: Option<SpanId>,
}

/// A series of the request.
pub(crate) struct Series {
    service: Range<usize>,
    name: Range<usize>,
    pub(crate) kind: u8,
    pub(crate) status: u8,
    /// Start of the window.
    pub(crate) window: UnixNanos,
    /// Whether this is where values go beyond the cap.
    pub(crate) overflow: bool,
    pub(crate) sketch: Sketch,
    /// Largest value, and whose it is.
    pub(crate) slowest: (u64, Exemplar),
}

/// All series of one request.
pub(crate) struct SeriesMap {
    /// Where in `series` the key with this hash is; a key whose hash is taken looks at the next number.
    places: HashMap<u64, u32, BuildHasherDefault<IsHash>>,
    series: Vec<Series>,
    texts: String,
    overflow: Vec<usize>,
    max_series: usize,
    /// Keeps senders from choosing names whose hashes collide.
    seed: u64,
}

impl SeriesMap {
    pub(crate) fn new(max_series: usize) -> SeriesMap {
        SeriesMap {
            places: HashMap::default(),
            series: Vec::new(),
            texts: String::new(),
            overflow: Vec::new(),
            max_series,
            seed: RandomState::new().build_hasher().finish(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Bytes of all names.
    pub(crate) fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn all(&self) -> &[Series] {
        &self.series
    }

    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.series.clear();
        self.texts.clear();
        self.overflow.clear();
    }

    /// Adds one value to its series.
    pub(crate) fn record(&mut self, seen: &Observation<'_>) {
        let at = self.place(seen);
        let series = &mut self.series[at];
        series.sketch.record(seen.value_ns);
        if seen.value_ns > series.slowest.0 {
            series.slowest = (seen.value_ns, seen.exemplar);
        }
    }

    /// Series in a fixed order: services together, equal requests alike. Ends the recording.
    pub(crate) fn sorted(&mut self) -> (&[Series], &str) {
        let texts = self.texts.as_str();
        self.series.sort_unstable_by(|a, b| {
            let key = |it: &Series| (it.overflow, it.kind, it.status, it.window);
            let by_text = a.service(texts).cmp(b.service(texts)).then_with(|| a.name(texts).cmp(b.name(texts)));
            by_text.then_with(|| key(a).cmp(&key(b)))
        });
        (&self.series, texts)
    }

    fn place(&mut self, seen: &Observation<'_>) -> usize {
        let window = seen.exemplar.end.window(DERIVED_WINDOW_NS);
        let mut hash = self.hash(seen, window);
        while let Some(&at) = self.places.get(&hash) {
            let series = &self.series[at as usize];
            if series.is(seen, window, &self.texts) {
                return at as usize;
            }
            hash = hash.wrapping_add(1);
        }
        if self.series.len() - self.overflow.len() >= self.max_series {
            return self.overflow_place(seen, window);
        }
        self.places.insert(hash, self.series.len() as u32);
        self.add(seen, window, false)
    }

    fn overflow_place(&mut self, seen: &Observation<'_>, window: UnixNanos) -> usize {
        let of_status = |at: &&usize| self.series[**at].status == seen.status;
        let mut known = self.overflow.iter().filter(of_status);
        if let Some(&at) = known.clone().find(|at| self.series[**at].window == window) {
            return at;
        }
        if self.overflow.len() >= OVERFLOW_LIMIT
            && let Some(&at) = known.next_back()
        {
            return at;
        }
        let overflow = Observation { service: OVERFLOW_SERVICE, name: "", kind: 0, ..*seen };
        let at = self.add(&overflow, window, true);
        self.overflow.push(at);
        at
    }

    fn add(&mut self, seen: &Observation<'_>, window: UnixNanos, overflow: bool) -> usize {
        let service = match self.series.last() {
            Some(last) if last.service(&self.texts) == seen.service => last.service.clone(),
            _ => push(&mut self.texts, seen.service),
        };
        let name = push(&mut self.texts, seen.name);
        self.series.push(Series {
            service,
            name,
            kind: seen.kind,
            status: seen.status,
            window,
            overflow,
            sketch: Sketch::new(),
            slowest: (seen.value_ns, seen.exemplar),
        });
        self.series.len() - 1
    }

    /// Two hashes of short texts in one go each: the streaming hasher would cost more to set up than to run.
    fn hash(&self, seen: &Observation<'_>, window: UnixNanos) -> u64 {
        let service = xxh3_64_with_seed(seen.service.as_bytes(), self.seed);
        let numbers = window.0.wrapping_mul(31) ^ u64::from(seen.kind) << 8 ^ u64::from(seen.status);
        xxh3_64_with_seed(seen.name.as_bytes(), service.rotate_left(17) ^ numbers)
    }
}

/// `service.name` of the overflow series.
pub(crate) const OVERFLOW_SERVICE: &str = "otel.metric.overflow";

impl Series {
    pub(crate) fn service<'t>(&self, texts: &'t str) -> &'t str {
        &texts[self.service.clone()]
    }

    pub(crate) fn name<'t>(&self, texts: &'t str) -> &'t str {
        &texts[self.name.clone()]
    }

    fn is(&self, seen: &Observation<'_>, window: UnixNanos, texts: &str) -> bool {
        (self.kind, self.status, self.window) == (seen.kind, seen.status, window)
            && self.name(texts) == seen.name
            && self.service(texts) == seen.service
    }
}

fn push(texts: &mut String, text: &str) -> Range<usize> {
    let start = texts.len();
    texts.push_str(text);
    start..texts.len()
}

/// The keys are hashes already.
#[derive(Default)]
struct IsHash(u64);

impl Hasher for IsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys are u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
