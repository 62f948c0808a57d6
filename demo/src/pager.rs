//! The on-call person's phone: an HTTP listener for webhooks in Alertmanager's format.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use daymark_guard::{Clock, SystemClock};
use daymark_model::UnixNanos;
use serde_json::Value;
use tokio::net::TcpListener;

/// A notification that arrived.
#[derive(Clone, Debug)]
pub struct Page {
    /// When it arrived.
    pub at: UnixNanos,
    /// `firing` or `resolved`.
    pub status: String,
    /// The webhook body.
    pub body: Value,
}

impl Page {
    /// A label all alerts of the notification share.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.body["commonLabels"][name].as_str().unwrap_or("")
    }

    /// An annotation all alerts of the notification share.
    pub(crate) fn annotation(&self, name: &str) -> &str {
        self.body["commonAnnotations"][name].as_str().unwrap_or("")
    }
}

/// Receives webhooks and keeps them.
#[derive(Clone)]
pub struct Pager {
    address: SocketAddr,
    pages: Arc<Mutex<Vec<Page>>>,
}

impl Pager {
    /// Listens on a free local port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Pager> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let pager = Pager { address: listener.local_addr()?, pages: Arc::default() };
        let router = Router::new().route("/page", post(receive)).with_state(pager.clone());
        tokio::spawn(async move {
            // The listener lives as long as the demo; its end ends nothing else.
            let _ = axum::serve(listener, router).await;
        });
        Ok(pager)
    }

    /// The address for the webhook receiver.
    pub fn url(&self) -> String {
        format!("http://{}/page", self.address)
    }

    /// All notifications so far.
    pub fn pages(&self) -> Vec<Page> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn receive(State(pager): State<Pager>, Json(body): Json<Value>) -> &'static str {
    let status = body["status"].as_str().unwrap_or("").to_owned();
    let page = Page { at: SystemClock.now(), status, body };
    pager.pages.lock().unwrap_or_else(PoisonError::into_inner).push(page);
    "ok"
}
