//! `s3://BUCKET/PREFIX`: where the tables are.

use std::str::FromStr;

use object_store::path::Path;

/// Longest prefix, bytes: S3 takes names of 1,024, and ours need less than 300 behind it.
const MAX_PREFIX_BYTES: usize = 512;

/// A bucket and a prefix in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    bucket: String,
    prefix: String,
}

/// An address that names no store. It never repeats what was given: that may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; expected s3://BUCKET or s3://BUCKET/PREFIX")]
pub struct BadAddress(&'static str);

impl StoreUrl {
    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The prefix below which all tables lie; empty for the whole bucket.
    pub fn prefix(&self) -> Path {
        Path::from(self.prefix.as_str())
    }
}

impl FromStr for StoreUrl {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<StoreUrl, BadAddress> {
        let rest = text.strip_prefix("s3://").ok_or(BadAddress("the address does not begin with s3://"))?;
        if rest.contains('@') {
            return Err(BadAddress(
                "credentials do not belong in the address: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let of_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(of_bucket) {
            return Err(BadAddress("the bucket is not 3 to 63 of a-z, 0-9, '-' and '.'"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let of_prefix = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '=');
        let sound = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(of_prefix);
        if !prefix.is_empty() && !prefix.split('/').all(sound) {
            return Err(BadAddress(
                "the prefix has an empty part or other letters than a-z, A-Z, 0-9, '-', '.', '_', '='",
            ));
        }
        if prefix.len() > MAX_PREFIX_BYTES {
            return Err(BadAddress("the prefix is longer than 512 bytes"));
        }
        Ok(StoreUrl { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl std::fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.prefix.is_empty() {
            true => write!(f, "s3://{}", self.bucket),
            false => write!(f, "s3://{}/{}", self.bucket, self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        let check = |text: &str, bucket: &str, prefix: &str| {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!((url.bucket(), url.prefix().as_ref()), (bucket, prefix), "{text}");
            assert_eq!(url.to_string().parse::<StoreUrl>().unwrap(), url);
        };
        check("s3://telemetry", "telemetry", "");
        check("s3://telemetry/", "telemetry", "");
        check("s3://tele.metry-1/eu/daymark/", "tele.metry-1", "eu/daymark");
    }

    #[test]
    fn what_is_no_address_is_told_and_not_repeated() {
        let refused = |text: &str, expected: &str| {
            let said = text.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(said.contains(expected) && said.ends_with("s3://BUCKET/PREFIX"), "{text}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        };
        refused("telemetry", "does not begin with s3://");
        refused("gs://telemetry", "does not begin with s3://");
        refused("s3://key:hunter2@telemetry/x", "credentials do not belong");
        refused("s3://Telemetry", "the bucket is not");
        refused("s3://te/x", "the bucket is not");
        refused("s3://telemetry//x", "the prefix has an empty part");
        refused("s3://telemetry/../x", "the prefix has an empty part");
        refused("s3://telemetry/a b", "the prefix has an empty part");
    }
}
