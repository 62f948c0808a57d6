//! Where the tables are, on the command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use daymark_store::{CacheOptions, RemoteOptions, StoreUrl};

/// Where the tables are. Secrets are no flags: other users of a machine can read those. Addresses are looked at by us and not
/// by clap, which would repeat a wrong one, and the password in it.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreArgs {
    /// Tables in an object store: s3://BUCKET/PREFIX. Without it, they are in DATA_DIR/tables. Credentials come from
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or from what AWS gives the machine.
    #[arg(long, value_name = "URL", env = "DAYMARK_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Address of an S3-compatible server, with http:// or https://. Without it, AWS's own.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL", hide_env_values = true)]
    pub(crate) s3_endpoint: Option<String>,
    /// Region that requests to the object store are signed for.
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = "us-east-1")]
    pub(crate) s3_region: String,
    /// Longest wait for the answer to one request to the object store.
    #[arg(long, value_name = "MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(100..=300_000))]
    pub(crate) s3_timeout_ms: u64,
    /// Times a request to the object store is repeated after a passing failure, within 30 s.
    #[arg(long, value_name = "TIMES", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub(crate) s3_retries: u32,
    /// Parts of tables in an object store that this process keeps in DATA_DIR/cache, bytes at most; 0 keeps none.
    #[arg(long, value_name = "BYTES", default_value_t = 2_147_483_648, value_parser = clap::value_parser!(u64).range(0..=1_099_511_627_776))]
    pub(crate) cache_bytes: u64,
    /// For a collector: write tables of an object store that another collector has written: its DATA_DIR is gone for good, with what it had
    /// not published. Never while it runs.
    #[arg(long)]
    pub(crate) take_over: bool,
}

impl StoreArgs {
    /// The object store, if one is named.
    ///
    /// # Errors
    /// When an address is none.
    pub(crate) fn remote(&self, cache_dir: PathBuf) -> anyhow::Result<Option<RemoteOptions>> {
        let Some(url) = &self.store else { return Ok(None) };
        let url: StoreUrl = url.parse().context("--store")?;
        let address = self.s3_endpoint.as_deref().map(endpoint).transpose();
        Ok(Some(RemoteOptions {
            endpoint: address.map_err(|why| anyhow::anyhow!("--s3-endpoint: {why}"))?,
            region: self.s3_region.clone(),
            request_timeout_ms: self.s3_timeout_ms,
            retries: self.s3_retries,
            cache: Some(CacheOptions { dir: cache_dir, max_bytes: self.cache_bytes }),
            ..RemoteOptions::new(url)
        }))
    }
}

/// An address that can be spoken to; the message never repeats what was given, which may hold a password.
fn endpoint(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        None => Err("expected an address with http:// or https://".to_owned()),
        Some("") => Err("expected a host after the scheme".to_owned()),
        Some(rest) if rest.contains('@') => {
            Err("credentials do not belong in the address: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned())
        }
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_wrong_address_is_told_without_what_it_holds() {
        let told = |flags: &[&str]| {
            let parsed = Cli::try_parse_from([&["daymark", "up"], flags].concat()).unwrap();
            let Command::Up(args) = parsed.command else { panic!("another command") };
            args.data.store.remote("cache".into()).map(|remote| remote.is_some()).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(told(&[]), Ok(false));
        assert_eq!(told(&["--store", "s3://telemetry/eu", "--s3-endpoint", "http://127.0.0.1:9000"]), Ok(true));
        for flags in [
            &["--store", "s3://me:hunter2@telemetry"][..],
            &["--store", "s3://telemetry", "--s3-endpoint", "https://me:hunter2@host"],
            &["--store", "hunter2"],
        ] {
            let said = told(flags).unwrap_err();
            assert!(said.starts_with(flags[flags.len() - 2]) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn an_endpoint_has_a_scheme_and_no_password() {
        assert_eq!(endpoint("http://127.0.0.1:9000/").unwrap(), "http://127.0.0.1:9000");
        for (text, expected) in [
            ("127.0.0.1:9000", "http:// or https://"),
            ("https://", "a host"),
            ("https://me:hunter2@host", "do not belong"),
        ] {
            let said = endpoint(text).unwrap_err();
            assert!(said.contains(expected) && !said.contains("hunter2"), "{text}: {said}");
        }
    }
}
