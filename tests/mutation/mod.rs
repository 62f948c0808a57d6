//! Mutation proof: breaking a promise makes its proof fail.
//!
//! For each fault of `daymark_guard::fault` the test that proves the promise runs twice: as it is, where it must pass,
//! and with the fault switched on, where it must fail. The tests run from the executables that `cargo test` has built.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use daymark_guard::fault::Fault;
use daymark_tests::workspace_root;

/// A promise's proof.
struct Proof {
    fault: Fault,
    /// Name of the test executable, as cargo calls it.
    executable: &'static str,
    /// Folder of the crate.
    folder: &'static str,
    /// Last part of the test's path.
    test: &'static str,
}

impl Proof {
    fn fails_with_the_fault_only(&self) {
        let (executable, path) = self.find();
        let run = |fault: Option<Fault>| {
            let mut command = Command::new(&executable);
            command.args([path.as_str(), "--exact"]).current_dir(workspace_root().join(self.folder));
            // The failure is wanted: it is not shrunk and leaves no file behind.
            command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true").env("PROPTEST_MAX_SHRINK_ITERS", "0");
            match fault {
                Some(fault) => command.env("DAYMARK_FAULT", fault.name()),
                None => command.env_remove("DAYMARK_FAULT"),
            };
            command.output().unwrap_or_else(|error| panic!("{}: {error}", executable.display()))
        };
        let (sound, output) = verdict(&run(None));
        assert!(sound == Some(true), "{path} does not pass as it is:\n{output}");
        let (sound, output) = verdict(&run(Some(self.fault)));
        let name = self.fault.name();
        assert!(sound == Some(false), "{path} does not fail with fault {name}: it proves nothing\n{output}");
        println!("{path}: passes, and fails with fault {name}");
    }

    /// The newest executable that has the test, and the test's full path.
    fn find(&self) -> (PathBuf, String) {
        let here = std::env::current_exe().unwrap();
        let candidates = executables(here.parent().unwrap(), self.executable);
        let has = |file: &PathBuf| {
            let listed = Command::new(file).args(["--list", "--format", "terse"]).output().ok()?;
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let of_test = |path: &&str| *path == self.test || path.ends_with(&format!("::{}", self.test));
            let path = listed.lines().filter_map(|line| line.strip_suffix(": test")).find(of_test)?;
            Some((file.clone(), path.to_owned()))
        };
        candidates.iter().find_map(has).unwrap_or_else(|| {
            panic!(
                "no test executable {}-* beside {} has the test {}: run `make test`, which builds all tests first",
                self.executable,
                here.display(),
                self.test
            )
        })
    }
}

/// Executables `NAME-HASH` in `folder`, the newest first.
fn executables(folder: &Path, name: &str) -> Vec<PathBuf> {
    let prefix = format!("{name}-");
    let mut found: Vec<(SystemTime, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| {
            let file = entry.file_name();
            file.to_str().is_some_and(|file| file.starts_with(&prefix) && !file.contains('.'))
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Whether the one test passed; none when it did not run to a verdict.
fn verdict(output: &Output) -> (Option<bool>, String) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let sound = if said.contains("test result: ok. 1 passed") {
        Some(true)
    } else if said.contains("test result: FAILED. 0 passed; 1 failed") {
        Some(false)
    } else {
        None
    };
    (sound.filter(|sound| *sound == output.status.success()), said)
}

#[test]
fn acknowledging_before_the_sync_fails_the_proof_of_the_log() {
    let test = "acknowledged_frames_survive_loss_of_unsynced_writes";
    let fault = Fault::AckBeforeSync;
    Proof { fault, executable: "daymark_log", folder: "foundation/log", test }.fails_with_the_fault_only();
}

#[test]
fn naming_a_file_before_its_sync_fails_the_proof_of_the_tables() {
    let test = "commits_that_were_reported_survive_loss_of_unsynced_writes";
    let fault = Fault::NameBeforeSync;
    Proof { fault, executable: "daymark_store", folder: "foundation/store", test }.fails_with_the_fault_only();
}

#[test]
fn skipping_the_replay_fails_the_proof_of_restarts() {
    let test = "acknowledged_rows_survive_restart";
    let fault = Fault::SkipReplay;
    Proof { fault, executable: "collector", folder: "collector", test }.fails_with_the_fault_only();
}

#[test]
fn dropping_a_hot_row_fails_the_proof_of_seals() {
    let test = "hot_rows_none_missing_none_twice_during_seals";
    let fault = Fault::DropHotRow;
    Proof { fault, executable: "collector", folder: "collector", test }.fails_with_the_fault_only();
}

#[test]
fn merging_a_rollup_twice_fails_the_proof_of_merges() {
    let test = "rollup_fragments_merge_exactly_once";
    let fault = Fault::MergeRollupTwice;
    Proof { fault, executable: "daymark_store", folder: "foundation/store", test }.fails_with_the_fault_only();
}

#[test]
fn paging_on_missing_data_fails_the_proof_of_unknown() {
    let test = "missing_data_is_unknown_and_never_pages";
    let fault = Fault::PageOnMissingData;
    Proof { fault, executable: "missing_data", folder: "alerts", test }.fails_with_the_fault_only();
}
