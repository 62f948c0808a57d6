//! The shop as processes: one child a service, each ends when its standard input closes, so none outlives the demo.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::shop::{FaultRequest, SHOP};

/// The six running services.
pub(crate) struct Shop {
    children: Vec<Child>,
    urls: Vec<(String, String)>,
    client: reqwest::Client,
}

impl Shop {
    /// Starts all services and waits until each answers.
    ///
    /// # Errors
    /// When a process cannot be started or does not answer within 30 s.
    pub(crate) async fn start(executable: &Path, otlp_grpc: &str) -> anyhow::Result<Shop> {
        let mut urls = Vec::new();
        for spec in &SHOP {
            urls.push((spec.name.to_owned(), format!("http://{}", free_address()?)));
        }
        let mut shop = Shop {
            children: Vec::new(),
            urls,
            client: reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?,
        };
        for (name, url) in &shop.urls {
            let mut command = Command::new(executable);
            command.arg("demo-service").args(["--name", name]).args(["--listen", url.trim_start_matches("http://")]);
            command.args(["--otlp-grpc", otlp_grpc]);
            for (peer, peer_url) in &shop.urls {
                command.args(["--peer", &format!("{peer}={peer_url}")]);
            }
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
            shop.children.push(command.spawn().with_context(|| format!("cannot start demo service {name}"))?);
        }
        for (name, url) in &shop.urls {
            shop.wait_for(name, url).await?;
        }
        Ok(shop)
    }

    async fn wait_for(&self, name: &str, url: &str) -> anyhow::Result<()> {
        for _ in 0..150 {
            if self.client.get(format!("{url}/healthz")).send().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::bail!("demo service {name} did not answer at {url} within 30 s")
    }

    /// Base address of a service.
    pub(crate) fn url(&self, name: &str) -> &str {
        self.urls.iter().find(|(service, _)| service == name).map_or("", |(_, url)| url)
    }

    /// Lets `service` fail the given share of its requests (parts per million).
    ///
    /// # Errors
    /// When the service does not answer.
    pub(crate) async fn set_fault(&self, service: &str, error_ppm: u64) -> anyhow::Result<()> {
        let url = format!("{}/fault", self.url(service));
        self.client.post(url).json(&FaultRequest { error_ppm }).send().await?.error_for_status()?;
        Ok(())
    }

    /// Ends all services and waits for their last export.
    pub(crate) async fn stop(mut self) {
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        for mut child in self.children {
            // A child that hangs is killed on drop.
            let _ = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
        }
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
