//! One event: its known keys, and the log record made of them.

use std::borrow::Cow;

use chrono::DateTime;
use daymark_model::{SpanId, TraceId, UnixNanos};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::attribute::{ATTRIBUTES, Attributes, Flatten, put_double, put_text};
use super::scalar::Scalar;
use super::{CORRELATION_ATTRIBUTE, DURATION_ATTRIBUTE, STATUS_ATTRIBUTE};
use crate::proto;

/// The known keys of one event.
#[derive(Default)]
pub(super) struct Event {
    name: String,
    service: String,
    pub(super) time: Option<UnixNanos>,
    duration_ms: Option<f64>,
    status: Option<&'static str>,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    correlation_id: Option<String>,
    severity: Option<(u8, String)>,
    message: Option<String>,
}

/// Reads events one after the other; the attributes are those of the last.
pub(super) struct EventReader {
    attributes: Attributes,
    key: String,
    pub(super) overflow: bool,
}

impl EventReader {
    pub(super) fn new(max_bytes: usize) -> EventReader {
        EventReader { attributes: Attributes::new(max_bytes), key: String::new(), overflow: false }
    }

    /// Attributes of the event that was read last, as fields of a `LogRecord`.
    pub(super) fn attributes(&self) -> &[u8] {
        &self.attributes.out
    }

    /// The event, or what is wrong with it. The error outside is of the JSON, which cannot be read any further.
    pub(super) fn read<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<Result<Event, String>, A::Error> {
        self.attributes.out.clear();
        self.attributes.keys.clear();
        let event = self.read_keys(map);
        self.overflow = self.attributes.overflow;
        event
    }

    /// Reads to the end of the event also when a key is wrong, so that the next event can be read.
    fn read_keys<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<Result<Event, String>, A::Error> {
        let mut event = Event::default();
        let mut wrong = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if !Event::is_known(&key) {
                self.key.clear();
                self.key.push_str(&key);
                let (attributes, prefix) = (&mut self.attributes, &mut self.key);
                if key != "error" {
                    map.next_value_seed(Flatten { attributes, key: prefix })?;
                } else if map.next_value_seed(ErrorValue { attributes, key: prefix })? {
                    event.status = Some("error");
                }
                continue;
            }
            match map.next_value::<Scalar>()? {
                Scalar::Null => {}
                value => {
                    self.attributes.keys.add(&key);
                    let set = event.set(&key, &value);
                    let told = set.map_err(|expected| format!("{key}: expected {expected}, got {value}"));
                    wrong = wrong.or(told.err());
                }
            }
        }
        let twice = self.attributes.keys.twice();
        let wrong = wrong.or_else(|| twice.map(|key| format!("the key {:?} occurs twice", shown(key))));
        let is_nameless = event.name.is_empty();
        let wrong = wrong.or_else(|| is_nameless.then(|| "the key \"name\" is missing: what happened?".to_owned()));
        Ok(wrong.map_or(Ok(event), Err))
    }
}

/// The value of `error`: true when the event failed. Texts and objects say more about it, in attributes.
struct ErrorValue<'a> {
    attributes: &'a mut Attributes,
    key: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for ErrorValue<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ErrorValue<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("error: true, false, a text or an object")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, failed: bool) -> Result<bool, E> {
        Ok(failed)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        self.attributes.keys.add("error.message");
        put_text(&mut self.attributes.out, ATTRIBUTES, "error.message", text);
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        Flatten { attributes: self.attributes, key: self.key }.visit_map(map).map(|()| true)
    }
}

impl Event {
    fn is_known(key: &str) -> bool {
        matches!(
            key,
            "name"
                | "service"
                | "time"
                | "duration_ms"
                | "status"
                | "status.code"
                | "trace_id"
                | "span_id"
                | "correlation_id"
                | "severity"
                | "message"
        )
    }

    /// Takes the value of a known key, or says what was expected.
    fn set(&mut self, key: &str, value: &Scalar) -> Result<(), &'static str> {
        let text = |expected| if let Scalar::Text(text) = value { Ok(text.clone()) } else { Err(expected) };
        match key {
            "name" => self.name = text("a text")?,
            "service" => self.service = text("a text")?,
            "message" => self.message = Some(text("a text")?),
            "time" => self.time = Some(time(value).ok_or(TIME_EXPECTED)?),
            "duration_ms" => self.duration_ms = Some(duration_ms(value).ok_or("a number of milliseconds, 0 or more")?),
            "trace_id" => {
                let id = text("32 hex digits")?.parse().ok().filter(|id: &TraceId| !id.is_zero());
                self.trace_id = Some(id.ok_or("32 hex digits, not all zero")?);
            }
            "span_id" => {
                let id = text("16 hex digits")?.parse().ok().filter(|id: &SpanId| !id.is_zero());
                self.span_id = Some(id.ok_or("16 hex digits, not all zero")?);
            }
            "correlation_id" => match value {
                Scalar::Text(_) | Scalar::Int(_) => {
                    let text = if let Scalar::Text(text) = value { text.clone() } else { value.to_string() };
                    self.correlation_id = Some(text);
                }
                _ => return Err("a text or an integer"),
            },
            "severity" => {
                self.severity = Some(severity(value).ok_or("trace, debug, info, warn, error, fatal or 1 to 24")?)
            }
            _ => {
                let status = text("\"ok\", \"error\" or \"unset\"")?;
                match status.to_ascii_lowercase().as_str() {
                    "ok" => _ = self.status.get_or_insert("ok"),
                    "error" => self.status = Some("error"),
                    "unset" => {}
                    _ => return Err("\"ok\", \"error\" or \"unset\""),
                }
            }
        }
        Ok(())
    }

    /// Appends the event as a `ScopeLogs.log_records` entry.
    pub(super) fn write(&self, out: &mut Vec<u8>, now: UnixNanos, attributes: &[u8]) {
        let record = proto::open(out, 2);
        proto::put_fixed64(out, 1, self.time.unwrap_or(now).0);
        proto::put_fixed64(out, 11, now.0);
        let by_status = if self.status == Some("error") { (17, "ERROR") } else { (9, "INFO") };
        let (number, text) = self.severity.as_ref().map_or(by_status, |(number, text)| (*number, text.as_str()));
        proto::put_number(out, 2, number.into());
        proto::put_bytes(out, 3, text.as_bytes());
        let body = proto::open(out, 5);
        proto::put_bytes(out, 1, self.message.as_ref().unwrap_or(&self.name).as_bytes());
        proto::close(out, body);
        if let Some(millis) = self.duration_ms {
            put_double(out, ATTRIBUTES, DURATION_ATTRIBUTE, millis);
        }
        for (key, text) in [(STATUS_ATTRIBUTE, self.status), (CORRELATION_ATTRIBUTE, self.correlation_id.as_deref())] {
            if let Some(text) = text {
                put_text(out, ATTRIBUTES, key, text);
            }
        }
        out.extend_from_slice(attributes);
        if let Some(id) = self.trace_id {
            proto::put_bytes(out, 9, &id.0);
        }
        if let Some(id) = self.span_id {
            proto::put_bytes(out, 10, &id.0);
        }
        proto::put_bytes(out, 12, self.name.as_bytes());
        proto::close(out, record);
    }

    /// Which service the event belongs to.
    pub(super) fn service(&self) -> &str {
        if self.service.is_empty() { "unknown_service" } else { &self.service }
    }
}

const TIME_EXPECTED: &str = "an RFC 3339 time like \"2026-01-02T03:04:05.678Z\", or Unix seconds, milliseconds, microseconds or nanoseconds \
     from March 1973 on";

/// From 1973-03-03 on the size of a number tells its unit (64 bits of nanoseconds end in 2262): seconds lie in 10^8..10^11, milliseconds in
/// 10^11..10^14, microseconds in 10^14..10^17, nanoseconds above. Below are durations and mistakes.
fn time(value: &Scalar) -> Option<UnixNanos> {
    let nanos = match value {
        Scalar::Text(text) => DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()?,
        Scalar::Int(number) => {
            let unit_ns = match *number {
                100_000_000..100_000_000_000 => 1_000_000_000,
                100_000_000_000..100_000_000_000_000 => 1_000_000,
                100_000_000_000_000..100_000_000_000_000_000 => 1_000,
                100_000_000_000_000_000.. => 1,
                _ => return None,
            };
            i64::try_from(number.checked_mul(unit_ns)?).ok()?
        }
        // A double has room for microseconds here, not for more. Beyond 64 bits the cast saturates, the check refuses.
        Scalar::Float(seconds) if (1e8..1e11).contains(seconds) => {
            ((seconds * 1e6).round() as i64).checked_mul(1_000)?
        }
        Scalar::Float(millis) if (1e11..1e14).contains(millis) => ((millis * 1e3).round() as i64).checked_mul(1_000)?,
        _ => return None,
    };
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(UnixNanos)
}

/// A key of the client's, at a length that fits a message.
fn shown(key: &str) -> String {
    key.chars().take(80).collect()
}

fn duration_ms(value: &Scalar) -> Option<f64> {
    let millis = match value {
        Scalar::Int(millis) => *millis as f64,
        Scalar::Float(millis) => *millis,
        _ => return None,
    };
    // Above this the nanoseconds do not fit 64 bits (292 years).
    (0.0..=9.2e12).contains(&millis).then_some(millis)
}

fn severity(value: &Scalar) -> Option<(u8, String)> {
    const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    match value {
        Scalar::Int(number @ 1..=24) => {
            let number = *number as u8;
            Some((number, NAMES[usize::from(number - 1) / 4].to_owned()))
        }
        Scalar::Text(text) => {
            let upper = text.to_ascii_uppercase();
            let name = match upper.as_str() {
                "WARNING" => "WARN",
                "CRITICAL" => "FATAL",
                name => name,
            };
            let level = NAMES.iter().position(|known| *known == name)?;
            Some((level as u8 * 4 + 1, upper))
        }
        _ => None,
    }
}
