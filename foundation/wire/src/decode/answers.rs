//! Answers to export requests, as the client reads them.

use super::wire::{Fault, Fields, Parse};
use crate::{DecodeError, IngestAnswer};

/// Reads an `Export*ServiceResponse`: the three signals have the same numbers.
pub(crate) fn partial_success(response: &[u8]) -> Result<IngestAnswer, DecodeError> {
    parse_response(response).map_err(|fault: Box<Fault>| fault.locate(response))
}

fn parse_response(response: &[u8]) -> Parse<IngestAnswer> {
    let mut answer = IngestAnswer::default();
    let mut fields = Fields::of(response);
    while let Some(field) = fields.next()? {
        if field.number != 1 {
            continue;
        }
        let mut inner = Fields::of(field.bytes("partial_success")?);
        while let Some(field) = inner.next()? {
            match field.number {
                1 => answer.rejected_items = field.varint("rejected")?,
                2 => answer.message = Some(field.text("error_message")?.to_owned()).filter(|text| !text.is_empty()),
                _ => {}
            }
        }
    }
    Ok(answer)
}

/// The message of a `google.rpc.Status`, in protobuf or JSON.
pub(crate) fn status_message(body: &[u8]) -> Option<String> {
    if body.first() == Some(&b'{') {
        let status: serde_json::Value = serde_json::from_slice(body).ok()?;
        return Some(status.get("message")?.as_str()?.to_owned());
    }
    let mut fields = Fields::of(body);
    while let Some(field) = fields.next().ok()? {
        if field.number == 2 {
            return field.text("message").ok().map(str::to_owned);
        }
    }
    None
}
