//! OTLP/JSON to protobuf bytes, in one pass and without an object tree.
//!
//! Where it sits: behind the HTTP listener; everything after it sees protobuf only.
//!
//! Invariants:
//! - a key that OTLP/JSON does not have is an error that names its path and the expected spelling. The protocol
//!   would have receivers ignore it, which loses data without a word (`docs/adr/0003`);
//! - enumerations are numbers: a name is an error that says which number it stands for;
//! - ids are hex, bytes are base64, 64-bit integers are numbers or decimal strings, `null` is absence;
//! - what is written stays below a cap: some short JSON becomes longer protobuf.
//!
//! It does not check what the walkers of [`decode`](crate::decode) check: lengths of ids, times, nesting.

mod schema;
mod value;

use daymark_model::{Refusal, Signal};
use schema::Message;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use value::FieldSeed;

use crate::proto;

/// Turns the OTLP/JSON body of an export request into the same request as protobuf bytes of at most `max_bytes`.
///
/// # Errors
/// [`Refusal`] of class reject, with reason `malformed` and the path of the key, or with reason `too_large`.
pub fn to_protobuf(signal: Signal, json: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let mut writer = Writer { out: Vec::new(), path: Vec::new(), max_bytes, overflow: false };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let parsed = MessageSeed { writer: &mut writer, message: schema::request(signal) }.deserialize(&mut deserializer);
    match parsed.and_then(|()| deserializer.end()) {
        Ok(()) => Ok(writer.out),
        Err(_) if writer.overflow => Err(too_large(max_bytes)),
        Err(error) => Err(Refusal::reject("malformed", format!("not an OTLP/JSON {signal} request: {error}"))),
    }
}

pub(crate) fn too_large(max_bytes: usize) -> Refusal {
    let message = format!("the request is larger than {max_bytes} bytes as protobuf: send smaller batches");
    Refusal::reject("too_large", message)
}

/// The protobuf written so far, and where in the JSON we are.
struct Writer {
    out: Vec<u8>,
    path: Vec<Step>,
    max_bytes: usize,
    overflow: bool,
}

enum Step {
    Key(&'static str),
    Index(usize),
}

impl Writer {
    /// `resourceSpans[0].scopeSpans[1]`, or the request itself.
    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        if path.is_empty() { "the request".to_owned() } else { path }
    }

    fn fail<E: Error>(&self, what: impl std::fmt::Display) -> E {
        E::custom(format!("{}: {what}", self.path()))
    }

    fn check_size<E: Error>(&mut self) -> Result<(), E> {
        self.overflow = self.out.len() > self.max_bytes;
        if self.overflow { Err(E::custom("too large")) } else { Ok(()) }
    }
}

/// Reads a JSON object into the fields of `message`.
struct MessageSeed<'w> {
    writer: &'w mut Writer,
    message: &'static Message,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: a JSON object ({})", self.writer.path(), self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let writer = self.writer;
        let (mut seen, mut chosen) = (0_u32, None);
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let Some(index) = self.message.fields.iter().position(|field| field.name == key) else {
                return Err(writer.fail(self.message.unknown_key(&key)));
            };
            let field = &self.message.fields[index];
            writer.path.push(Step::Key(field.name));
            let before = writer.out.len();
            map.next_value_seed(FieldSeed { writer, field })?;
            let given = writer.out.len() > before;
            if given && seen & (1 << index) != 0 {
                return Err(writer.fail("the key occurs twice"));
            }
            if given
                && field.one_of
                && let Some(other) = chosen.replace(field.name)
            {
                return Err(writer.fail(format_args!("{other:?} is set as well, but only one of them can be")));
            }
            seen |= u32::from(given) << index;
            writer.path.pop();
            writer.check_size()?;
        }
        Ok(())
    }
}

/// Writes `body` as the nested message `number`.
fn nest<E>(writer: &mut Writer, number: u32, body: impl FnOnce(&mut Writer) -> Result<(), E>) -> Result<(), E> {
    let start = proto::open(&mut writer.out, number);
    body(writer)?;
    proto::close(&mut writer.out, start);
    Ok(())
}

#[cfg(test)]
mod tests;
