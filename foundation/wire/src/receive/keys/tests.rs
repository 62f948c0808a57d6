use std::path::Path;
use std::time::Duration;

use daymark_guard::{Drain, ManualClock};

use super::*;

fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn keyed(key: &str) -> HeaderMap {
    headers("x-daymark-key", key)
}

#[test]
fn a_key_decides_the_tenant() {
    let keys = TenantKeys::new([("acme-secret".into(), tenant("acme")), ("umbrella-key".into(), tenant("umbrella"))]);
    let keys = keys.unwrap();
    let of = |headers: &HeaderMap| keys.tenant(headers, Scope::Ingest);
    assert_eq!(of(&keyed("acme-secret")).unwrap(), tenant("acme"));
    assert_eq!(of(&headers("authorization", "bearer umbrella-key")).unwrap(), tenant("umbrella"));
    for bad in ["", "acme", "acme-secreT", "acme-secret1"] {
        assert_eq!(of(&keyed(bad)).unwrap_err().reason, "unknown_key");
    }
    assert_eq!(of(&HeaderMap::new()).unwrap_err().reason, "unknown_key");
    assert!(!format!("{keys:?} {:?}", keys.users()).contains("secret\""));
    assert!(!format!("{:?}", keys.users()).contains("acme-secret"));
}

#[test]
fn without_keys_everything_is_the_default_tenant() {
    let none = TenantKeys::default();
    assert_eq!(none.tenant(&keyed("whatever"), Scope::Admin).unwrap(), TenantId::default());
    let own = none.with("key-of-daymark".into(), tenant("daymark")).unwrap();
    assert_eq!(own.tenant(&keyed("key-of-daymark"), Scope::Ingest).unwrap(), tenant("daymark"));
    assert_eq!(own.tenant(&HeaderMap::new(), Scope::Ingest).unwrap(), TenantId::default());
}

#[test]
fn unusable_keys_are_refused() {
    assert!(TenantKeys::new([("short".into(), tenant("a"))]).is_err());
    let shared = [("long-enough".to_owned(), tenant("a")), ("long-enough".to_owned(), tenant("b"))];
    assert_eq!(TenantKeys::new(shared).unwrap_err(), InvalidKey::Shared(tenant("a"), tenant("b")));
}

const ROTATING: &str = r#"
# Two keys of acme, so that the old one can go without a gap.
version: 1
keys:
  - tenant: acme
    name: until-march
    key: acme-old-secret
    expires: "2027-03-01T00:00:00Z"
  - tenant: acme
    name: from-february
    sha256: 3ec6ce49c0d76ce4bf8e07ba2b0da1ec4a3bd4b6b41e5f5bd5f36b2c4ef3a1f0
    not_before: "2027-02-01T00:00:00+01:00"
    scopes: [ingest]
  - tenant: ops
    key: ops-secret-key
    scopes: [query, admin]
"#;

fn with_hash_of(text: &str, key: &str) -> String {
    use sha2::Digest as _;
    let hash: String = sha2::Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    text.replace("3ec6ce49c0d76ce4bf8e07ba2b0da1ec4a3bd4b6b41e5f5bd5f36b2c4ef3a1f0", &hash)
}

fn at(time: &str) -> UnixNanos {
    UnixNanos(chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_nanos_opt().unwrap() as u64)
}

/// Guarantee: while both keys of a tenant count, either is taken; before and after, only the one whose time it is; a
/// key does what its scopes say and nothing else.
#[test]
fn a_key_counts_in_its_time_and_for_its_scopes() {
    let file = KeyFile::parse(Path::new("keys.yaml"), &with_hash_of(ROTATING, "acme-new-secret")).unwrap();
    let clock = Arc::new(ManualClock::default());
    let keys = TenantKeys::of(file.keys.clone()).unwrap().judged_by(clock.clone());
    let check = |time: &str, key: &str, scope: Scope, expected: Result<&str, (&str, &str)>| {
        clock.set(at(time));
        match (keys.tenant(&keyed(key), scope), expected) {
            (Ok(got), Ok(name)) => assert_eq!(got.as_str(), name, "{time} {key}"),
            (Err(refusal), Err((reason, part))) => {
                assert_eq!(refusal.reason, reason, "{time} {key}");
                assert!(refusal.message.contains(part), "{refusal}");
                assert!(!refusal.message.contains(key), "{refusal}");
            }
            (got, expected) => panic!("{time} {key}: got {got:?}, expected {expected:?}"),
        }
    };
    check("2027-01-31T22:59:59Z", "acme-old-secret", Scope::Ingest, Ok("acme"));
    let early = Err(("expired_key", "\"from-february\" of tenant acme: not valid before 2027-01-31T23:00:00Z"));
    check("2027-01-31T22:59:59Z", "acme-new-secret", Scope::Ingest, early);
    for key in ["acme-old-secret", "acme-new-secret"] {
        check("2027-02-10T00:00:00Z", key, Scope::Ingest, Ok("acme"));
    }
    let late = Err(("expired_key", "\"until-march\" of tenant acme: expired at 2027-03-01T00:00:00Z"));
    check("2027-03-01T00:00:00Z", "acme-old-secret", Scope::Ingest, late);
    check("2027-03-01T00:00:00Z", "acme-new-secret", Scope::Ingest, Ok("acme"));
    let reading = Err(("wrong_scope", "needs scope `query`; the key \"from-february\" of tenant acme has ingest"));
    check("2027-03-01T00:00:00Z", "acme-new-secret", Scope::Query, reading);
    check("2027-02-10T00:00:00Z", "acme-old-secret", Scope::Query, Ok("acme"));
    check("2027-02-10T00:00:00Z", "acme-old-secret", Scope::Admin, Err(("wrong_scope", "ingest, query")));
    check("2027-02-10T00:00:00Z", "ops-secret-key", Scope::Admin, Ok("ops"));
    check("2027-02-10T00:00:00Z", "ops-secret-key", Scope::Ingest, Err(("wrong_scope", "`ingest`")));
    let senders = file.senders(at("2027-02-10T00:00:00Z"));
    assert_eq!(senders, [(tenant("acme"), "acme-old-secret".to_owned())].into(), "hashes cannot be sent");
    assert!(file.senders(at("2027-03-01T00:00:00Z")).is_empty());
}

#[test]
fn key_files_are_read_or_explained_without_showing_keys() {
    let check = |text: &str, expected: Result<usize, &str>| match (KeyFile::parse(Path::new("keys"), text), expected) {
        (Ok(file), Ok(count)) => assert_eq!(file.keys.len(), count, "{text}"),
        (Err(error), Err(part)) => {
            let shown = error.to_string();
            assert!(shown.contains(part), "{text}: {shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
        (got, expected) => panic!("{text:?}: got {got:?}, expected {expected:?}"),
    };
    check("# ours\n\nacme secret-one\nacme secret-two\numbrella secret-three\nacme secret-one\n", Ok(3));
    check("acme\n", Err("keys:1: expected `TENANT KEY`"));
    check("acme secret-one extra\n", Err(":1: "));
    check("\nACME secret-one\n", Err(":2: "));
    check("acme secret-one\numbrella secret-one\n", Err(":2: tenants acme and umbrella have the same key"));
    check("# ours\n\nacme secret\n", Err(":3: the key of tenant acme is not 8 to 256"));
    check("# nothing\n", Err("has no key"));
    check("version: 1\nkeys: []\n", Err("has no key"));
    check("version: 2\nkeys: []\n", Err(":1: version 2 is not known"));
    let of = |rest: &str| format!("version: 1\nkeys:\n  - tenant: acme\n{rest}");
    check(&of("    key: secret-one\n"), Ok(1));
    check(&of(""), Err(":3: a key needs exactly one of `key` and `sha256`"));
    check(&of("    key: secret\n"), Err(":4: the key of tenant acme is not 8 to 256"));
    check(&of("    sha256: secret\n"), Err(":4: sha256: expected 64 hex digits"));
    check(&of("    key: secret-one\n    scopes: [ingest, qery]\n"), Err(":5: unknown scope \"qery\""));
    check(&of("    key: secret-one\n    scopes: [qery]\n"), Err("did you mean \"query\"?"));
    check(&of("    key: secret-one\n    scopes: []\n"), Err("scopes: a key without scopes may do nothing"));
    check(&of("    key: secret-one\n    expires: tomorrow\n"), Err(":5: expires: expected a time with its zone"));
    let never = "    key: secret-one\n    not_before: 2027-02-01T00:00:00Z\n    expires: 2027-01-01T00:00:00Z\n";
    check(&of(never), Err(":6: expires: not after not_before"));
    check(&of("    keyy: secret-one\n"), Err("did you mean \"key\"?"));
    check(
        &of("    key: secret-one\n  - tenant: acme\n    key: secret-one\n"),
        Err(":6: a key of tenant acme is listed twice"),
    );
    check(&of("    key: [secret-one]\n"), Err(":4: key: expected a text"));
}

/// Scenario: a key file is changed, broken and mended under a running listener. Guarantee: new keys count without a
/// restart, a broken file changes nothing, and Daymark's own key stays.
#[tokio::test]
async fn a_changed_key_file_counts_and_a_broken_one_does_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "acme secret-one\n").unwrap();
    let keys = TenantKeys::read_file(file.path()).unwrap();
    let all = keys.with("key-of-daymark".into(), tenant("daymark")).unwrap();
    let (drain, path, following) = (Drain::new(), file.path().to_owned(), all.clone());
    let task = tokio::spawn(follow_key_file(path.clone(), 5, drain.clone(), move |file| {
        following.replace(file.keys).map_err(|source| KeyFileError::Own { path: path.clone(), source })
    }));
    let known = |key: &str| all.tenant(&keyed(key), Scope::Ingest).is_ok();
    let becomes = async |key: &str, expected: bool| {
        for _ in 0..1_000 {
            if known(key) == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{key} should be known: {expected}");
    };
    // Whatever the task has seen first, a change after it is found.
    tokio::time::sleep(Duration::from_millis(100)).await;
    std::fs::write(file.path(), "acme secret-one\nacme secret-two\n").unwrap();
    becomes("secret-two", true).await;
    for broken in ["acme\n", "umbrella key-of-daymark\n", ""] {
        std::fs::write(file.path(), broken).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(known("secret-one") && known("secret-two") && known("key-of-daymark"), "{broken:?}");
    }
    std::fs::write(file.path(), "acme secret-two\n").unwrap();
    becomes("secret-one", false).await;
    assert!(known("secret-two") && known("key-of-daymark"));
    drain.begin();
    task.await.unwrap();
}

#[test]
fn quotas_are_read_or_explained() {
    use daymark_guard::{QuotaLimit, QuotaLimits};
    let keys = "version: 1\nkeys:\n  - tenant: acme\n    key: secret-one\nquotas:\n";
    let of = |rest: &str| KeyFile::parse(Path::new("keys"), &format!("{keys}{rest}"));
    let read =
        of("  window_ms: 5000\n  default: { items_per_second: 7 }\n  tenants:\n    acme: { bytes_per_second: 9 }\n");
    let limit = |bytes_per_second, items_per_second| QuotaLimit { bytes_per_second, items_per_second };
    let tenants = [(tenant("acme"), limit(Some(9), None)), (tenant("daymark"), limit(None, None))];
    let expected = QuotaLimits { window_ms: 5_000, default: limit(None, Some(7)), tenants: tenants.into() };
    assert_eq!(read.unwrap().quotas, expected);
    let without = KeyFile::parse(Path::new("keys"), keys.strip_suffix("quotas:\n").unwrap()).unwrap();
    assert_eq!(without.quotas, QuotaLimits::default());
    for (rest, part) in [
        ("  window_ms: 10\n", "keys:6: window_ms: expected 1000 to 3600000"),
        ("  default: { items_per_second: 0 }\n", "keys:6: items_per_second: 0 would let nothing in"),
        ("  tenants:\n    acmee: { items_per_second: 5 }\n", "keys:7: tenant \"acmee\" has no key in this file"),
        ("  tenants:\n    acmee: { items_per_second: 5 }\n", "did you mean \"acme\"?"),
        ("  default: { items: 5 }\n", "unknown field `items`"),
        ("  default: { items_per_second: -5 }\n", "items_per_second: expected a whole number"),
    ] {
        let shown = of(rest).unwrap_err().to_string();
        assert!(shown.contains(part), "{rest}: {shown}");
    }
}
