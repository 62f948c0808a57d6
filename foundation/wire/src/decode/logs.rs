//! Log records.

use super::attributes::{self, Attribute, KeyValues, Nesting, Value, any_value};
use super::envelope::{Items, Names};
use super::tally::{self, Implausible, Tally, TimeBounds};
use super::view::{LogView, ResourceView, ScopeView};
use super::wire::{Fields, Parse};
use super::{DecodeLimits, LogVisitor};
use crate::Problem;

const LOG_TIMES: Implausible = Implausible {
    early: "log record with a time before the year 2000: times are nanoseconds since 1970",
    late: "log record with a time further ahead than max_future_ms: is the sender's clock right?",
};

/// Scratch list of one walk, reused from record to record.
pub(super) struct LogItems<'a, 'v, V> {
    visitor: &'v mut V,
    pub(super) tally: Tally,
    scratch: LogScratch<'a>,
}

/// Lists of one record at a time.
struct LogScratch<'a> {
    max_list: usize,
    attributes: Vec<Attribute<'a>>,
}

impl<'v, V: LogVisitor> LogItems<'_, 'v, V> {
    pub(super) fn new(visitor: &'v mut V, limits: DecodeLimits) -> Self {
        let scratch = LogScratch { max_list: limits.max_list, attributes: vec![] };
        LogItems { visitor, tally: Tally::new(limits), scratch }
    }
}

impl<'a, V: LogVisitor> Items<'a> for LogItems<'a, '_, V> {
    const NAMES: Names = Names { resources: "resource_logs", scopes: "scope_logs", items: "log_records" };

    fn max_list(&self) -> usize {
        self.tally.limits.max_list
    }

    fn resource(&mut self, resource: &ResourceView<'_, 'a>) {
        self.visitor.resource(resource);
    }

    fn scope(&mut self, scope: &ScopeView<'_, 'a>) {
        self.visitor.scope(scope);
    }

    fn item(&mut self, message: &'a [u8]) -> Parse<()> {
        self.tally.count(message)?;
        let raw = match self.scratch.parse(message) {
            Ok(raw) => raw,
            Err(fault) => return self.tally.spoil(fault),
        };
        match self.scratch.view(&raw, self.tally.limits.times) {
            Ok(log) => self.visitor.log(&log),
            Err(reason) => self.tally.reject(reason),
        }
        Ok(())
    }
}

/// The fields of a record before they are judged.
#[derive(Default)]
struct RawLog<'a> {
    time: u64,
    observed_time: u64,
    severity_number: u8,
    severity_text: &'a str,
    body: Option<Value<'a>>,
    dropped_attributes_count: u32,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a str,
}

impl<'a> LogScratch<'a> {
    fn parse(&mut self, message: &'a [u8]) -> Parse<RawLog<'a>> {
        self.attributes.clear();
        let mut log = RawLog::default();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => log.time = field.fixed64("time_unix_nano")?,
                2 => log.severity_number = field.enumeration("severity_number", 24)?,
                3 => log.severity_text = field.text("severity_text")?,
                5 => {
                    let body = any_value(field.bytes("body")?, Nesting::Depth(0));
                    if log.body.replace(body.map_err(|fault| fault.inside("body"))?).is_some() {
                        return Err(field.fault("body", Problem::Repeated));
                    }
                }
                6 => attributes::push(&mut self.attributes, 0, &field, "attributes", self.max_list)?,
                7 => log.dropped_attributes_count = field.varint("dropped_attributes_count")? as u32,
                8 => log.flags = field.fixed32("flags")?,
                9 => log.trace_id = field.bytes("trace_id")?,
                10 => log.span_id = field.bytes("span_id")?,
                11 => log.observed_time = field.fixed64("observed_time_unix_nano")?,
                12 => log.event_name = field.text("event_name")?,
                _ => {}
            }
        }
        Ok(log)
    }

    fn view(&self, raw: &RawLog<'a>, times: TimeBounds) -> Result<LogView<'_, 'a>, &'static str> {
        let reason = "log record with a time after the year 2262";
        let log = LogView {
            time: tally::time(raw.time, reason)?,
            observed_time: tally::time(raw.observed_time, reason)?,
            severity_number: raw.severity_number,
            severity_text: raw.severity_text,
            body: raw.body.unwrap_or(Value::Empty),
            attributes: KeyValues(&self.attributes),
            trace_id: tally::trace_id(raw.trace_id),
            span_id: tally::span_id(raw.span_id),
            flags: raw.flags,
            event_name: raw.event_name,
            dropped_attributes_count: raw.dropped_attributes_count,
        };
        // A record without any time has that of its arrival.
        if let Some(time) = log.event_time() {
            tally::plausible(time, times, &LOG_TIMES)?;
        }
        Ok(log)
    }
}
