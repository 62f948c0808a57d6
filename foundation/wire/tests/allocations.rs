//! Walking a request allocates for its scratch lists, not for its items.
#![expect(unsafe_code, reason = "a counting allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use daymark_model::Signal;
use daymark_wire::{DecodeLimits, check};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes every call on to the system's allocator; the counter itself does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn request(spans: usize) -> Vec<u8> {
    let attribute = |i: usize| KeyValue {
        key: format!("key.{i}"),
        value: Some(AnyValue { value: Some(Value::StringValue("value".repeat(i))) }),
        ..KeyValue::default()
    };
    let attributes: Vec<KeyValue> = (0..8).map(attribute).collect();
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "GET /checkout".into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        events: vec![Event { attributes: attributes.clone(), ..Event::default() }; 2],
        attributes,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span; spans], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Scenario: a request of 10 spans and one of 10,000. Guarantees: the same number of allocations.
#[test]
fn items_cost_no_allocation() {
    let allocations = |spans: usize| {
        let bytes = request(spans);
        let before = ALLOCATIONS.with(Cell::get);
        let walked = check(Signal::Traces, &bytes, &DecodeLimits::default()).unwrap();
        assert_eq!((walked.items, walked.rejected), (spans as u64, 0));
        ALLOCATIONS.with(Cell::get) - before
    };
    assert_eq!(allocations(10), allocations(10_000));
    assert!(allocations(10) < 20);
}
