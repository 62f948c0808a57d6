//! `/metrics`: what a role asked of the object store and what its cache did, and how its collector fares, in Prometheus's text
//! format.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use daymark_collector::CollectorHandle;
use daymark_store::{CacheStats, RequestStats, Store};

/// The route. Numbers only, of all tenants together: it needs no key.
pub(crate) fn router(store: Arc<Store>, collector: Option<CollectorHandle>) -> Router {
    let answer = move || {
        let mut text = text(store.request_stats(), store.cache_stats());
        let collector = collector.clone();
        async move {
            if let Some(collector) = collector {
                text.push_str(&collector.exposition().await);
            }
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
        }
    };
    Router::new().route("/metrics", get(answer))
}

/// The text; empty where tables are on local disk.
fn text(requests: Option<RequestStats>, cache: Option<CacheStats>) -> String {
    let mut text = String::new();
    if let Some(RequestStats { puts, gets, lists, deletes, failed }) = requests {
        let name = "daymark_store_requests_total";
        let calls = [("put", puts), ("get", gets), ("list", lists), ("delete", deletes)];
        family(&mut text, name, "counter", "Calls to the object store.");
        for (call, count) in calls {
            let _ = writeln!(text, "{name}{{call=\"{call}\"}} {count}");
        }
        one(&mut text, "daymark_store_failures_total", "counter", "Calls that failed after all repetitions.", failed);
    }
    if let Some(cache) = cache {
        let of_cache = [
            ("hits_total", "counter", "Blocks found in the cache.", cache.hits),
            ("misses_total", "counter", "Blocks that had to be fetched.", cache.misses),
            ("evicted_total", "counter", "Blocks dropped to stay within the budget.", cache.evicted),
            ("damaged_total", "counter", "Blocks dropped because they were damaged.", cache.damaged),
            ("unwritten_total", "counter", "Blocks that could not be written.", cache.unwritten),
            ("fetches_total", "counter", "Requests sent to fetch blocks.", cache.fetches),
            ("fetched_bytes_total", "counter", "Bytes fetched.", cache.fetched_bytes),
            ("bytes", "gauge", "Bytes kept.", cache.bytes),
            ("max_bytes", "gauge", "The budget, --cache-bytes.", cache.max_bytes),
        ];
        for (name, kind, help, value) in of_cache {
            one(&mut text, &format!("daymark_cache_{name}"), kind, help, value);
        }
    }
    text
}

fn one(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    family(text, name, kind, help);
    let _ = writeln!(text, "{name} {value}");
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_was_asked_is_told_and_local_tables_have_nothing_to_tell() {
        assert_eq!(text(None, None), "");
        let requests = RequestStats { gets: 7, failed: 1, ..RequestStats::default() };
        let told = text(Some(requests), Some(CacheStats { hits: 3, max_bytes: 9, ..CacheStats::default() }));
        for line in [
            "daymark_store_requests_total{call=\"get\"} 7\n",
            "daymark_store_failures_total 1\n",
            "# TYPE daymark_cache_hits_total counter\ndaymark_cache_hits_total 3\n",
            "# TYPE daymark_cache_max_bytes gauge\ndaymark_cache_max_bytes 9\n",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
    }
}
