//! Events and links of a span as JSON text: the content of the `events` and `links` columns.
//!
//! `[{"name":"..","time_unix_nano":"..","attributes":{..}}]` and `[{"trace_id":"..","span_id":"..","attributes":{..}}]`.
//! Times are decimal strings, because JavaScript numbers lose nanoseconds.

use std::fmt::Write;

use daymark_wire::decode::{KeyValues, SpanView, Value};

/// Writes the events of `span` as a JSON array.
pub(crate) fn write_events(out: &mut String, span: &SpanView<'_, '_>) {
    out.push('[');
    for (i, event) in span.events.iter().enumerate() {
        out.push_str(if i == 0 { "{\"name\":" } else { ",{\"name\":" });
        Value::Str(event.name).write_json(out);
        let _ = write!(out, ",\"time_unix_nano\":\"{}\",\"attributes\":", event.time.0);
        write_attributes(out, &event.attributes);
        out.push('}');
    }
    out.push(']');
}

/// Writes the links of `span` as a JSON array.
pub(crate) fn write_links(out: &mut String, span: &SpanView<'_, '_>) {
    out.push('[');
    for (i, link) in span.links.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        // An invalid id is shown as the zero id, which OTLP reads as "none".
        let (trace_id, span_id) = (link.trace_id.unwrap_or_default(), link.span_id.unwrap_or_default());
        let _ = write!(out, "{comma}{{\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\",\"attributes\":");
        write_attributes(out, &link.attributes);
        out.push('}');
    }
    out.push(']');
}

fn write_attributes(out: &mut String, attributes: &KeyValues<'_, '_>) {
    out.push('{');
    for (i, (key, value)) in attributes.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        Value::Str(key).write_json(out);
        out.push(':');
        value.write_json(out);
    }
    out.push('}');
}
