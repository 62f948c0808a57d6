//! Accepting connections: TCP_NODELAY on each, a cap on how many, and an orderly end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use daymark_guard::Drain;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::grpc;
use super::options::ServeOptions;
use super::receiver::Receiver;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// HTTP/2 flow control: what one stream and one connection may send before it was read, bytes.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Pause after a failed accept (usually: no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn http(listener: TcpListener, router: axum::Router, options: &ServeOptions, drain: Drain) {
    serve(listener, TowerToHyperService::new(router), builder(options), options, drain).await;
}

pub(super) async fn grpc(listener: TcpListener, receiver: Arc<Receiver>, options: &ServeOptions, drain: Drain) {
    let service = service_fn(move |request| {
        let receiver = receiver.clone();
        async move { Ok::<_, Infallible>(grpc::handle(receiver, request).await) }
    });
    serve(listener, service, builder(options).http2_only(), options, drain).await;
}

fn builder(options: &ServeOptions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let header_timeout = Duration::from_millis(options.header_timeout_ms);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(options.keep_alive_ms))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    builder
}

async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    builder: Builder<TokioExecutor>,
    options: &ServeOptions,
    drain: Drain,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let drain_timeout = Duration::from_millis(options.drain_timeout_ms);
    let places = Arc::new(Semaphore::new(options.max_connections as usize));
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = drain.begun() => break,
        };
        let (service, builder, draining) = (service.clone(), builder.clone(), drain.clone());
        drain.spawn(async move {
            let _place = place;
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = draining.begun() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::time::timeout(drain_timeout, connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }
    drop(listener);
    // All places are free again when the last connection has ended.
    let all = places.acquire_many(options.max_connections);
    if tokio::time::timeout(drain_timeout, all).await.is_err() {
        tracing::warn!("closed connections with requests in hand: the drain took too long");
    }
}

/// The next connection, with TCP_NODELAY: small answers must not wait for the client's delayed ACK (40 ms).
pub(super) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.set_nodelay(true) {
                Ok(()) => return stream,
                Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
