//! Hot rows from a collector elsewhere: answers, refusals, and garbage.

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use daymark_model::{LogOffset, TenantId, TimeRange};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::samples::logs;
use crate::{HotError, HotRequest, HotRows, HotSource, HttpHotSource, TableName};

/// Answers one request with these bytes and asks for the hot rows.
async fn ask(answer: Vec<u8>) -> Result<HotRows, HotError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 65536];
        let read = stream.read(&mut request).await.unwrap();
        stream.write_all(&answer).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let source = HttpHotSource::new(&url, 2_000).unwrap();
    let request = HotRequest {
        tenant: TenantId::default(),
        table: TableName::Metrics10s,
        time: TimeRange::ALL,
        columns: None,
        after: LogOffset(7),
    };
    let rows = source.hot(request).await;
    let asked = server.await.unwrap();
    assert!(asked.starts_with("POST /internal/v1/hot HTTP/1.1\r\n"), "{asked}");
    rows
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    answer.extend(body);
    answer
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn rows_arrive_as_they_were_sent() {
    let batch = logs(8, &[("a", 1), ("b", 2)]);
    let rows = ask(answer("200 OK", "daymark-through: 9\r\n", &stream(&batch))).await.unwrap();
    assert_eq!((rows.through, rows.batches), (LogOffset(9), vec![batch]));
}

#[tokio::test]
async fn a_stale_snapshot_is_told_from_a_failure() {
    let stale = ask(answer("409 Conflict", "", br#"{"needed":12}"#)).await.unwrap_err();
    assert_eq!(stale, HotError::Stale { needed: LogOffset(12) });
    let whole = stream(&logs(8, &[("a", 1)]));
    for bad in [
        answer("503 Service Unavailable", "", b""),
        answer("409 Conflict", "", b"what"),
        answer("200 OK", "", &whole),
        answer("200 OK", "daymark-through: 9\r\n", b"garbage"),
        answer("200 OK", "daymark-through: 9\r\n", &whole[..whole.len() / 2]),
    ] {
        let error = ask(bad).await.unwrap_err();
        assert!(matches!(error, HotError::Unreachable(_)), "{error}");
    }
}
