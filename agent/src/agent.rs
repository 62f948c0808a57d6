//! [`Agent`]: starts the pipeline and its heartbeat; [`AgentHandle`] is what the listeners talk to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use daymark_guard::{Clock, Drain};
use daymark_model::{AgentId, Ledger, Refusal, UnixNanos};
use daymark_wire::{Heartbeat, Ingest, IngestAnswer, IngestRequest};
use tokio::sync::Semaphore;

use crate::closed::Closed;
use crate::derive::DeriverPool;
use crate::error::AgentError;
use crate::heartbeat::Tenants;
use crate::identity::{Identity, Sequence};
use crate::options::AgentOptions;
use crate::queue::Queue;
use crate::send::Sender;
use crate::{heartbeat, pipeline};

/// Starts agents.
pub struct Agent;

/// A running agent. Clones share it. Implements [`Ingest`] for the listeners.
#[derive(Clone)]
pub struct AgentHandle {
    pub(crate) shared: Arc<Shared>,
}

/// What the stages of the pipeline share.
pub(crate) struct Shared {
    pub(crate) options: AgentOptions,
    pub(crate) identity: Identity,
    pub(crate) sequence: Sequence,
    pub(crate) ledger: Ledger,
    pub(crate) closed: Closed,
    pub(crate) derivers: DeriverPool,
    /// Turns of large requests, which are decoded on threads of their own.
    pub(crate) decoding: Semaphore,
    pub(crate) queue: Queue,
    pub(crate) sender: Sender,
    pub(crate) tenants: Tenants,
    pub(crate) upstream: Arc<dyn Ingest>,
    pub(crate) upstream_alive: AtomicBool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) drain: Drain,
}

impl Agent {
    /// Starts an agent that passes on to `upstream`: a collector in this process, or a client of one far away.
    ///
    /// The agent stops taking requests when `drain` begins, and finishes those it has. `upstream` must keep working
    /// until then: it needs a drain of its own, begun after this one has finished.
    ///
    /// # Errors
    /// [`AgentError`] when the identity cannot be kept in `options.data_dir` or another agent uses it.
    pub async fn start(
        options: AgentOptions,
        upstream: Arc<dyn Ingest>,
        clock: Arc<dyn Clock>,
        drain: Drain,
    ) -> Result<AgentHandle, AgentError> {
        let identity = Identity::take(&options.data_dir).await?;
        tracing::info!(agent = %identity.agent, epoch = identity.epoch, "agent started");
        let shared = Arc::new(Shared {
            identity,
            sequence: Sequence::default(),
            ledger: Ledger::since("agent", clock.now()),
            closed: Closed::default(),
            derivers: DeriverPool::new(&options),
            decoding: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            queue: Queue::new(options.queue_items, options.queue_bytes),
            sender: Sender::new(&options),
            tenants: Tenants::new(&options),
            upstream,
            upstream_alive: AtomicBool::new(false),
            clock,
            drain: drain.clone(),
            options,
        });
        drain.spawn(heartbeat::run(Arc::clone(&shared)));
        Ok(AgentHandle { shared })
    }
}

impl AgentHandle {
    /// The counts of this run; for `ReceiveOptions`, so that requests refused by the listeners are counted too.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger.clone()
    }

    /// Identity of this installation.
    pub fn id(&self) -> AgentId {
        self.shared.identity.agent
    }

    /// Which run of it this is.
    pub fn epoch(&self) -> u64 {
        self.shared.identity.epoch
    }

    /// The agent will send no more items that arrived before this time: now when nothing is in flight, else when the
    /// oldest request in flight arrived.
    pub fn closed_until(&self) -> UnixNanos {
        self.shared.closed.until(self.shared.clock.now())
    }

    /// Items and bytes waiting for the collector.
    pub fn waiting(&self) -> (u64, u64) {
        self.shared.queue.waiting()
    }

    /// Whether the collector answered the last heartbeat.
    pub fn is_upstream_alive(&self) -> bool {
        self.shared.upstream_alive.load(Relaxed)
    }

    /// Whether the agent takes requests and its collector answered the last heartbeat.
    pub fn is_ready(&self) -> bool {
        self.shared.upstream_alive.load(Relaxed) && !self.shared.drain.has_begun()
    }
}

#[async_trait]
impl Ingest for AgentHandle {
    async fn ingest(&self, request: IngestRequest) -> Result<IngestAnswer, Refusal> {
        pipeline::carry(&self.shared, request).await
    }

    async fn heartbeat(&self, _beat: Heartbeat) -> Result<(), Refusal> {
        Err(Refusal::reject("not_a_collector", "an agent takes no heartbeats: send them to the collector"))
    }

    fn busy(&self) -> Option<Refusal> {
        pipeline::busy(&self.shared)
    }
}
