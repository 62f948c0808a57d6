//! An S3-compatible server (moto) with one bucket.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use daymark_tests::{Program, free_address, workspace_root};
use serde_json::Value;

/// No log and no error may hold it.
pub(super) const SECRET: &str = "hunter2-secret-access-key";

/// A running server.
pub(super) struct Bucket {
    _server: Program,
    _dir: tempfile::TempDir,
    pub(super) address: std::net::SocketAddr,
}

fn python(program: &str) -> PathBuf {
    let path = workspace_root().join("tests/python/.venv/bin").join(program);
    assert!(path.exists(), "{} is missing: run `make test`, which installs it", path.display());
    path
}

impl Bucket {
    /// Starts the server and makes the bucket `telemetry`.
    pub(super) async fn start() -> Bucket {
        let (dir, address) = (tempfile::tempdir().unwrap(), free_address());
        let mut command = Command::new(python("python"));
        command.arg(python("moto_server")).args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let server = Program::start("moto", command, dir.path().join("moto.log"));
        let (client, started) = (reqwest::Client::new(), Instant::now());
        loop {
            match client.put(format!("http://{address}/telemetry")).send().await {
                Ok(answer) if answer.status().is_success() => break,
                _ => assert!(started.elapsed() < Duration::from_secs(60), "{}", server.output()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Bucket { _server: server, _dir: dir, address }
    }

    /// What an independent reader, the `deltalake` package, finds in the tables of `tenant`.
    pub(super) fn counted(&self, tenant: &str) -> Value {
        let output = Command::new(python("python"))
            .arg(workspace_root().join("tests/python/count_s3.py"))
            .args([format!("http://{}", self.address), format!("s3://telemetry/eu/{tenant}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Environment of a process whose tables are in the bucket, behind `address`.
pub(super) fn environment(address: std::net::SocketAddr) -> Vec<(String, String)> {
    [
        ("DAYMARK_STORE", "s3://telemetry/eu".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ("AWS_REGION", "eu-west-1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
