//! A proxy in front of the bucket that passes on one conditional put at a time, because moto lets two win when they race, and that
//! is slow, asks to slow down, loses answers, is away, or stops in the middle of a commit.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code><Message>Please reduce \
                         your request rate.</Message></Error>";

/// What happens to requests, in so many of a thousand.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// Each waits up to so long, milliseconds.
    pub(super) latency_ms: u64,
    /// Answered with 503 and not passed on.
    pub(super) slow_down: u32,
    /// Passed on, but the connection breaks before the answer.
    pub(super) lost_answer: u32,
}

/// When the next commit stops.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// It has arrived and is never applied.
    Before,
    /// It is applied, and nobody is told.
    After,
    /// It is applied a while later, when its sender is gone.
    Late,
}

struct Plan {
    bucket: SocketAddr,
    faults: Mutex<Faults>,
    random: Mutex<StdRng>,
    away: AtomicBool,
    conditional: tokio::sync::Mutex<()>,
    commit: Mutex<Option<(Moment, oneshot::Sender<()>)>>,
}

/// A running proxy; it ends with the test's runtime.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    plan: Arc<Plan>,
}

impl Proxy {
    pub(super) async fn start(bucket: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Plan {
            bucket,
            faults: Mutex::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            away: false.into(),
            conditional: tokio::sync::Mutex::default(),
            commit: Mutex::default(),
        });
        let of_server = Arc::clone(&plan);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let plan = Arc::clone(&of_server);
                // A connection that breaks is what this is for.
                tokio::spawn(async move { serve(&plan, client).await.ok() });
            }
        });
        Proxy { address, plan }
    }

    pub(super) fn set(&self, faults: Faults) {
        *self.plan.faults.lock().unwrap() = faults;
    }

    /// Breaks every connection, or no more.
    pub(super) fn away(&self, away: bool) {
        self.plan.away.store(away, Relaxed);
    }

    /// Stops the next commit at `moment`; resolves when it is there.
    pub(super) fn stop_commit(&self, moment: Moment) -> oneshot::Receiver<()> {
        let (there, wait) = oneshot::channel();
        *self.plan.commit.lock().unwrap() = Some((moment, there));
        wait
    }
}

async fn serve(plan: &Plan, mut client: TcpStream) -> std::io::Result<()> {
    let Some(request) = read_request(&mut client).await? else { return Ok(()) };
    if plan.away.load(Relaxed) {
        return Ok(());
    }
    let (method, path) = (request.method.as_str(), request.path.as_str());
    let faults = *plan.faults.lock().unwrap();
    let (wait, fate) = {
        let mut random = plan.random.lock().unwrap();
        (random.random_range(0..=faults.latency_ms), random.random_range(0..1_000))
    };
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let is_commit = method == "PUT" && path.contains("/_delta_log/0") && path.ends_with(".json");
    let armed = if is_commit { plan.commit.lock().unwrap().take() } else { None };
    if let Some((moment, there)) = armed {
        if let Moment::After = moment {
            pass_on(plan, &request).await?;
        }
        there.send(()).ok();
        // The sender is killed by now, or will be in a moment.
        tokio::time::sleep(Duration::from_millis(400)).await;
        if let Moment::Late = moment {
            pass_on(plan, &request).await?;
        }
        return Ok(());
    }
    if fate < faults.slow_down {
        let length = SLOW_DOWN.len();
        let answer = format!(
            "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        client.write_all(answer.as_bytes()).await?;
        return client.write_all(SLOW_DOWN.as_bytes()).await;
    }
    let answer = pass_on(plan, &request).await?;
    if fate < faults.slow_down + faults.lost_answer {
        return Ok(());
    }
    client.write_all(&answer).await
}

struct Request {
    method: String,
    path: String,
    conditional: bool,
    /// Head and body, with `connection: close`.
    bytes: Vec<u8>,
}

async fn read_request(client: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let header = |name: &str| {
        let found = text.lines().find_map(|line| line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").map_or(0, |value| value.parse().unwrap());
    while bytes.len() < head + length {
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let conditional = header("if-none-match").is_some();
    let first = text.find("\r\n").unwrap() + 2;
    bytes.splice(first..first, *b"connection: close\r\n");
    Ok(Some(Request { method, path, conditional, bytes }))
}

async fn pass_on(plan: &Plan, request: &Request) -> std::io::Result<Vec<u8>> {
    let _alone = if request.conditional { Some(plan.conditional.lock().await) } else { None };
    let mut bucket = TcpStream::connect(plan.bucket).await?;
    bucket.write_all(&request.bytes).await?;
    let mut answer = Vec::new();
    bucket.read_to_end(&mut answer).await?;
    Ok(answer)
}
