//! The two formats of a key file, from text to keys with the lines they stand on.

use chrono::{DateTime, SecondsFormat};
use daymark_guard::QuotaLimits;
use daymark_model::{TenantId, UnixNanos, did_you_mean, yaml_reason};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::entry::{Key, KeyDigest, Scope, Scopes};
use super::quotas::{self, RawQuotas};

/// The line of a mistake, from 1, and what it is.
pub(super) type Mistake = (usize, String);
type Numbered = Vec<(usize, Key)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    version: Spanned<u64>,
    keys: Vec<RawKey>,
    quotas: Option<RawQuotas>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    tenant: Spanned<String>,
    name: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    sha256: Option<Spanned<String>>,
    scopes: Option<Vec<Spanned<String>>>,
    not_before: Option<Spanned<String>>,
    expires: Option<Spanned<String>>,
}

/// What a key may do that names no scopes.
const DEFAULT_SCOPES: [Scope; 2] = [Scope::Ingest, Scope::Query];
/// Longest name of a key, characters.
const MAX_NAME: usize = 64;

/// Keys and quotas from `version: 1` YAML.
pub(super) fn yaml(text: &str) -> Result<(Numbered, QuotaLimits), Mistake> {
    let raw: RawFile = serde_saphyr::from_str(text).map_err(|error| reason(&error, text))?;
    if raw.version.value != 1 {
        let why = format!("version {} is not known: this Daymark reads version 1", raw.version.value);
        return Err((line(raw.version.referenced), why));
    }
    let keys: Numbered = raw.keys.into_iter().map(key).collect::<Result<_, _>>()?;
    let tenants = keys.iter().map(|(_, key)| key.tenant.clone()).collect();
    let limits = raw.quotas.map(|raw| quotas::limits(raw, &tenants)).transpose()?;
    Ok((keys, limits.unwrap_or_default()))
}

fn key(raw: RawKey) -> Result<(usize, Key), Mistake> {
    let at = line(raw.tenant.referenced);
    let tenant = TenantId::parse(&raw.tenant.value).map_err(|error| (at, error.to_string()))?;
    let (place, mut key) = match (raw.key, raw.sha256) {
        (Some(key), None) => {
            let place = line(key.referenced);
            (place, Key::new(key.value, tenant).map_err(|error| (place, error.to_string()))?)
        }
        (None, Some(hash)) => {
            let place = line(hash.referenced);
            let digest = KeyDigest::from_hex(&hash.value).ok_or_else(|| {
                (place, "sha256: expected 64 hex digits, as `printf %s KEY | sha256sum` prints".into())
            })?;
            let plain =
                Key { digest, tenant, secret: None, scopes: Scopes::ALL, name: None, not_before: None, expires: None };
            (place, plain)
        }
        _ => return Err((at, "a key needs exactly one of `key` and `sha256`".to_owned())),
    };
    key.scopes = scopes(raw.scopes, at)?;
    key.name = raw.name.map(name).transpose()?;
    key.not_before = raw.not_before.map(|at| time("not_before", &at)).transpose()?;
    let end = raw.expires.map(|at| Ok((line(at.referenced), time("expires", &at)?))).transpose()?;
    if let (Some(from), Some((place, end))) = (key.not_before, end)
        && end <= from
    {
        return Err((place, "expires: not after not_before, so the key would never count".to_owned()));
    }
    key.expires = end.map(|(_, end)| end);
    Ok((place, key))
}

fn scopes(raw: Option<Vec<Spanned<String>>>, at: usize) -> Result<Scopes, Mistake> {
    let Some(raw) = raw else { return Ok(Scopes::of(DEFAULT_SCOPES)) };
    if raw.is_empty() {
        return Err((at, "scopes: a key without scopes may do nothing; leave the line out or name some".to_owned()));
    }
    let known = || Scope::ALL.into_iter().map(Scope::as_str);
    let scope = |name: &Spanned<String>| {
        Scope::parse(&name.value).ok_or_else(|| {
            let guess = did_you_mean(&name.value, known());
            let what: String = name.value.chars().take(MAX_NAME).collect();
            (line(name.referenced), format!("unknown scope {what:?}, expected ingest, query or admin{guess}"))
        })
    };
    Ok(Scopes::of(raw.iter().map(scope).collect::<Result<Vec<_>, _>>()?))
}

fn name(raw: Spanned<String>) -> Result<String, Mistake> {
    let fits = (1..=MAX_NAME).contains(&raw.value.chars().count()) && !raw.value.chars().any(char::is_control);
    let why = || (line(raw.referenced), format!("name: expected 1 to {MAX_NAME} characters on one line"));
    if fits { Ok(raw.value) } else { Err(why()) }
}

fn time(what: &str, raw: &Spanned<String>) -> Result<UnixNanos, Mistake> {
    let parsed = DateTime::parse_from_rfc3339(&raw.value).ok().and_then(|time| time.timestamp_nanos_opt());
    parsed.and_then(|nanos| u64::try_from(nanos).ok()).map(UnixNanos).ok_or_else(|| {
        (line(raw.referenced), format!("{what}: expected a time with its zone like \"2027-01-31T00:00:00Z\""))
    })
}

/// A time as it is written in a key file.
pub(super) fn shown(time: UnixNanos) -> String {
    DateTime::from_timestamp_nanos(i64::try_from(time.0).unwrap_or(i64::MAX))
        .to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Keys with every scope from `TENANT KEY` lines; a line that occurs again says nothing new.
pub(super) fn lines(text: &str) -> Result<Numbered, Mistake> {
    let mut keys: Numbered = Vec::new();
    for (at, words) in text.lines().enumerate() {
        let wrong = |why: String| (at + 1, why);
        let mut words = words.split_whitespace();
        let (tenant, key) = match (words.next(), words.next(), words.next()) {
            (None, ..) => continue,
            (Some(comment), ..) if comment.starts_with('#') => continue,
            (Some(tenant), Some(key), None) => (tenant, key),
            _ => return Err(wrong("expected `TENANT KEY`, two words and no more".to_owned())),
        };
        let tenant = TenantId::parse(tenant).map_err(|error| wrong(error.to_string()))?;
        let key = Key::new(key.to_owned(), tenant).map_err(|error| wrong(error.to_string()))?;
        if !keys.iter().any(|(_, known)| known.digest == key.digest && known.tenant == key.tenant) {
            keys.push((at + 1, key));
        }
    }
    Ok(keys)
}

pub(super) fn line(location: Location) -> usize {
    usize::try_from(location.line()).unwrap_or(1).max(1)
}

/// Where and why the reader stopped; its snippet of the file is left out, because it may hold keys.
fn reason(error: &serde_saphyr::Error, text: &str) -> Mistake {
    let plain = error.without_snippet();
    let location = plain.location();
    let at = location.map_or(1, line);
    let column = location.map_or(1, |location| location.column());
    let said = plain.to_string();
    let said = said.lines().next().unwrap_or("not valid YAML");
    let said = said.find(" at line ").map_or(said, |cut| &said[..cut]);
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let said = said.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map_or(said, |(_, rest)| rest);
    (at, yaml_reason(said, text, at as u64, column))
}
