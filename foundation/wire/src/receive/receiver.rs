//! What every request goes through, whichever way it came.

use std::fmt::Display;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daymark_guard::{Charge, Counted, FairSlots};
use daymark_model::{AgentId, ErrorClass, Refusal, Signal, Stamp, TenantId, UnixNanos};
use http::HeaderMap;
use http_body::Body;

use super::memory::{RequestMemory, Room};
use super::{ReceiveOptions, Scope, body};
use crate::dead_letters::REPLAY_HEADER;
use crate::decompress::{Encoding, decompress_within};
use crate::ingest::headers;
use crate::{DeadLetter, Heartbeat, Ingest, IngestAnswer, IngestRequest, Payload, content_hash, events, json};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Signal(Signal),
    Events,
    Batch,
    Heartbeat,
}

impl Route {
    /// Where it is on the HTTP listener.
    pub(super) fn path(self) -> String {
        match self {
            Route::Signal(signal) => format!("/v1/{signal}"),
            Route::Events => "/v1/events".to_owned(),
            Route::Batch => "/v1/batch".to_owned(),
            Route::Heartbeat => "/v1/heartbeat".to_owned(),
        }
    }

    /// Under which signal a refused request is counted; an agent's batch counts as traces.
    fn ledger_signal(self) -> Option<Signal> {
        match self {
            Route::Signal(signal) => Some(signal),
            Route::Events => Some(Signal::Logs),
            Route::Batch => Some(Signal::Traces),
            Route::Heartbeat => None,
        }
    }
}

/// How the content of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

/// How the content of a request is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The body is the content, so compressed.
    Http(Encoding),
    /// The body is one gRPC message; if it is marked as compressed, so.
    Grpc(Encoding),
}

/// A request before its body was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) route: Route,
    pub(super) format: Format,
    pub(super) framing: Framing,
    /// How long the client waits, when it says so.
    pub(super) deadline: Option<Duration>,
}

/// Bodies up to this size are unpacked where they are; larger ones on a thread that may block.
const UNPACK_INLINE_BYTES: usize = 128 << 10;
/// Compression flag and length of a gRPC message.
const GRPC_PREFIX_BYTES: usize = 5;

/// What is known of a request when it ends, however it ends.
struct Progress<'p> {
    charge: &'p mut Charge,
    /// Its body as it was sent, once that has come.
    sent: &'p mut Option<(Bytes, Encoding)>,
    /// Whether [`Ingest`] has it.
    handed_over: &'p mut bool,
}

/// One listener's way to [`Ingest`], with its limits.
pub(super) struct Receiver {
    ingest: Arc<dyn Ingest>,
    pub(super) options: ReceiveOptions,
    slots: Arc<FairSlots>,
    memory: Arc<RequestMemory>,
}

impl Receiver {
    pub(super) fn new(ingest: Arc<dyn Ingest>, options: ReceiveOptions) -> Receiver {
        let slots = FairSlots::new(options.max_concurrent_requests, options.max_waiting_requests);
        let memory = RequestMemory::new(options.max_inflight_bytes, options.retry_after_ms);
        Receiver { ingest, options, slots, memory }
    }

    /// Takes one request to its answer.
    pub(super) async fn handle<B>(&self, call: Call, headers: &HeaderMap, body: B) -> Result<IngestAnswer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Display,
    {
        let mut handed_over = false;
        let own = Duration::from_millis(self.options.request_timeout_ms);
        // Nobody reads an answer that comes after the client's own deadline.
        let timeout = call.deadline.map_or(own, |deadline| deadline.min(own));
        let reason = if timeout < own { "deadline" } else { "timeout" };
        let mut body = pin!(body);
        let steps = self.steps(call, headers, body.as_mut(), &mut handed_over);
        let answer = tokio::time::timeout(timeout, steps).await.unwrap_or_else(|_| {
            let message = format!("no answer within {timeout:?}; send it again, a repeated request is recognised");
            Err(Refusal::unavailable(reason, message, self.options.retry_after_ms))
        });
        if let Err(refusal) = &answer
            && !handed_over
        {
            self.count(call.route, refusal);
            tracing::debug!(route = ?call.route, reason = refusal.reason, "refused a request: {refusal}");
            body::discard(body).await;
        }
        answer
    }

    /// Notes a request that [`Ingest`] has not seen. How many items it had is not known: one stands for it.
    pub(super) fn count(&self, route: Route, refusal: &Refusal) {
        let Some(signal) = route.ledger_signal() else { return };
        let mut items = self.options.ledger.receive(signal, 1);
        match refusal.class {
            ErrorClass::Retry | ErrorClass::Overload => items.shed(refusal.reason, 1),
            ErrorClass::Reject | ErrorClass::Corrupt | ErrorClass::Bug => items.reject(refusal.reason, 1),
        }
    }

    async fn steps<B>(
        &self,
        call: Call,
        headers: &HeaderMap,
        body: Pin<&mut B>,
        handed_over: &mut bool,
    ) -> Result<IngestAnswer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Display,
    {
        let frame_bytes = if matches!(call.framing, Framing::Grpc(_)) { GRPC_PREFIX_BYTES } else { 0 };
        let announced = body::announced(&*body, self.options.max_request_bytes, frame_bytes)?;
        let tenant = self.options.keys.tenant(headers, Scope::Ingest)?;
        let mut charge = self.options.quotas.charge(&tenant, Counted::Bytes);
        if call.route != Route::Heartbeat {
            charge.set(announced as u64)?;
        }
        let mut sent = None;
        let progress = Progress { charge: &mut charge, sent: &mut sent, handed_over };
        let outcome = self.admitted(call, headers, tenant.clone(), body, progress).await;
        if let (Err(refusal), Some(sent)) = (&outcome, sent)
            && refusal.reason == "malformed"
        {
            self.bury(call, headers, tenant, sent, refusal);
        }
        // What is told to come again is charged when it does; what was wrong has cost its work.
        if !matches!(&outcome, Err(refusal) if matches!(refusal.class, ErrorClass::Retry | ErrorClass::Overload)) {
            charge.keep();
        }
        outcome
    }

    /// The costly steps, for a request whose key and announced size are right.
    async fn admitted<B>(
        &self,
        call: Call,
        headers: &HeaderMap,
        tenant: TenantId,
        body: Pin<&mut B>,
        progress: Progress<'_>,
    ) -> Result<IngestAnswer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Display,
    {
        let Progress { charge, sent, handed_over } = progress;
        // Heartbeats are small, and without them time would stand still for the alerts.
        let heartbeat = call.route == Route::Heartbeat;
        let busy = || if heartbeat { None } else { self.ingest.busy() };
        busy().map_or(Ok(()), Err)?;
        let held = if heartbeat { None } else { Some(self.options.memory.admit(&tenant)?) };
        let Ok(_slot) = self.slots.acquire(&tenant).await else {
            let message = format!("too many requests of tenant {tenant} at once: send again later");
            return Err(Refusal::unavailable("concurrency", message, self.options.retry_after_ms));
        };
        // It may have waited for its slot.
        busy().map_or(Ok(()), Err)?;
        let mut room = self.memory.room(held);
        let max_bytes = self.options.max_request_bytes;
        let (body, encoding) = match call.framing {
            Framing::Http(encoding) => (body::read(body, max_bytes, 0, &mut room).await?, encoding),
            Framing::Grpc(encoding) => {
                unframe(body::read(body, max_bytes, GRPC_PREFIX_BYTES, &mut room).await?, encoding)?
            }
        };
        if !heartbeat {
            *sent = self.options.dead_letters.is_some().then(|| (body.clone(), encoding));
            // As sent: what does not fit even so is refused before the work of unpacking it.
            charge.set(body.len() as u64)?;
        }
        let (content, _room) = self.unpack(call, encoding, body, room).await?;
        if heartbeat {
            let mut beat: Heartbeat = serde_json::from_slice(&content.bytes)
                .map_err(|error| Refusal::reject("malformed", format!("not a heartbeat: {error}")))?;
            beat.tenant = tenant;
            *handed_over = true;
            return self.ingest.heartbeat(beat).await.map(|()| IngestAnswer::default());
        }
        charge.set(content.counted_bytes as u64)?;
        let request = request(call.route, headers, tenant, content)?;
        *handed_over = true;
        self.ingest.ingest(request).await
    }

    /// Keeps a copy of what cannot be decoded.
    fn bury(&self, call: Call, headers: &HeaderMap, tenant: TenantId, sent: (Bytes, Encoding), refusal: &Refusal) {
        let Some(dead_letters) = &self.options.dead_letters else { return };
        if headers.contains_key(REPLAY_HEADER) {
            return;
        }
        let content_type = match call.framing {
            Framing::Http(_) => headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()),
            Framing::Grpc(_) => None,
        };
        dead_letters.keep(DeadLetter {
            time: self.options.clock.now(),
            tenant,
            path: call.route.path(),
            content_type: content_type.unwrap_or("application/x-protobuf").to_owned(),
            content_encoding: sent.1.name().to_owned(),
            reason: refusal.reason.to_owned(),
            message: refusal.message.clone(),
            content: sent.0,
        });
    }

    /// Decompresses and turns JSON into protobuf; the room comes back grown.
    async fn unpack(
        &self,
        call: Call,
        encoding: Encoding,
        body: Bytes,
        mut room: Room,
    ) -> Result<(Content, Room), Refusal> {
        let (max_bytes, now) = (self.options.max_decompressed_bytes, self.options.clock.now());
        let large = body.len() > UNPACK_INLINE_BYTES && (encoding != Encoding::Identity || call.format == Format::Json);
        let work = move || {
            let content = unpack(call, encoding, body, max_bytes, now, &mut room)?;
            Ok((content, room))
        };
        if !large {
            return work();
        }
        let unpacked = tokio::task::spawn_blocking(work).await;
        unpacked.unwrap_or_else(|error| Err(bug(format!("unpacking the request failed: {error}"))))
    }
}

/// A request's content as protobuf (a heartbeat's as JSON).
struct Content {
    bytes: Bytes,
    hash: u128,
    /// Size after decompression, as the client wrote it.
    counted_bytes: usize,
}

fn unpack(
    call: Call,
    encoding: Encoding,
    body: Bytes,
    max_bytes: usize,
    now: UnixNanos,
    room: &mut Room,
) -> Result<Content, Refusal> {
    let bytes = match encoding {
        Encoding::Identity => body,
        _ => decompress_within(encoding, &body, max_bytes, &mut |bytes| room.grow(bytes))?.into(),
    };
    let counted_bytes = bytes.len();
    let signal = match call.route {
        Route::Signal(signal) => signal,
        Route::Events => {
            room.grow(bytes.len())?;
            let events = events::to_protobuf(&bytes, now, max_bytes)?;
            // Equal events that bring no time of their own are two happenings, not a retry.
            let hashed = if events.timed { &bytes[..] } else { &events.request };
            return Ok(Content {
                hash: content_hash(Signal::Logs, hashed),
                bytes: events.request.into(),
                counted_bytes,
            });
        }
        Route::Batch => return Ok(Content { hash: xxhash_rust::xxh3::xxh3_128(&bytes), bytes, counted_bytes }),
        Route::Heartbeat => return Ok(Content { hash: 0, bytes, counted_bytes }),
    };
    let hash = content_hash(signal, &bytes);
    if call.format == Format::Protobuf {
        return Ok(Content { bytes, hash, counted_bytes });
    }
    room.grow(bytes.len())?;
    let request = json::to_protobuf(signal, &bytes, max_bytes)?;
    room.grow(request.len().saturating_sub(bytes.len()))?;
    Ok(Content { bytes: request.into(), hash, counted_bytes })
}

/// Takes the message out of a gRPC body that holds exactly one.
fn unframe(mut body: Bytes, encoding: Encoding) -> Result<(Bytes, Encoding), Refusal> {
    let malformed = |what: &str| Refusal::reject("malformed", format!("not a unary gRPC request: {what}"));
    if body.len() < GRPC_PREFIX_BYTES {
        return Err(malformed("the message is missing"));
    }
    let message = body.split_off(GRPC_PREFIX_BYTES);
    let (compressed, length) = (body[0], u32::from_be_bytes([body[1], body[2], body[3], body[4]]));
    if message.len() != length as usize {
        return Err(malformed("the length of the message is not that of the body"));
    }
    match compressed {
        0 => Ok((message, Encoding::Identity)),
        1 if encoding != Encoding::Identity => Ok((message, encoding)),
        1 => Err(malformed("the message is marked as compressed, but grpc-encoding is not set")),
        _ => Err(malformed("the compression flag is neither 0 nor 1")),
    }
}

fn request(route: Route, headers: &HeaderMap, tenant: TenantId, content: Content) -> Result<IngestRequest, Refusal> {
    let Content { bytes, hash, .. } = content;
    let payload = match route {
        Route::Signal(signal) => Payload::Signal(signal, bytes),
        Route::Batch => {
            let payload = Payload::Batch(bytes);
            let closed_until = header(headers, headers::CLOSED_UNTIL)?.map(UnixNanos);
            let content_hash = match header::<String>(headers, headers::CONTENT_HASH)? {
                Some(text) => u128::from_str_radix(&text, 16).map_err(|_| bad_header(headers::CONTENT_HASH))?,
                None => hash,
            };
            return Ok(IngestRequest {
                tenant,
                payload,
                stamp: stamp(headers)?,
                closed_until,
                content_hash,
                checked: None,
            });
        }
        Route::Events | Route::Heartbeat => Payload::Signal(Signal::Logs, bytes),
    };
    // Only agents stamp, and agents send batches: stamps of others are not believed.
    Ok(IngestRequest { tenant, payload, stamp: None, closed_until: None, content_hash: hash, checked: None })
}

fn stamp(headers: &HeaderMap) -> Result<Option<Stamp>, Refusal> {
    let agent = header::<AgentId>(headers, headers::AGENT)?;
    let epoch = header(headers, headers::EPOCH)?;
    let sequence = header(headers, headers::SEQUENCE)?;
    match (agent, epoch, sequence) {
        (Some(agent), Some(epoch), Some(sequence)) => Ok(Some(Stamp { agent, epoch, sequence })),
        (None, None, None) => Ok(None),
        _ => Err(Refusal::reject("malformed", "a stamp needs daymark-agent, daymark-epoch and daymark-sequence")),
    }
}

fn header<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<Option<T>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| bad_header(name))
}

fn bad_header(name: &str) -> Refusal {
    Refusal::reject("malformed", format!("the header {name} cannot be read"))
}

fn bug(message: String) -> Refusal {
    Refusal { class: ErrorClass::Bug, reason: "bug", message, retry_after_ms: None }
}
