//! One JSON value into one protobuf field.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::schema::{Field, Kind};
use super::{MessageSeed, Step, Writer, nest};
use crate::proto;

/// Reads the value of `field`: a list if it is repeated.
pub(super) struct FieldSeed<'w> {
    pub(super) writer: &'w mut Writer,
    pub(super) field: &'static Field,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.field.repeated {
            deserializer.deserialize_any(ListVisitor { writer: self.writer, field: self.field })
        } else {
            deserializer.deserialize_any(ValueVisitor { writer: self.writer, field: self.field, packed: false })
        }
    }
}

/// Reads a list.
struct ListVisitor<'w> {
    writer: &'w mut Writer,
    field: &'static Field,
}

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: a list", self.writer.path())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (writer, field) = (self.writer, self.field);
        let packed = matches!(field.kind, Kind::Fixed64 | Kind::Uint64 | Kind::Double);
        let mut elements = |writer: &mut Writer| {
            let mut index = 0;
            loop {
                writer.path.push(Step::Index(index));
                if list.next_element_seed(ValueVisitor { writer, field, packed })?.is_none() {
                    writer.path.pop();
                    return Ok(());
                }
                writer.path.pop();
                writer.check_size()?;
                index += 1;
            }
        };
        if packed { nest(writer, field.number, elements) } else { elements(writer) }
    }
}

/// Reads one value; `packed` values have no key of their own.
struct ValueVisitor<'w> {
    writer: &'w mut Writer,
    field: &'static Field,
    packed: bool,
}

impl<'de> DeserializeSeed<'de> for ValueVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ValueVisitor<'_> {
    fn varint(self, value: u64) {
        if self.packed {
            proto::put_varint(&mut self.writer.out, value);
        } else {
            proto::put_number(&mut self.writer.out, self.field.number, value);
        }
    }

    fn fixed64(self, bits: u64) {
        if self.packed {
            self.writer.out.extend_from_slice(&bits.to_le_bytes());
        } else {
            proto::put_fixed64(&mut self.writer.out, self.field.number, bits);
        }
    }

    /// Writes an integer, after checking that the field can hold it.
    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let out_of_range = || self.writer.fail(format_args!("{value} is out of range"));
        match self.field.kind {
            Kind::Enum(_) | Kind::Int32 => {
                let value = i32::try_from(value).map_err(|_| out_of_range())?;
                self.varint(i64::from(value) as u64);
            }
            Kind::Sint32 => {
                let value = i32::try_from(value).map_err(|_| out_of_range())?;
                self.varint(u64::from((value << 1 ^ value >> 31) as u32));
            }
            Kind::Uint32 => {
                let value = u32::try_from(value).map_err(|_| out_of_range())?;
                self.varint(u64::from(value));
            }
            Kind::Fixed32 => {
                let value = u32::try_from(value).map_err(|_| out_of_range())?;
                proto::put_fixed32(&mut self.writer.out, self.field.number, value);
            }
            Kind::Int64 => {
                let value = i64::try_from(value).map_err(|_| out_of_range())?;
                self.varint(value as u64);
            }
            Kind::Sfixed64 => {
                let value = i64::try_from(value).map_err(|_| out_of_range())?;
                self.fixed64(value as u64);
            }
            Kind::Uint64 => {
                let value = u64::try_from(value).map_err(|_| out_of_range())?;
                self.varint(value);
            }
            Kind::Fixed64 => {
                let value = u64::try_from(value).map_err(|_| out_of_range())?;
                self.fixed64(value);
            }
            Kind::Double => self.fixed64((value as f64).to_bits()),
            Kind::Text | Kind::Base64 | Kind::Hex | Kind::Bool | Kind::Message(_) => return Err(self.mismatch(value)),
        }
        Ok(())
    }

    fn mismatch<E: Error>(&self, got: impl fmt::Display) -> E {
        self.writer.fail(format_args!("expected {}, got {got}", expected(self.field.kind)))
    }

    fn bytes(self, value: &[u8]) {
        proto::put_bytes(&mut self.writer.out, self.field.number, value);
    }
}

/// What JSON a kind of field has.
fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string",
        Kind::Base64 => "a base64 string",
        Kind::Hex => "a string of hex digits",
        Kind::Bool => "true or false",
        Kind::Enum(_) => "the number of an enumeration value",
        Kind::Int32 | Kind::Uint32 | Kind::Fixed32 | Kind::Sint32 => "an integer",
        Kind::Int64 | Kind::Uint64 | Kind::Fixed64 | Kind::Sfixed64 => "an integer or a string of decimal digits",
        Kind::Double => "a number",
        Kind::Message(_) => "an object",
    }
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.writer.path(), expected(self.field.kind))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        // In a list there is nothing that an absent element could mean.
        if matches!(self.writer.path.last(), Some(Step::Index(_))) { Err(self.mismatch("null")) } else { Ok(()) }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => self.varint(u64::from(value)),
            _ => return Err(self.mismatch(value)),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // Doubles hold integers exactly up to 2^53.
        let whole = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
        match self.field.kind {
            Kind::Double => self.fixed64(value.to_bits()),
            _ if whole => return self.integer(value as i128),
            _ => return Err(self.mismatch(value)),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let shown = || value.chars().take(80).collect::<String>();
        match self.field.kind {
            Kind::Text => self.bytes(value.as_bytes()),
            Kind::Base64 => {
                let bytes = BASE64.decode(value).or_else(|_| URL_SAFE.decode(value));
                let bytes = bytes.map_err(|_| self.mismatch(format_args!("{:?}", shown())))?;
                self.bytes(&bytes);
            }
            Kind::Hex => {
                let bytes = unhex(value).ok_or_else(|| self.mismatch(format_args!("{:?}", shown())))?;
                self.bytes(&bytes);
            }
            Kind::Enum(names) => {
                let hint = names.iter().position(|name| *name == value);
                let hint = hint.map(|number| format!(": write {number}")).unwrap_or_default();
                return Err(self.mismatch(format_args!("the name {:?}{hint}", shown())));
            }
            Kind::Double => {
                let number = double(value).ok_or_else(|| self.mismatch(format_args!("{:?}", shown())))?;
                self.fixed64(number.to_bits());
            }
            Kind::Bool | Kind::Message(_) => return Err(self.mismatch(format_args!("{:?}", shown()))),
            _ => {
                let number = value.parse::<i128>().map_err(|_| self.mismatch(format_args!("{:?}", shown())))?;
                return self.integer(number);
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else { return Err(self.mismatch("an object")) };
        nest(self.writer, self.field.number, |writer| MessageSeed { writer, message }.visit_map(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _list: A) -> Result<(), A::Error> {
        Err(self.mismatch("a list"))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4 | digit(*low)?) as u8);
    if rest.is_empty() { pairs.iter().map(pair).collect() } else { None }
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}
