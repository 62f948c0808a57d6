//! The on-call person's phone: takes webhooks on a local port and keeps their bodies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::Value;

/// A listener for webhooks; its thread ends with the test.
pub struct Phone {
    /// Address for the receiver in `alerting.yaml`.
    pub url: String,
    /// Bodies, in the order of their arrival.
    pub calls: Receiver<Value>,
}

impl Phone {
    /// Listens on a free local port.
    pub fn start() -> Phone {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/page", listener.local_addr().unwrap());
        let (sender, calls) = sync_channel(100);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A connection that is closed without a request is no call.
                let _ = answer(stream, &sender);
            }
        });
        Phone { url, calls }
    }
}

fn answer(stream: TcpStream, calls: &SyncSender<Value>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    // The test may have ended already.
    let _ = calls.send(serde_json::from_slice(&body).unwrap_or(Value::Null));
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}
