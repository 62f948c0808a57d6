//! Plain JSON work-unit events (`POST /v1/events`) to OTLP log records, without an object tree.
//!
//! An event is an object; a request has one, an array of them, or one after the other (NDJSON):
//!
//! ```json
//! {"name": "order.placed", "service": "shop", "time": "2026-01-02T03:04:05.678Z", "duration_ms": 12.5,
//!  "status": "ok", "trace_id": "…", "span_id": "…", "correlation_id": "r-17", "severity": "info",
//!  "message": "order placed", "order": {"items": 3, "total": 99.5}}
//! ```
//!
//! | key | becomes |
//! |---|---|
//! | `name` (required) | `event_name`, and the body when there is no `message` |
//! | `service` | resource attribute `service.name`; else `unknown_service` |
//! | `time`: RFC 3339, or Unix seconds, milliseconds, microseconds or nanoseconds | time; else the time of arrival |
//! | `duration_ms` | attribute `duration_ms` (double) |
//! | `status`: `ok`, `error`, `unset`; `error`: true, a text, or an object | attribute `status.code`, `error.*` |
//! | `trace_id`, `span_id` | trace context |
//! | `correlation_id`: text or number | attribute `correlation_id` |
//! | `severity`: a name or 1 to 24 | severity; else `ERROR` for errors and `INFO` |
//! | `message` | body |
//! | any other | attribute; objects become keys with dots, `null` is left out |
//!
//! Invariants: a key above with a value of another type, and a key that occurs twice, is an error that names event and
//! key, never a guess; a request with such an event is refused as a whole, so that it can be mended and sent again
//! without doubling the others; what is written stays below a cap. For users: `docs/formats/events.md`.

mod attribute;
mod event;
mod scalar;

use std::collections::HashMap;

use daymark_model::{Refusal, UnixNanos};
use event::EventReader;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::decode::{LogView, Value};
use crate::{json, proto};

/// Attribute of a log record that holds an event's duration, milliseconds (double).
pub const DURATION_ATTRIBUTE: &str = "duration_ms";
/// Attribute of a log record that holds an event's outcome: `ok` or `error`.
pub const STATUS_ATTRIBUTE: &str = "status.code";
/// Attribute of a log record that holds an event's correlation id.
pub const CORRELATION_ATTRIBUTE: &str = "correlation_id";
/// Name of the scope of log records made from events.
pub const SCOPE_NAME: &str = "daymark.events";

/// Events as an `ExportLogsServiceRequest`.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// Protobuf bytes of the `ExportLogsServiceRequest`.
    pub request: Vec<u8>,
    /// Number of events.
    pub count: u64,
    /// False when an event came without a time of its own: then two equal requests are two happenings, and the
    /// bytes must not be used to recognise a retry.
    pub timed: bool,
}

/// Turns the body of `POST /v1/events` into OTLP log records of at most `max_bytes`.
///
/// # Errors
/// [`Refusal`] of class reject: `malformed`, naming each wrong event and its key, or `too_large`.
pub fn to_protobuf(body: &[u8], now: UnixNanos, max_bytes: usize) -> Result<Events, Refusal> {
    let mut records = Records::new(now, max_bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    loop {
        match (&mut records).deserialize(&mut deserializer) {
            Ok(()) if deserializer.end().is_ok() => return records.finish(),
            Ok(()) => {}
            Err(_) if records.overflow => return Err(json::too_large(max_bytes)),
            Err(error) => return Err(Refusal::reject("malformed", format!("cannot read the events: {error}"))),
        }
    }
}

/// Duration of the work unit that `log` describes, nanoseconds, if it is an event with one.
pub fn duration_ns(log: &LogView<'_, '_>) -> Option<u64> {
    if log.event_name.is_empty() {
        return None;
    }
    let millis = match log.attributes.get(DURATION_ATTRIBUTE)? {
        Value::Double(millis) => millis,
        Value::Int(millis) => millis as f64,
        _ => return None,
    };
    let nanos = (millis * 1e6).round();
    (nanos.is_finite() && nanos >= 0.0).then_some(nanos as u64)
}

/// Outcome of the work unit that `log` describes: `ok`, `error` or `unset`.
pub fn status(log: &LogView<'_, '_>) -> &'static str {
    match log.attributes.get(STATUS_ATTRIBUTE).and_then(|status| status.as_str()) {
        Some("ok") => "ok",
        Some("error") => "error",
        _ => "unset",
    }
}

/// Log records so far, by service.
struct Records {
    now: UnixNanos,
    max_bytes: usize,
    services: Vec<(String, Vec<u8>)>,
    index: HashMap<String, usize>,
    reader: EventReader,
    bytes: usize,
    count: u64,
    timed: bool,
    overflow: bool,
    /// Events that are wrong, and what is told of the first ones.
    wrong_count: u64,
    wrong: Vec<String>,
}

/// Wrong events that are told of in one answer.
const MAX_TOLD: usize = 5;

impl Records {
    fn new(now: UnixNanos, max_bytes: usize) -> Records {
        Records {
            now,
            max_bytes,
            services: Vec::new(),
            index: HashMap::new(),
            reader: EventReader::new(max_bytes),
            bytes: 0,
            count: 0,
            timed: true,
            overflow: false,
            wrong_count: 0,
            wrong: Vec::new(),
        }
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error> {
        self.count += 1;
        let event = self.reader.read(map);
        self.overflow |= self.reader.overflow;
        let event = match event.map_err(|error| A::Error::custom(format!("event {}: {error}", self.count)))? {
            Ok(event) => event,
            Err(wrong) => {
                self.note_wrong(&wrong);
                return Ok(());
            }
        };
        self.timed &= event.time.is_some();
        let place = match self.index.get(event.service()) {
            Some(place) => *place,
            None => {
                self.index.insert(event.service().to_owned(), self.services.len());
                self.services.push((event.service().to_owned(), Vec::new()));
                self.services.len() - 1
            }
        };
        let records = &mut self.services[place].1;
        let before = records.len();
        event.write(records, self.now, self.reader.attributes());
        self.bytes += records.len() - before;
        self.overflow |= self.bytes > self.max_bytes;
        if self.overflow { Err(A::Error::custom("too large")) } else { Ok(()) }
    }

    fn note_wrong(&mut self, wrong: &str) {
        self.wrong_count += 1;
        if self.wrong.len() < MAX_TOLD {
            self.wrong.push(format!("event {}: {wrong}", self.count));
        }
    }

    fn finish(self) -> Result<Events, Refusal> {
        if self.wrong_count > 0 {
            let more = self.wrong_count - self.wrong.len() as u64;
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let (wrong, count, told) = (self.wrong_count, self.count, self.wrong.join("; "));
            let message = format!("{wrong} of {count} events cannot be read, none was taken: {told}{more}");
            return Err(Refusal::reject("malformed", message));
        }
        let mut request = Vec::with_capacity(self.bytes + 64 * self.services.len());
        for (service, records) in &self.services {
            let resource_logs = proto::open(&mut request, 1);
            let resource = proto::open(&mut request, 1);
            attribute::put_text(&mut request, 1, "service.name", service);
            proto::close(&mut request, resource);
            let scope_logs = proto::open(&mut request, 2);
            let scope = proto::open(&mut request, 1);
            proto::put_bytes(&mut request, 1, SCOPE_NAME.as_bytes());
            proto::close(&mut request, scope);
            request.extend_from_slice(records);
            proto::close(&mut request, scope_logs);
            proto::close(&mut request, resource_logs);
        }
        if request.len() > self.max_bytes {
            return Err(json::too_large(self.max_bytes));
        }
        Ok(Events { request, count: self.count, timed: self.timed })
    }
}

impl<'de> DeserializeSeed<'de> for &mut Records {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Records {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "event {}: an event (a JSON object)", self.count + 1)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.read(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(OneEvent(&mut *self))?.is_some() {}
        Ok(())
    }
}

/// An element of an array of events.
struct OneEvent<'r>(&'r mut Records);

impl<'de> DeserializeSeed<'de> for OneEvent<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneEvent<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "event {}: an event (a JSON object)", self.0.count + 1)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.read(map)
    }
}

#[cfg(test)]
mod tests;
