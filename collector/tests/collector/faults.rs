//! Disks that refuse or damage: a stop ends, nothing acknowledged is given up silently.

use std::path::Path;

use daymark_model::{Signal, TenantId, TimeRange};
use daymark_store::{Lost, TableName};

use crate::otlp::{self, TestLog, request};
use crate::world::{World, texts};

async fn send(world: &World, bodies: &[&str]) {
    for body in bodies {
        let log = TestLog { body: (*body).into(), trace: None, correlation: None };
        world.send(request(Signal::Logs, otlp::logs(&[log]))).await;
    }
    world.settle().await;
}

async fn bodies(world: &World) -> Vec<String> {
    let mut bodies = texts(&world.rows(&TenantId::default(), TableName::Logs).await, "body");
    bodies.sort();
    bodies
}

/// Scenario: the disk takes no rows into the tables while the collector stops.
/// Guarantee: the stop ends all the same, and the next start has every row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_although_the_tables_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    send(&world, &["one", "two"]).await;
    let in_the_way = dir.path().join("tables/default");
    std::fs::write(&in_the_way, "not a directory").unwrap();
    let handle = world.handle.clone();
    world.stop().await;
    assert!(handle.failed().await.to_string().contains("default"), "it says where it failed");
    std::fs::remove_file(&in_the_way).unwrap();
    let world = World::start(dir.path()).await;
    assert_eq!(bodies(&world).await, ["one", "two"]);
}

/// Flips a bit of the log frame that holds `body`.
fn damage(dir: &Path, body: &str) {
    for entry in std::fs::read_dir(dir.join("log")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let Some(at) = bytes.windows(body.len()).position(|window| window == body.as_bytes()) else { continue };
        bytes[at] ^= 1;
        return std::fs::write(&path, bytes).unwrap();
    }
    panic!("{body} is not in the log");
}

async fn warnings(world: &World) -> Vec<String> {
    let view = world.reader().view(&TenantId::default(), TableName::Logs, TimeRange::ALL).await.unwrap();
    view.receipt.warnings
}

/// Scenario: a frame of the log is damaged before its rows were published, another after.
/// Guarantee: answers warn of the first one as long as it is noted, also when its segment is gone; the second costs
/// nothing, and nobody is warned of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_frames_that_are_lost_are_noted_and_answers_warn() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    send(&world, &["published-body"]).await;
    world.seal_all().await;
    send(&world, &["first-body", "lost-body", "last-body"]).await;
    let image = world.crash_image();
    damage(image.path(), "published-body");
    let world = World::start(image.path()).await;
    assert_eq!(warnings(&world).await, [""; 0]);
    assert_eq!(bodies(&world).await.len(), 4);

    let image = world.crash_image();
    damage(image.path(), "lost-body");
    let mut world = World::start(image.path()).await;
    for start in ["after the damage", "after a clean stop", "without the log"] {
        assert_eq!(bodies(&world).await, ["first-body", "last-body", "published-body"], "{start}");
        let warned = warnings(&world).await;
        assert!(warned.len() == 1 && warned[0].starts_with("1 log frame(s)"), "{start}: {warned:?}");
        let lost: Vec<Lost> = world.handle.store().lost().await.unwrap();
        let [only] = &lost[..] else { panic!("{start}: {lost:?}") };
        assert_eq!((only.frames, only.first_offset), (Some(1), only.last_offset), "{start}");
        assert!(only.bytes > 0 && only.reason.contains("checksum"), "{start}: {only:?}");
        world.stop().await;
        if start == "after a clean stop" {
            std::fs::remove_dir_all(image.path().join("log")).unwrap();
        }
        world = World::start(image.path()).await;
    }
}
