//! The wire: OTLP in and out, JSON events, decompression, and the stamped batch between agent and collector.
//!
//! Where it sits: the first and the last crate a byte passes on its way from a service to the ingest log.
//! The agent and the collector both implement [`Ingest`]; the receivers here feed it, [`CollectorClient`] is its
//! far side. What is stored is read again through the same one-pass walkers of [`decode`].
//!
//! Invariants:
//! - telemetry is hostile: every length is checked before memory is taken for it, every nesting is capped;
//! - one request is one call of [`Ingest::ingest`]: requests are never merged or split here;
//! - a success answer is written only after [`Ingest::ingest`] returned `Ok`, that is, after the data is durable;
//! - decoding allocates per request, never per item.
//!
//! What it does not do: it keeps no state between requests, retries nothing and recognises no repeated batch
//! (the agent and the collector do, by [`IngestRequest::stamp`] and [`IngestRequest::content_hash`]).

pub mod batch;
pub mod client;
pub mod dead_letters;
pub mod decode;
pub mod decompress;
pub mod derived;
mod error;
pub mod events;
pub mod health;
pub mod ingest;
pub mod json;
mod proto;
pub mod receive;
mod status;
mod text;

pub use batch::{BatchView, encode_batch};
pub use client::{CollectorClient, CollectorClientOptions};
pub use dead_letters::{DeadLetter, DeadLetterCounts, DeadLetterError, DeadLetterFile, DeadLetterOptions, DeadLetters};
pub use decode::{
    DecodeLimits, Reasons, TimeBounds, Walked, check, walk_logs, walk_logs_within, walk_metrics, walk_metrics_within,
    walk_traces, walk_traces_within,
};
pub use derived::{DerivedExemplar, DerivedSource, DerivedView, DerivedWriter, derived_fault, walk_derived};
pub use error::{DecodeError, Problem};
pub use health::{LateRoutes, health_router, not_draining};
pub use ingest::{Checked, Heartbeat, Ingest, IngestAnswer, IngestRequest, Payload, content_hash};
pub use receive::{
    InvalidKey, KeyFile, KeyFileError, ReceiveOptions, Scope, TenantKeys, follow_key_file, http_router, serve_grpc,
    serve_http,
};
