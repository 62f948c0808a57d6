//! `/metrics`: what a role asked of the object store and what its cache did, and how its collector fares, in Prometheus's text
//! format.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daymark_collector::CollectorHandle;
use daymark_query::web_app;
use daymark_store::{CacheStats, RequestStats, Store};

/// The route. Numbers only, of all tenants together: it needs no key.
pub(crate) fn router(store: Arc<Store>, collector: Option<CollectorHandle>) -> Router {
    Router::new().route("/metrics", get(async move || exposition(&store, collector.as_ref()).await))
}

/// The same where the web app has a page of this name: whoever asks for HTML, as browsers do and scrapers do not, gets that.
pub(crate) fn router_beside_pages(store: Arc<Store>, collector: Option<CollectorHandle>) -> Router {
    let answer = async move |method: Method, uri: Uri, headers: HeaderMap| {
        let mut answer = match wants_page(&headers) {
            true => web_app(method, uri, headers).await,
            false => exposition(&store, collector.as_ref()).await,
        };
        answer.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
        answer
    };
    Router::new().route("/metrics", get(answer))
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|media| media.trim().starts_with("text/html"))
}

async fn exposition(store: &Store, collector: Option<&CollectorHandle>) -> Response {
    let mut text = text(store.request_stats(), store.cache_stats());
    if let Some(collector) = collector {
        text.push_str(&collector.exposition().await);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
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
    fn browsers_get_the_page_and_scrapers_the_figures() {
        let asks = |accept: &str| wants_page(&[(header::ACCEPT, accept.parse().unwrap())].into_iter().collect());
        assert!(asks("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        for scraper in ["*/*", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"] {
            assert!(!asks(scraper), "{scraper}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }

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
