//! The section `quotas` of a key file, from text to limits.

use std::collections::{BTreeMap, BTreeSet};

use daymark_guard::{QuotaLimit, QuotaLimits};
use daymark_model::{TenantId, did_you_mean};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::parse::{Mistake, line};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuotas {
    window_ms: Option<Spanned<u64>>,
    default: Option<RawLimit>,
    #[serde(default)]
    tenants: BTreeMap<String, Spanned<RawLimit>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    bytes_per_second: Option<Spanned<u64>>,
    items_per_second: Option<Spanned<u64>>,
}

/// Tenant of Daymark's own telemetry: the default is about users.
const OWN_TENANT: &str = "daymark";
/// Shortest and longest window, milliseconds.
const WINDOW_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;

/// The limits that `raw` states for the tenants that have keys, `tenants`.
pub(super) fn limits(raw: RawQuotas, tenants: &BTreeSet<TenantId>) -> Result<QuotaLimits, Mistake> {
    let mut limits = QuotaLimits::default();
    if let Some(window) = raw.window_ms {
        if !WINDOW_MS.contains(&window.value) {
            let why = format!("window_ms: expected {} to {}", WINDOW_MS.start(), WINDOW_MS.end());
            return Err((line(window.referenced), why));
        }
        limits.window_ms = window.value;
    }
    limits.default = raw.default.map(limit).transpose()?.unwrap_or_default();
    if let Ok(own) = TenantId::parse(OWN_TENANT) {
        limits.tenants.insert(own, QuotaLimit::default());
    }
    for (name, raw) in raw.tenants {
        let at = line(raw.referenced);
        let known = tenants.iter().find(|tenant| tenant.as_str() == name);
        let known = known.cloned().or_else(|| TenantId::parse(OWN_TENANT).ok().filter(|own| own.as_str() == name));
        let Some(tenant) = known else {
            let name: String = name.chars().take(64).collect();
            let guess = did_you_mean(&name, tenants.iter().map(TenantId::as_str));
            return Err((
                at,
                format!("tenant {name:?} has no key in this file, so its quota would never count{guess}"),
            ));
        };
        limits.tenants.insert(tenant, limit(raw.value)?);
    }
    Ok(limits)
}

fn limit(raw: RawLimit) -> Result<QuotaLimit, Mistake> {
    let rate = |what: &str, raw: Option<Spanned<u64>>| match raw {
        Some(rate) if rate.value == 0 => {
            Err((line(rate.referenced), format!("{what}: 0 would let nothing in: take the tenant's keys out instead")))
        }
        rate => Ok(rate.map(|rate| rate.value)),
    };
    Ok(QuotaLimit {
        bytes_per_second: rate("bytes_per_second", raw.bytes_per_second)?,
        items_per_second: rate("items_per_second", raw.items_per_second)?,
    })
}
