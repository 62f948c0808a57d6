//! Spans.

use super::attributes::{self, Attribute, KeyValues};
use super::envelope::{Items, Names};
use super::tally::{self, Implausible, Tally, TimeBounds};
use super::view::{Entry, EventView, Events, LinkView, Links, ResourceView, ScopeView, SpanView};
use super::wire::{Field, Fields, Parse};
use super::{DecodeLimits, TraceVisitor};
use crate::Problem;
use daymark_model::UnixNanos;

const SPAN_TIMES: Implausible = Implausible {
    early: "span with a time before the year 2000: times are nanoseconds since 1970",
    late: "span with a time further ahead than max_future_ms: is the sender's clock right?",
};

/// One walk; the scratch lists are reused from span to span.
pub(super) struct TraceItems<'a, 'v, V> {
    visitor: &'v mut V,
    pub(super) tally: Tally,
    scratch: SpanScratch<'a>,
}

/// Lists of one span at a time.
struct SpanScratch<'a> {
    max_list: usize,
    attributes: Vec<Attribute<'a>>,
    events: Vec<Entry<EventView<'a, 'a>>>,
    links: Vec<Entry<LinkView<'a, 'a>>>,
    /// Attributes of the events and links.
    nested: Vec<Attribute<'a>>,
}

impl<'v, V: TraceVisitor> TraceItems<'_, 'v, V> {
    pub(super) fn new(visitor: &'v mut V, limits: DecodeLimits) -> Self {
        let max_list = limits.max_list;
        let scratch = SpanScratch { max_list, attributes: vec![], events: vec![], links: vec![], nested: vec![] };
        TraceItems { visitor, tally: Tally::new(limits), scratch }
    }
}

impl<'a, V: TraceVisitor> Items<'a> for TraceItems<'a, '_, V> {
    const NAMES: Names = Names { resources: "resource_spans", scopes: "scope_spans", items: "spans" };

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
            Ok(span) => self.visitor.span(&span),
            Err(reason) => self.tally.reject(reason),
        }
        Ok(())
    }
}

/// The scalar fields of a span before they are judged.
#[derive(Default)]
struct RawSpan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    name: &'a str,
    kind: u8,
    start: u64,
    end: u64,
    status: Option<(u8, &'a str)>,
    trace_state: &'a str,
    flags: u32,
    dropped_attributes_count: u32,
    dropped_events_count: u32,
    dropped_links_count: u32,
}

impl<'a> SpanScratch<'a> {
    fn parse(&mut self, message: &'a [u8]) -> Parse<RawSpan<'a>> {
        self.attributes.clear();
        self.events.clear();
        self.links.clear();
        self.nested.clear();
        let mut span = RawSpan::default();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => span.trace_id = field.bytes("trace_id")?,
                2 => span.span_id = field.bytes("span_id")?,
                3 => span.trace_state = field.text("trace_state")?,
                4 => span.parent_span_id = field.bytes("parent_span_id")?,
                5 => span.name = field.text("name")?,
                6 => span.kind = field.enumeration("kind", 5)?,
                7 => span.start = field.fixed64("start_time_unix_nano")?,
                8 => span.end = field.fixed64("end_time_unix_nano")?,
                9 => attributes::push(&mut self.attributes, 0, &field, "attributes", self.max_list)?,
                10 => span.dropped_attributes_count = field.varint("dropped_attributes_count")? as u32,
                11 => self.push_event(&field)?,
                12 => span.dropped_events_count = field.varint("dropped_events_count")? as u32,
                13 => self.push_link(&field)?,
                14 => span.dropped_links_count = field.varint("dropped_links_count")? as u32,
                15 => {
                    let status = parse_status(field.bytes("status")?).map_err(|fault| fault.inside("status"))?;
                    if span.status.replace(status).is_some() {
                        return Err(field.fault("status", Problem::Repeated));
                    }
                }
                16 => span.flags = field.fixed32("flags")?,
                _ => {}
            }
        }
        Ok(span)
    }

    fn view(&self, raw: &RawSpan<'a>, times: TimeBounds) -> Result<SpanView<'_, 'a>, &'static str> {
        let trace_id = tally::trace_id(raw.trace_id).ok_or("span without a valid trace id (16 bytes, not all zero)")?;
        let span_id = tally::span_id(raw.span_id).ok_or("span without a valid span id (8 bytes, not all zero)")?;
        if !matches!(raw.parent_span_id.len(), 0 | 8) {
            return Err("span with a parent span id that is not 8 bytes long");
        }
        let start = tally::required_time(raw.start, "span without a valid start time")?;
        let end = tally::required_time(raw.end, "span without a valid end time")?;
        if end < start {
            return Err("span that ends before it starts");
        }
        tally::plausible(start, times, &SPAN_TIMES)?;
        tally::plausible(end, times, &SPAN_TIMES)?;
        let (status_code, status_message) = raw.status.unwrap_or_default();
        Ok(SpanView {
            trace_id,
            span_id,
            parent_span_id: tally::span_id(raw.parent_span_id),
            name: raw.name,
            kind: raw.kind,
            start,
            end,
            status_code,
            status_message,
            trace_state: raw.trace_state,
            flags: raw.flags,
            attributes: KeyValues(&self.attributes),
            events: Events { entries: &self.events, attributes: &self.nested },
            links: Links { entries: &self.links, attributes: &self.nested },
            dropped_attributes_count: raw.dropped_attributes_count,
            dropped_events_count: raw.dropped_events_count,
            dropped_links_count: raw.dropped_links_count,
        })
    }

    fn push_event(&mut self, field: &Field<'a>) -> Parse<()> {
        let index = self.events.len();
        if index >= self.max_list {
            return Err(field.fault("events", Problem::ListTooLong { limit: self.max_list }));
        }
        let event = parse_event(field.bytes("events")?, &mut self.nested);
        self.events.push(event.map_err(|fault| fault.within("events", index))?);
        Ok(())
    }

    fn push_link(&mut self, field: &Field<'a>) -> Parse<()> {
        let index = self.links.len();
        if index >= self.max_list {
            return Err(field.fault("links", Problem::ListTooLong { limit: self.max_list }));
        }
        let link = parse_link(field.bytes("links")?, &mut self.nested);
        self.links.push(link.map_err(|fault| fault.within("links", index))?);
        Ok(())
    }
}

fn parse_status(message: &[u8]) -> Parse<(u8, &str)> {
    let (mut code, mut text) = (0, "");
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            2 => text = field.text("message")?,
            3 => code = field.enumeration("code", 2)?,
            _ => {}
        }
    }
    Ok((code, text))
}

fn parse_event<'a>(message: &'a [u8], nested: &mut Vec<Attribute<'a>>) -> Parse<Entry<EventView<'a, 'a>>> {
    let start = nested.len();
    let none = KeyValues::default();
    let mut event = EventView { time: UnixNanos(0), name: "", attributes: none, dropped_attributes_count: 0 };
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => event.time = UnixNanos(field.fixed64("time_unix_nano")?),
            2 => event.name = field.text("name")?,
            3 => attributes::push_nested(nested, start, &field, "attributes")?,
            4 => event.dropped_attributes_count = field.varint("dropped_attributes_count")? as u32,
            _ => {}
        }
    }
    Ok(Entry { item: event, attributes: start..nested.len() })
}

fn parse_link<'a>(message: &'a [u8], nested: &mut Vec<Attribute<'a>>) -> Parse<Entry<LinkView<'a, 'a>>> {
    let start = nested.len();
    let mut link = LinkView {
        trace_id: None,
        span_id: None,
        trace_state: "",
        attributes: KeyValues::default(),
        dropped_attributes_count: 0,
        flags: 0,
    };
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => link.trace_id = tally::trace_id(field.bytes("trace_id")?),
            2 => link.span_id = tally::span_id(field.bytes("span_id")?),
            3 => link.trace_state = field.text("trace_state")?,
            4 => attributes::push_nested(nested, start, &field, "attributes")?,
            5 => link.dropped_attributes_count = field.varint("dropped_attributes_count")? as u32,
            6 => link.flags = field.fixed32("flags")?,
            _ => {}
        }
    }
    Ok(Entry { item: link, attributes: start..nested.len() })
}
