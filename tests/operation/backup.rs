//! Backups beside a running collector, and what is restored from them.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use daymark_tests::{Client, System, SystemOptions, binary};

use super::{Load, found_exactly_once, nothing_twice};

fn run(arguments: &[&str]) -> Output {
    Command::new(binary("daymark")).args(arguments).output().unwrap()
}

fn must(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {said}");
    print!("{said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn options() -> SystemOptions {
    let arguments = ["--compact-interval-ms", "200", "--self-telemetry", "false"].map(str::to_owned).into();
    SystemOptions { seal_interval_ms: Some(300), arguments, ..SystemOptions::default() }
}

/// Scenario: backups are taken beside ingest, seals and compaction; one is restored, and ingest goes on there.
/// Guarantee: what was acknowledged before a backup began is in the restored directory once; repeats are recognised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_has_everything_acknowledged_before_the_backup_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let system = System::start(options());
    let data_dir = system.data_dir();
    let mut before = (0, 0);
    for (round, to) in ["busy", "kept", "busy"].into_iter().enumerate() {
        let load = Load::start(&system, 2, 20 + round as u64);
        tokio::time::sleep(Duration::from_millis(900)).await;
        if to == "busy" {
            must(&["backup", "--data-dir", text(&data_dir), "--to", text(&at(to))]);
        }
        let sent = load.end().await;
        before = (before.0 + sent.0, before.1 + sent.1);
        if to == "kept" {
            // All of it was acknowledged by now, so exactly this is restored.
            must(&["backup", "--data-dir", text(&data_dir), "--to", text(&at(to)), "--copy"]);
            must(&["restore", "--from", text(&at(to)), "--data-dir", text(&at("exact"))]);
            let mut client = Client::new(system.otlp_http(), 77);
            let repeated = client.logs(60);
            client.send(&repeated).await;
            before.1 += 60;
            must(&["backup", "--data-dir", text(&data_dir), "--to", text(&at("repeats"))]);
            restored_is(&at("exact"), (before.0, before.1 - 60)).await;
            repeats_are_recognised(&at("repeats"), &at("again"), &repeated, before).await;
        }
    }
    system.stop();
    must(&["restore", "--from", text(&at("busy")), "--check"]);
    must(&["restore", "--from", text(&at("busy")), "--data-dir", text(&at("of-busy"))]);
    let busy = System::start(SystemOptions { data_dir: Some(at("of-busy")), ..options() });
    nothing_twice(&busy.ask()).await;
    busy.stop();
}

async fn restored_is(data_dir: &Path, acknowledged: (u64, u64)) {
    let restored = System::start(SystemOptions { data_dir: Some(data_dir.to_owned()), ..options() });
    found_exactly_once(&restored.ask(), acknowledged).await;
    let load = Load::start(&restored, 2, 99);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let more = load.end().await;
    found_exactly_once(&restored.ask(), (acknowledged.0 + more.0, acknowledged.1 + more.1)).await;
    restored.stop();
}

async fn repeats_are_recognised(from: &Path, to: &Path, request: &daymark_tests::Request, acknowledged: (u64, u64)) {
    must(&["restore", "--from", text(from), "--data-dir", text(to)]);
    let restored = System::start(SystemOptions { data_dir: Some(to.to_owned()), ..options() });
    let mut client = Client::new(restored.otlp_http(), 78);
    client.send(request).await;
    found_exactly_once(&restored.ask(), acknowledged).await;
    restored.stop();
}

/// Guarantee: a second backup copies what is new; a damaged one, and a target in use, are refused by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_grows_by_what_is_new_and_damage_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (to, target) = (dir.path().join("backup"), dir.path().join("target"));
    let data_dir = dir.path().join("data");
    let system = System::start(SystemOptions { data_dir: Some(data_dir.clone()), ..options() });
    let load = Load::start(&system, 2, 31);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    load.end().await;
    system.stop();
    must(&["backup", "--data-dir", text(&data_dir), "--to", text(&to)]);
    let again = must(&["backup", "--data-dir", text(&data_dir), "--to", text(&to)]);
    assert!(again.contains("(0 files, 0 bytes new)"), "{again}");

    std::fs::create_dir_all(&target).unwrap();
    std::fs::write(target.join("mine"), "x").unwrap();
    let refused = |arguments: &[&str], expected: &str| {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{said}");
    };
    let restore = ["restore", "--from", text(&to), "--data-dir", text(&target)];
    refused(&restore, "is not empty: restore into a new folder");
    refused(&["backup", "--data-dir", text(&target), "--to", text(&to)], "is no data directory");
    refused(&["backup", "--data-dir", text(&data_dir), "--to", text(&target)], "neither empty nor a backup");

    std::fs::remove_dir_all(&target).unwrap();
    let parquet = find(&to.join("data/tables"), ".parquet");
    // A new file in its place: the name before may be that of the table itself.
    let mut bytes = std::fs::read(&parquet).unwrap();
    bytes[10] ^= 1;
    std::fs::remove_file(&parquet).unwrap();
    std::fs::write(&parquet, bytes).unwrap();
    refused(&restore, "size or checksum differs");
    assert!(!target.exists(), "nothing was made");
}

/// Scenario: `--purge` beside a backup, and a backup beside `--purge`. Guarantees: the purge deletes nothing and says why; the
/// backup waits for the other, and what it writes can be restored; afterwards the purge works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_and_a_backup_do_not_take_files_from_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (to, data_dir) = (dir.path().join("backup"), dir.path().join("data"));
    let system = System::start(SystemOptions { data_dir: Some(data_dir.clone()), ..options() });
    let load = Load::start(&system, 2, 47);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let (_, logs) = load.end().await;
    system.stop();
    let lock = std::fs::File::create(data_dir.join("tables/lock")).unwrap();

    // As a running backup does.
    lock.lock_shared().unwrap();
    let purge = [
        "store",
        "delete",
        "--data-dir",
        text(&data_dir),
        "--tenant",
        "default",
        "--table",
        "logs",
        "--all",
        "--purge",
    ];
    let refused = run(&purge);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("nothing was deleted") && said.contains("a backup of these tables is running"), "{said}");
    must(&["backup", "--data-dir", text(&data_dir), "--to", text(&to)]);
    lock.unlock().unwrap();

    // As a purge does.
    lock.lock().unwrap();
    let began = std::time::Instant::now();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        drop(lock);
    });
    must(&["backup", "--data-dir", text(&data_dir), "--to", text(&to)]);
    assert!(began.elapsed() >= Duration::from_millis(900), "the backup did not wait");
    release.join().unwrap();

    let said = must(&purge);
    assert!(said.contains(&format!("default/logs: {logs} rows deleted")), "{said}");
    must(&["restore", "--from", text(&to), "--data-dir", text(&dir.path().join("restored"))]);
    let restored = System::start(SystemOptions { data_dir: Some(dir.path().join("restored")), ..options() });
    assert_eq!(restored.ask().sql_count("select count(*) from logs").await, logs);
    restored.stop();
}

fn find(dir: &Path, ending: &str) -> std::path::PathBuf {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                return path;
            }
        }
    }
    panic!("no {ending} below {}", dir.display());
}
