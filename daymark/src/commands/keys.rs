//! `daymark keys check`: what a key file says, before a role reads it.

use std::io::Write;
use std::path::Path;

use daymark_guard::{Clock, QuotaLimit, SystemClock};
use daymark_wire::KeyFile;

/// Prints a line a key and a line a quota; keys themselves are not shown.
///
/// # Errors
/// When the file cannot be used, with file, line and what was expected.
pub(crate) fn check(path: &Path, mut out: impl Write) -> anyhow::Result<()> {
    let (file, now) = (KeyFile::read(path)?, SystemClock.now());
    for key in &file.keys {
        let name = key.name.as_deref().map_or_else(|| "(no name)".to_owned(), |name| format!("{name:?}"));
        let kind = if key.secret().is_some() { "key" } else { "hash" };
        writeln!(out, "{}  {kind} {name}  [{}]  {}", key.tenant, key.scopes, key.validity(now))?;
    }
    let window_s = file.quotas.window_ms as f64 / 1_000.0;
    let mut quota = |who: &str, limit: &QuotaLimit| {
        let rate = |what: &str, rate: Option<u64>| rate.map(|rate| format!("{rate} {what} per second"));
        let rates = [rate("bytes", limit.bytes_per_second), rate("items", limit.items_per_second)];
        let rates: Vec<String> = rates.into_iter().flatten().collect();
        let rates = if rates.is_empty() { "no limit".to_owned() } else { rates.join(", ") };
        writeln!(out, "quota of {who}: {rates}, over {window_s} s")
    };
    for (tenant, limit) in &file.quotas.tenants {
        quota(tenant.as_str(), limit)?;
    }
    quota("every other tenant", &file.quotas.default)?;
    writeln!(out, "{} keys", file.keys.len())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_shown_without_keys_or_refused_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let mut out = Vec::new();
            check(&path, &mut out).map(|()| String::from_utf8(out).unwrap()).map_err(|error| error.to_string())
        };
        let keys = "version: 1\nkeys:\n  - { tenant: acme, key: secret-one, name: old, expires: 2001-01-01T00:00:00Z }\n  - { tenant: acme, key: secret-two, scopes: [ingest], not_before: 2001-01-01T00:00:00Z, expires: 2201-01-01T00:00:00Z }\n";
        let shown = said(&format!("{keys}quotas:\n  tenants:\n    acme: {{ items_per_second: 5 }}\n")).unwrap();
        for line in [
            "acme  key \"old\"  [ingest, query]  expired at 2001-01-01T00:00:00Z\n",
            "acme  key (no name)  [ingest]  valid until 2201-01-01T00:00:00Z\n",
            "quota of acme: 5 items per second, over 10 s\n",
            "quota of every other tenant: no limit, over 10 s\n",
            "2 keys\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(!shown.contains("secret"), "{shown}");
        let error = said(&keys.replace("ingest", "ingst")).unwrap_err();
        assert!(error.contains("keys.yaml:4: unknown scope \"ingst\"") && error.contains("did you mean"), "{error}");
    }
}
