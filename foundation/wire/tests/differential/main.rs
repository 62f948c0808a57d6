//! The walkers and the JSON reader against prost and opentelemetry-proto, which decode the same bytes independently.
//!
//! Random requests of all three signals are encoded by prost, then scrambled on the wire (fields in another order,
//! unknown fields in between, packed lists unpacked or in pieces), then damaged.

mod generate;
mod render;
mod scramble;
mod tree;

use daymark_model::Signal;
use daymark_wire::{Problem, json};
use generate::Generator;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use proptest::prelude::*;
use prost::Message;
use render::by_walker;
use tree::by_prost;

/// 1,000 cases a property; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Scenario: the requests that these tests are made of. Guarantees: they hold valid and invalid items of every signal,
/// and most damage leaves something that both decoders still take, so that comparing them means something.
#[test]
fn the_requests_are_worth_comparing() {
    for signal in Signal::ALL {
        let (mut items, mut rejected, mut both, mut neither) = (0, 0, 0, 0);
        for seed in 0..500 {
            let mut generator = Generator::new(seed);
            let mut bytes = encoded(signal, &mut generator);
            let walked =
                daymark_wire::check(signal, &bytes, &daymark_wire::DecodeLimits::default()).expect("prost wrote it");
            items += walked.items;
            rejected += walked.rejected;
            let place = generator.below(1_000) as f64 / 1_000.0;
            apply(&mut bytes, &[(place, Damage::Flip(1 << generator.below(8)))]);
            match by_prost(signal, &bytes) {
                Ok(_) => both += u64::from(by_walker(signal, &bytes).is_ok()),
                Err(_) => neither += 1,
            }
        }
        assert!(items - rejected > 300 && rejected > 100, "{signal}: {rejected} of {items} rejected");
        assert!(both > 50 && neither > 50, "{signal}: {both} taken, {neither} refused");
    }
}

/// A random request of `signal`, as prost encodes it.
fn encoded(signal: Signal, generator: &mut Generator) -> Vec<u8> {
    match signal {
        Signal::Traces => generator.traces().encode_to_vec(),
        Signal::Logs => generator.logs().encode_to_vec(),
        Signal::Metrics => generator.metrics().encode_to_vec(),
    }
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(Signal::ALL.to_vec())
}

/// Whether an item is rejected for what prost refuses the request for (text that is not UTF-8), or takes (nesting).
fn costs_an_item(signal: Signal, bytes: &[u8]) -> bool {
    let walked = daymark_wire::check(signal, bytes, &daymark_wire::DecodeLimits::CEILING);
    walked.is_ok_and(|walked| walked.reasons.to_string().contains("item with"))
}

/// Whether prost refuses the request for the text of one item, which costs no more than that item: of a metric without points,
/// nothing at all.
fn is_of_one_item(error: &str) -> bool {
    let items = ["ScopeSpans.spans", "ScopeLogs.log_records", "ScopeMetrics.metrics"];
    error.contains("invalid string value") && items.iter().any(|item| error.contains(item))
}

/// A change to one place of a request.
#[derive(Clone, Debug)]
enum Damage {
    Truncate,
    Set(u8),
    Flip(u8),
    Remove,
    Insert(u8),
    Repeat(usize),
}

fn damages() -> impl Strategy<Value = Vec<(f64, Damage)>> {
    let damage = prop_oneof![
        Just(Damage::Truncate),
        any::<u8>().prop_map(Damage::Set),
        (0..8_u8).prop_map(|bit| Damage::Flip(1 << bit)),
        Just(Damage::Remove),
        any::<u8>().prop_map(Damage::Insert),
        (1..64_usize).prop_map(Damage::Repeat),
    ];
    prop::collection::vec((0.0..1.0, damage), 1..4)
}

fn apply(bytes: &mut Vec<u8>, damages: &[(f64, Damage)]) {
    for (place, damage) in damages {
        if bytes.is_empty() {
            return;
        }
        let place = (*place * bytes.len() as f64) as usize;
        match damage {
            Damage::Truncate => bytes.truncate(place),
            Damage::Set(byte) => bytes[place] = *byte,
            Damage::Flip(mask) => bytes[place] ^= mask,
            Damage::Remove => _ = bytes.remove(place),
            Damage::Insert(byte) => bytes.insert(place, *byte),
            Damage::Repeat(length) => {
                let end = (place + length).min(bytes.len());
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// Scenario: valid requests, in every order and packing. Guarantees: we see what prost sees.
    #[test]
    fn the_walkers_see_what_prost_sees(signal in signals(), seed: u64) {
        let mut generator = Generator::new(seed);
        let plain = encoded(signal, &mut generator);
        let scrambled = scramble::request(signal, &plain, &mut generator);
        for bytes in [&plain, &scrambled] {
            let expected = by_prost(signal, bytes).expect("prost decodes it");
            let seen = by_walker(signal, bytes);
            prop_assert_eq!(seen.map_err(|error| error.to_string()), Ok(expected));
        }
    }

    /// Scenario: damaged requests. Guarantees: no panic; what prost refuses we refuse, but for the few faults that cost one
    /// item; what we refuse beyond that has a reason of ours; what both take both see alike.
    #[test]
    fn damaged_requests_are_refused_or_seen_alike(signal in signals(), seed: u64, damages in damages(), scrambled: bool) {
        let mut generator = Generator::new(seed);
        let mut bytes = encoded(signal, &mut generator);
        if scrambled {
            bytes = scramble::request(signal, &bytes, &mut generator);
        }
        apply(&mut bytes, &damages);
        if costs_an_item(signal, &bytes) {
            return Ok(());
        }
        match (by_walker(signal, &bytes), by_prost(signal, &bytes)) {
            (Ok(seen), Ok(expected)) => prop_assert_eq!(seen, expected),
            (Ok(_), Err(error)) => prop_assert!(is_of_one_item(&error.to_string()), "prost refuses: {}", error),
            (Err(_), Err(_)) => {}
            (Err(error), Ok(_)) => {
                let ours = matches!(error.problem, Problem::Group | Problem::Repeated | Problem::Depth { .. });
                prop_assert!(ours, "only we refuse: {error}");
                prop_assert!(error.position <= bytes.len());
            }
        }
    }

    /// Scenario: bytes that are no request. Guarantees: no panic, and we take none that prost refuses.
    #[test]
    fn garbage_does_no_harm(signal in signals(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if by_walker(signal, &bytes).is_ok() && !costs_an_item(signal, &bytes) {
            let refused = by_prost(signal, &bytes).err().map(|error| error.to_string());
            prop_assert!(refused.as_deref().is_none_or(is_of_one_item), "{refused:?}");
        }
    }

    /// Scenario: requests as opentelemetry-proto writes them in JSON. Guarantees: the same request arrives.
    #[test]
    fn json_becomes_the_request_it_was(signal in signals(), seed: u64) {
        let mut generator = Generator::for_json(seed);
        let (json, expected) = match signal {
            Signal::Traces => { let it = generator.traces(); (serde_json::to_vec(&it), it.encode_to_vec()) }
            Signal::Logs => { let it = generator.logs(); (serde_json::to_vec(&it), it.encode_to_vec()) }
            Signal::Metrics => { let it = generator.metrics(); (serde_json::to_vec(&it), it.encode_to_vec()) }
        };
        let json = json.expect("opentelemetry-proto writes it");
        let bytes = json::to_protobuf(signal, &json, usize::MAX).map_err(|refusal| TestCaseError::fail(refusal.message))?;
        let again = match signal {
            Signal::Traces => Traces::decode(&*bytes).map(|it| it.encode_to_vec()),
            Signal::Logs => Logs::decode(&*bytes).map(|it| it.encode_to_vec()),
            Signal::Metrics => Metrics::decode(&*bytes).map(|it| it.encode_to_vec()),
        };
        prop_assert_eq!(again.expect("prost decodes it"), expected);
    }

    /// Scenario: damaged JSON. Guarantees: no panic, and a refusal that says something.
    #[test]
    fn damaged_json_does_no_harm(signal in signals(), seed: u64, damages in damages()) {
        let mut generator = Generator::for_json(seed);
        let mut json = match signal {
            Signal::Traces => serde_json::to_vec(&generator.traces()),
            Signal::Logs => serde_json::to_vec(&generator.logs()),
            Signal::Metrics => serde_json::to_vec(&generator.metrics()),
        }.expect("opentelemetry-proto writes it");
        apply(&mut json, &damages);
        match json::to_protobuf(signal, &json, usize::MAX) {
            Ok(bytes) => prop_assert!(by_prost(signal, &bytes).is_ok()),
            Err(refusal) => prop_assert!(!refusal.message.is_empty()),
        }
    }
}
