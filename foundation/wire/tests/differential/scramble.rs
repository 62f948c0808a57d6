//! The same request, written differently: what protobuf allows and decoders must bear.

use bytes::Buf;
use daymark_model::Signal;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::generate::Generator;

/// How the fields of a message nest.
type Shape = &'static [(u32, Part)];

/// What a length-delimited field holds, where it matters here.
#[derive(Clone, Copy)]
enum Part {
    Message(&'static &'static [(u32, Part)]),
    Fixed64s,
    Varints,
}

use Part::{Fixed64s, Message as M, Varints};

static TRACES: Shape = &[(1, M(&RESOURCE_SPANS))];
static RESOURCE_SPANS: Shape = &[(1, M(&RESOURCE)), (2, M(&SCOPE_SPANS))];
static SCOPE_SPANS: Shape = &[(1, M(&SCOPE)), (2, M(&SPAN))];
static SPAN: Shape = &[(9, M(&KEY_VALUE)), (11, M(&EVENT)), (13, M(&LINK)), (15, M(&LEAF))];
static EVENT: Shape = &[(3, M(&KEY_VALUE))];
static LINK: Shape = &[(4, M(&KEY_VALUE))];
static LOGS: Shape = &[(1, M(&RESOURCE_LOGS))];
static RESOURCE_LOGS: Shape = &[(1, M(&RESOURCE)), (2, M(&SCOPE_LOGS))];
static SCOPE_LOGS: Shape = &[(1, M(&SCOPE)), (2, M(&LOG_RECORD))];
static LOG_RECORD: Shape = &[(5, M(&ANY_VALUE)), (6, M(&KEY_VALUE))];
static METRICS: Shape = &[(1, M(&RESOURCE_METRICS))];
static RESOURCE_METRICS: Shape = &[(1, M(&RESOURCE)), (2, M(&SCOPE_METRICS))];
static SCOPE_METRICS: Shape = &[(1, M(&SCOPE)), (2, M(&METRIC))];
static METRIC: Shape = &[
    (5, M(&NUMBERS)),
    (7, M(&NUMBERS)),
    (9, M(&HISTOGRAM)),
    (10, M(&EXPONENTIAL)),
    (11, M(&SUMMARY)),
    (12, M(&KEY_VALUE)),
];
static NUMBERS: Shape = &[(1, M(&NUMBER_POINT))];
static NUMBER_POINT: Shape = &[(5, M(&EXEMPLAR)), (7, M(&KEY_VALUE))];
static HISTOGRAM: Shape = &[(1, M(&HISTOGRAM_POINT))];
static HISTOGRAM_POINT: Shape = &[(6, Fixed64s), (7, Fixed64s), (8, M(&EXEMPLAR)), (9, M(&KEY_VALUE))];
static EXPONENTIAL: Shape = &[(1, M(&EXPONENTIAL_POINT))];
static EXPONENTIAL_POINT: Shape = &[(1, M(&KEY_VALUE)), (8, M(&BUCKETS)), (9, M(&BUCKETS)), (11, M(&EXEMPLAR))];
static BUCKETS: Shape = &[(2, Varints)];
static SUMMARY: Shape = &[(1, M(&SUMMARY_POINT))];
static SUMMARY_POINT: Shape = &[(6, M(&LEAF)), (7, M(&KEY_VALUE))];
static EXEMPLAR: Shape = &[(7, M(&KEY_VALUE))];
static RESOURCE: Shape = &[(1, M(&KEY_VALUE)), (3, M(&LEAF))];
static SCOPE: Shape = &[(3, M(&KEY_VALUE))];
static KEY_VALUE: Shape = &[(2, M(&ANY_VALUE))];
static ANY_VALUE: Shape = &[(5, M(&ARRAY)), (6, M(&LIST))];
static ARRAY: Shape = &[(1, M(&ANY_VALUE))];
static LIST: Shape = &[(1, M(&KEY_VALUE))];
static LEAF: Shape = &[];

/// The same request with fields in another order, unknown fields in between, and lists packed differently.
pub(crate) fn request(signal: Signal, bytes: &[u8], generator: &mut Generator) -> Vec<u8> {
    let shape = match signal {
        Signal::Traces => TRACES,
        Signal::Logs => LOGS,
        Signal::Metrics => METRICS,
    };
    message(shape, bytes, generator)
}

fn message(shape: Shape, bytes: &[u8], generator: &mut Generator) -> Vec<u8> {
    // The fields of one number keep their order: it has a meaning.
    let mut fields: Vec<(u32, Vec<Vec<u8>>)> = Vec::new();
    for (number, field) in split(shape, bytes, generator) {
        match fields.iter_mut().find(|(n, _)| *n == number) {
            Some((_, list)) => list.push(field),
            None => fields.push((number, vec![field])),
        }
    }
    fields.iter_mut().for_each(|(_, list)| list.reverse());
    let mut out = Vec::new();
    while !fields.is_empty() {
        if generator.one_in(6) {
            unknown(&mut out, generator);
        }
        let next = generator.below(fields.len() as u64) as usize;
        out.extend(fields[next].1.pop().expect("empty lists are removed"));
        if fields[next].1.is_empty() {
            fields.remove(next);
        }
    }
    out
}

/// The fields of a message, each whole, their content scrambled already.
fn split(shape: Shape, bytes: &[u8], generator: &mut Generator) -> Vec<(u32, Vec<u8>)> {
    let mut rest = bytes;
    let mut fields = Vec::new();
    while rest.has_remaining() {
        let whole = rest;
        let (number, wire_type) = decode_key(&mut rest).expect("prost wrote it");
        let length = match wire_type {
            WireType::Varint => decode_varint(&mut rest).map(|_| 0).expect("prost wrote it"),
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            _ => decode_varint(&mut rest).expect("prost wrote it"),
        };
        let (content, after) = rest.split_at(length as usize);
        rest = after;
        let part = shape.iter().find(|(n, _)| *n == number).map(|(_, part)| part);
        match part.filter(|_| wire_type == WireType::LengthDelimited) {
            None => fields.push((number, whole[..whole.len() - after.len()].to_vec())),
            Some(M(inner)) => fields.push((number, delimited(number, &message(inner, content, generator)))),
            Some(Fixed64s) => {
                let values = content.chunks(8).map(|value| value.to_vec()).collect();
                fields.extend(repack(number, WireType::SixtyFourBit, values, generator));
            }
            Some(Varints) => {
                let mut values = Vec::new();
                let mut rest = content;
                while rest.has_remaining() {
                    let before = rest;
                    decode_varint(&mut rest).expect("prost wrote it");
                    values.push(before[..before.len() - rest.len()].to_vec());
                }
                fields.extend(repack(number, WireType::Varint, values, generator));
            }
        }
    }
    fields
}

/// A packed list in one piece, in several, or value by value.
fn repack(number: u32, one: WireType, values: Vec<Vec<u8>>, generator: &mut Generator) -> Vec<(u32, Vec<u8>)> {
    let mut fields = Vec::new();
    let mut rest = &values[..];
    while !rest.is_empty() {
        let take = if generator.one_in(2) { rest.len() } else { 1 + generator.below(rest.len() as u64) as usize };
        let (piece, after) = rest.split_at(take);
        rest = after;
        if generator.one_in(3) {
            for value in piece {
                let mut field = Vec::new();
                encode_key(number, one, &mut field);
                field.extend(value);
                fields.push((number, field));
            }
        } else {
            fields.push((number, delimited(number, &piece.concat())));
        }
    }
    fields
}

fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(content.len() as u64, &mut field);
    field.extend(content);
    field
}

/// A field that no version of OTLP has.
fn unknown(out: &mut Vec<u8>, generator: &mut Generator) {
    let number = 1_000 + generator.below(100_000) as u32;
    match generator.below(4) {
        0 => {
            encode_key(number, WireType::Varint, out);
            encode_varint(generator.next(), out);
        }
        1 => {
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend(generator.next().to_le_bytes());
        }
        2 => {
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.extend((generator.next() as u32).to_le_bytes());
        }
        _ => out.extend(delimited(number, &generator.next().to_le_bytes())),
    }
}
