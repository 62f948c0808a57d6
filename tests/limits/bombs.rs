//! A small request that unpacks to a gigabyte costs a bounded amount of memory, even many at once.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use daymark_tests::{Client, Role, System, SystemOptions};

const UNPACKED_BYTES: usize = 1 << 30;
const AT_ONCE: usize = 12;
/// The agent's `max_inflight_bytes`, and as much again for what a debug build holds besides. Unpacked in full, the
/// bombs would take 24 GiB.
const MAX_GROWTH_KIB: u64 = 512 << 10;

/// Members of a mebibyte of zeros each, one behind the other.
fn gzip_bomb() -> Vec<u8> {
    let mut gzip = Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(&vec![0; 1 << 20]).unwrap();
    let member = gzip.wait_with_output().unwrap().stdout;
    assert!(member.len() < 4096, "a mebibyte of zeros takes a kilobyte");
    member.repeat(UNPACKED_BYTES >> 20)
}

/// One frame of blocks that say "this byte, 128 KiB times" (RFC 8878, 3.1.1.2.2).
fn zstd_bomb() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3];
    let blocks = UNPACKED_BYTES >> 17;
    for block in 1..=blocks {
        let last = u32::from(block == blocks);
        let header = last | 1 << 1 | 1 << 17 << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// The most memory the process has ever had, KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends `bomb` many times at once; every copy is refused. Answers how many got "too large".
async fn explode(base: &str, encoding: &'static str, bomb: &[u8]) -> usize {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
    let answers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let request = http.post(format!("{base}/v1/traces")).header("content-type", "application/x-protobuf");
            tokio::spawn(request.header("content-encoding", encoding).body(bomb.to_vec()).send())
        })
        .collect();
    let mut too_large = 0;
    for answer in answers {
        let answer = answer.await.unwrap().unwrap_or_else(|error| panic!("{encoding}: no answer at all: {error:?}"));
        let status = answer.status().as_u16();
        // Turned away when too much is in hand already.
        assert!([413, 429, 503].contains(&status), "{encoding}: {status} {}", answer.text().await.unwrap());
        too_large += usize::from(status == 413);
    }
    too_large
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decompression_bombs_cost_bounded_memory() {
    let mut system = System::start(SystemOptions::default());
    let mut client = Client::new(system.otlp_http(), 22);
    let (spans, logs) = (client.spans(100), client.logs(100));
    client.send(&spans).await;
    let before = peak_kib(system.pid(Role::Up));
    for (encoding, bomb) in [("gzip", gzip_bomb()), ("zstd", zstd_bomb())] {
        let too_large = explode(&system.otlp_http(), encoding, &bomb).await;
        assert!(too_large > 0, "no {encoding} bomb was unpacked up to the cap");
    }
    let grown = peak_kib(system.pid(Role::Up)) - before;
    println!("{} bombs of 1 GiB: {} MiB more at most", 2 * AT_ONCE, grown >> 10);
    assert!(grown < MAX_GROWTH_KIB, "memory grew by {} MiB", grown >> 10);
    client.send(&logs).await;
    assert!(system.all_alive(), "{}", system.output(Role::Up));
    let ask = system.ask();
    assert_eq!(ask.sql_count("select count(*) from spans").await, 100);
    assert_eq!(ask.sql_count("select count(*) from logs").await, 100);
    ask.ledger_balances().await;
    system.stop();
}
