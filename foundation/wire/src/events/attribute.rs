//! JSON values as OTLP attributes: objects become keys with dots, lists become array values.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::proto;

/// Writes the attribute `key` = `text` as field `number`.
pub(super) fn put_text(out: &mut Vec<u8>, number: u32, key: &str, text: &str) {
    put(out, number, key, |out| proto::put_bytes(out, 1, text.as_bytes()));
}

/// Writes the attribute `key` = `value` as field `number`.
pub(super) fn put_double(out: &mut Vec<u8>, number: u32, key: &str, value: f64) {
    put(out, number, key, |out| proto::put_fixed64(out, 4, value.to_bits()));
}

/// Writes an attribute as field `number`; `value` writes the content of the `AnyValue`.
fn put(out: &mut Vec<u8>, number: u32, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    let key_value = proto::open(out, number);
    proto::put_bytes(out, 1, key.as_bytes());
    let any_value = proto::open(out, 2);
    value(out);
    proto::close(out, any_value);
    proto::close(out, key_value);
}

/// Attributes of one event: field 6 of a `LogRecord`, as often as there are.
pub(super) struct Attributes {
    pub(super) out: Vec<u8>,
    pub(super) keys: Keys,
    max_bytes: usize,
    pub(super) overflow: bool,
}

/// Keys of one event, to find those that occur twice. They take no more room than the attributes they belong to.
#[derive(Default)]
pub(super) struct Keys {
    text: String,
    places: Vec<std::ops::Range<usize>>,
}

impl Keys {
    pub(super) fn add(&mut self, key: &str) {
        let start = self.text.len();
        self.text.push_str(key);
        self.places.push(start..self.text.len());
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
    }

    /// A key that was added twice.
    pub(super) fn twice(&mut self) -> Option<&str> {
        let text = &self.text;
        self.places.sort_unstable_by(|a, b| text[a.clone()].cmp(&text[b.clone()]));
        let same = self.places.windows(2).find(|pair| text[pair[0].clone()] == text[pair[1].clone()])?;
        Some(&text[same[0].clone()])
    }
}

/// Number of `LogRecord.attributes`.
pub(super) const ATTRIBUTES: u32 = 6;

impl Attributes {
    pub(super) fn new(max_bytes: usize) -> Attributes {
        Attributes { out: Vec::new(), keys: Keys::default(), max_bytes, overflow: false }
    }

    fn check_size<E: Error>(&mut self) -> Result<(), E> {
        self.overflow = self.out.len() > self.max_bytes;
        if self.overflow { Err(E::custom("too large")) } else { Ok(()) }
    }
}

/// Reads a JSON value into attributes whose keys begin with `key`.
pub(super) struct Flatten<'a> {
    pub(super) attributes: &'a mut Attributes,
    pub(super) key: &'a mut String,
}

impl Flatten<'_> {
    fn put<E: Error>(self, value: impl FnOnce(&mut Vec<u8>)) -> Result<(), E> {
        self.attributes.keys.add(self.key);
        put(&mut self.attributes.out, ATTRIBUTES, self.key, value);
        self.attributes.check_size()
    }
}

impl<'de> DeserializeSeed<'de> for Flatten<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flatten<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: a JSON value", self.key)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(|out| put_bool(out, value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(|out| put_int(out, value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(|out| put_unsigned(out, value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.put(|out| proto::put_fixed64(out, 4, value.to_bits()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(|out| proto::put_bytes(out, 1, value.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        let attributes = self.attributes;
        attributes.keys.add(self.key);
        let key_value = proto::open(&mut attributes.out, ATTRIBUTES);
        proto::put_bytes(&mut attributes.out, 1, self.key.as_bytes());
        let any_value = proto::open(&mut attributes.out, 2);
        Element(attributes).visit_seq(list)?;
        proto::close(&mut attributes.out, any_value);
        proto::close(&mut attributes.out, key_value);
        attributes.check_size()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Flatten { attributes, key } = self;
        let length = key.len();
        while let Some(inner) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            key.push('.');
            key.push_str(&inner);
            map.next_value_seed(Flatten { attributes, key })?;
            key.truncate(length);
        }
        Ok(())
    }
}

/// Reads a JSON value into the content of an `AnyValue`.
struct Element<'a>(&'a mut Attributes);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// An `AnyValue` as field `number` of the message around it.
struct Nested<'a> {
    attributes: &'a mut Attributes,
    number: u32,
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let start = proto::open(&mut self.attributes.out, self.number);
        Element(self.attributes).deserialize(deserializer)?;
        proto::close(&mut self.attributes.out, start);
        self.attributes.check_size()
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        put_bool(&mut self.0.out, value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        put_int(&mut self.0.out, value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        put_unsigned(&mut self.0.out, value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        proto::put_fixed64(&mut self.0.out, 4, value.to_bits());
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        proto::put_bytes(&mut self.0.out, 1, value.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let array = proto::open(&mut self.0.out, 5);
        while list.next_element_seed(Nested { attributes: self.0, number: 1 })?.is_some() {}
        proto::close(&mut self.0.out, array);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let list = proto::open(&mut self.0.out, 6);
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let key_value = proto::open(&mut self.0.out, 1);
            proto::put_bytes(&mut self.0.out, 1, key.as_bytes());
            map.next_value_seed(Nested { attributes: self.0, number: 2 })?;
            proto::close(&mut self.0.out, key_value);
        }
        proto::close(&mut self.0.out, list);
        Ok(())
    }
}

fn put_bool(out: &mut Vec<u8>, value: bool) {
    proto::put_number(out, 2, u64::from(value));
}

fn put_int(out: &mut Vec<u8>, value: i64) {
    proto::put_number(out, 3, value as u64);
}

/// OTLP integers are signed: larger ones become doubles.
fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    match i64::try_from(value) {
        Ok(value) => put_int(out, value),
        Err(_) => proto::put_fixed64(out, 4, (value as f64).to_bits()),
    }
}
