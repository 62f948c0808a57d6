//! Protobuf primitives: varints, fields, and faults that know where they are.
//!
//! A [`Fault`] carries the address of the offending byte and the path to it; it becomes a
//! [`DecodeError`] with a position at the walk's entry. It is boxed, so that the path without faults stays small.

use crate::text::text_of;
use crate::{DecodeError, Problem};

/// A fault inside a payload.
#[derive(Debug)]
pub(crate) struct Fault {
    address: usize,
    path: String,
    problem: Problem,
}

pub(crate) type Parse<T> = Result<T, Box<Fault>>;

impl Fault {
    #[cold]
    pub(crate) fn new(at: &[u8], name: &str, problem: Problem) -> Box<Fault> {
        Box::new(Fault { address: at.as_ptr() as usize, path: name.to_owned(), problem })
    }

    /// The same fault, seen from the message that holds the field `name`.
    #[cold]
    pub(crate) fn within(mut self: Box<Fault>, name: &str, index: usize) -> Box<Fault> {
        self.path = format!("{name}[{index}].{}", self.path);
        self
    }

    /// The same fault, seen from the message that holds the singular field `name`.
    #[cold]
    pub(crate) fn inside(mut self: Box<Fault>, name: &str) -> Box<Fault> {
        self.path = format!("{name}.{}", self.path);
        self
    }

    /// Why the item that holds the fault is rejected, when it ends with the item and the others can be taken all the same.
    #[cold]
    pub(crate) fn of_one_item(&self) -> Option<&'static str> {
        match self.problem {
            Problem::Utf8 => Some("item with text that is not valid UTF-8"),
            Problem::Depth { .. } => Some("item with values nested more than 30 levels deep"),
            Problem::ListTooLong { .. } => {
                Some("item with too many attributes, events, links, exemplars or quantiles (at most 65536 of each)")
            }
            _ => None,
        }
    }

    /// The error it is to whoever has the whole payload.
    #[cold]
    pub(crate) fn locate(self, payload: &[u8]) -> DecodeError {
        let position = self.address.saturating_sub(payload.as_ptr() as usize).min(payload.len());
        DecodeError { path: self.path, position, problem: self.problem }
    }
}

/// Value of a field, by wire type.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// One field of a message.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    value: Wire<'a>,
    /// From the field's key on: says where a fault is.
    at: &'a [u8],
}

impl<'a> Field<'a> {
    #[cold]
    fn unexpected(&self, name: &str, expected: &'static str) -> Box<Fault> {
        let got = match self.value {
            Wire::Varint(_) => 0,
            Wire::Fixed64(_) => 1,
            Wire::Bytes(_) => 2,
            Wire::Fixed32(_) => 5,
        };
        Fault::new(self.at, name, Problem::WireType { expected, got })
    }

    /// A fault at this field.
    #[cold]
    pub(crate) fn fault(&self, name: &str, problem: Problem) -> Box<Fault> {
        Fault::new(self.at, name, problem)
    }

    /// An integer of variable width.
    pub(crate) fn varint(&self, name: &str) -> Parse<u64> {
        match self.value {
            Wire::Varint(value) => Ok(value),
            _ => Err(self.unexpected(name, "a varint")),
        }
    }

    /// An enumeration's number; what lies outside `0..=max` is 0, its "unspecified".
    pub(crate) fn enumeration(&self, name: &str, max: u8) -> Parse<u8> {
        let number = self.varint(name)? as i32;
        Ok(u8::try_from(number).ok().filter(|number| *number <= max).unwrap_or(0))
    }

    /// A 64-bit integer of fixed width.
    pub(crate) fn fixed64(&self, name: &str) -> Parse<u64> {
        match self.value {
            Wire::Fixed64(value) => Ok(value),
            _ => Err(self.unexpected(name, "a 64-bit number")),
        }
    }

    /// A double.
    pub(crate) fn double(&self, name: &str) -> Parse<f64> {
        self.fixed64(name).map(f64::from_bits)
    }

    /// A 32-bit integer of fixed width.
    pub(crate) fn fixed32(&self, name: &str) -> Parse<u32> {
        match self.value {
            Wire::Fixed32(value) => Ok(value),
            _ => Err(self.unexpected(name, "a 32-bit number")),
        }
    }

    /// Bytes, or a message.
    pub(crate) fn bytes(&self, name: &str) -> Parse<&'a [u8]> {
        match self.value {
            Wire::Bytes(value) => Ok(value),
            _ => Err(self.unexpected(name, "a length-delimited field")),
        }
    }

    /// A string.
    pub(crate) fn text(&self, name: &str) -> Parse<&'a str> {
        text_of(self.bytes(name)?).map_err(|_| self.fault(name, Problem::Utf8))
    }

    /// Whether the field is length-delimited.
    pub(crate) fn is_bytes(&self) -> bool {
        matches!(self.value, Wire::Bytes(_))
    }
}

/// Reads the fields of a message one after the other.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    /// The next field; none at the end of the message. Inlined always: the field then stays in registers.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Parse<Option<Field<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.rest;
        let fault = |problem| Fault::new(at, "field", problem);
        let key = varint(&mut self.rest).map_err(fault)?;
        let number = u32::try_from(key).map_err(|_| fault(Problem::Key))? >> 3;
        if number == 0 {
            return Err(fault(Problem::Key));
        }
        let value = match key & 7 {
            0 => Wire::Varint(varint(&mut self.rest).map_err(fault)?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array().map_err(fault)?)),
            2 => {
                let length = varint(&mut self.rest).map_err(fault)?;
                let length = usize::try_from(length).map_err(|_| fault(Problem::Truncated))?;
                Wire::Bytes(self.take(length).map_err(fault)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array().map_err(fault)?)),
            3 | 4 => return Err(fault(Problem::Group)),
            _ => return Err(fault(Problem::Key)),
        };
        Ok(Some(Field { number, value, at }))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Reads a variable-length integer off the front of `bytes`.
#[inline]
pub(crate) fn varint(bytes: &mut &[u8]) -> Result<u64, Problem> {
    if let Some((&byte, rest)) = bytes.split_first()
        && byte < 0x80
    {
        *bytes = rest;
        return Ok(u64::from(byte));
    }
    long_varint(bytes)
}

fn long_varint(bytes: &mut &[u8]) -> Result<u64, Problem> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            if i == 9 && byte > 1 {
                return Err(Problem::Varint);
            }
            *bytes = &bytes[i + 1..];
            return Ok(value);
        }
    }
    Err(if bytes.len() < 10 { Problem::Truncated } else { Problem::Varint })
}
