//! Serves the web app that `build.rs` embedded.
//!
//! Invariants:
//! - no page may load or run anything from elsewhere (strict content security policy);
//! - files whose name holds a hash are cached for good, everything else is revalidated;
//! - a path without a file gets the app's page, which routes by itself, except below `/assets/`; unknown API paths stay
//!   JSON errors;
//! - a file the build compressed is sent so to who takes it, and no cache mixes the two up (`Vary`).

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::QueryError;

type EmbeddedFile = (&'static str, &'static [u8], &'static str);

const FILES: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Answers every path that no API route took.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if ["/api", "/v1"].into_iter().any(|api| path == api || path.starts_with(&format!("{api}/"))) {
        return QueryError::NotFound(format!("no such path: {path}")).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let name = path.trim_start_matches('/');
    match find(name) {
        Some(file) => answer(file, &headers),
        // A built file that is not there is an error; every other path is a page, whatever dots a name in it has.
        None if name.starts_with("assets/") => (StatusCode::NOT_FOUND, "no such file").into_response(),
        None => find("index.html").map_or(StatusCode::NOT_FOUND.into_response(), |page| answer(page, &headers)),
    }
}

/// What the build made of a file, smallest first: name of the encoding and ending of the file.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The encoding to send, and the file in it, when there is one that the request takes.
fn encoded(path: &str, request: &HeaderMap) -> Option<(&'static str, &'static EmbeddedFile)> {
    let mut taken = ENCODINGS.into_iter().filter(|(encoding, _)| accepts(request, encoding));
    taken.find_map(|(encoding, ending)| Some((encoding, find(&format!("{path}{ending}"))?)))
}

/// Whether the request names the encoding, and not with quality 0.
fn accepts(request: &HeaderMap, encoding: &str) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(',')).map(|coding| coding.split(';').map(str::trim));
    codings.any(|mut parts| {
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        is_named && quality.is_none_or(|quality| quality.parse::<f32>().is_ok_and(|quality| quality > 0.0))
    })
}

fn find(name: &str) -> Option<&'static EmbeddedFile> {
    FILES.iter().find(|(path, _, _)| *path == name)
}

fn answer(file: &'static EmbeddedFile, request: &HeaderMap) -> Response {
    let path = file.0;
    let encoded = encoded(path, request);
    let (_, bytes, hash) = encoded.map_or(file, |(_, file)| file);
    let tag = format!("\"{hash}\"");
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { axum::body::Body::from(*bytes).into_response() };
    let fixed = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CACHE_CONTROL, if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" }),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::VARY, "accept-encoding"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some((encoding, _)) = encoded {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Whether the build put a hash of the content into the name (`assets/app-3f9a1c2e.js`, `app.3f9a1c2e.js`).
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_hash = |part: &str| {
        part.len() >= 8
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && part.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    };
    name.contains('.') && name.split(['.', '-']).skip(1).any(is_hash)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_immutable() {
        for hashed in ["assets/index-BxTq81Za.js", "app.3f9a1c2e.css", "chunk-3F9A1C2E.js"] {
            assert!(is_hashed(hashed), "{hashed}");
        }
        for plain in ["index.html", "favicon.ico", "assets/uplot.min.css", "a-component.js", "3f9a1c2e"] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }

    #[tokio::test]
    async fn page_routes_get_the_app_and_missing_files_do_not() {
        let get = |path: &'static str| serve(Method::GET, Uri::from_static(path), HeaderMap::new());
        let page = get("/traces/0af7651916cd43dd8448eb211c80319c").await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'self'"));
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(get("/assets/gone.js").await.status(), StatusCode::NOT_FOUND);
        for api in ["/api/v1/nothing", "/api/nothing.js", "/api", "/v1/nothing"] {
            let refused = get(api).await;
            assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{api}");
            assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/json", "{api}");
        }
        for page in ["/services/shop.cart", "/dashboards/v1.2", "/apidocs", "/"] {
            let page = get(page).await;
            assert_eq!(page.status(), StatusCode::OK);
            assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        }
        assert_eq!(serve(Method::POST, Uri::from_static("/"), HeaderMap::new()).await.status(), 405);
    }

    #[test]
    fn an_encoding_is_sent_only_to_who_takes_it() {
        let takes = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            ["br", "gzip"].map(|encoding| accepts(&headers, encoding))
        };
        assert_eq!(takes("gzip, deflate, br"), [true, true]);
        assert_eq!(takes("BR;q=0.5, gzip;q=0"), [true, false]);
        assert_eq!(takes("identity"), [false, false]);
        assert_eq!(takes("brotli"), [false, false]);
        assert!(!accepts(&HeaderMap::new(), "br"));
    }

    #[test]
    fn a_compressed_file_is_the_same_file() {
        for plain in FILES.iter().filter(|(path, _, _)| find(&format!("{path}.br")).is_some()) {
            let response = |encodings: &'static str| {
                let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings))]);
                answer(plain, &headers).headers().clone()
            };
            let (packed, unpacked) = (response("br"), response("identity"));
            assert_eq!(packed[header::CONTENT_ENCODING], "br");
            assert!(!unpacked.contains_key(header::CONTENT_ENCODING));
            assert_eq!(packed[header::CONTENT_TYPE], unpacked[header::CONTENT_TYPE]);
            assert_eq!(packed[header::VARY], "accept-encoding");
            assert_ne!(packed[header::ETAG], unpacked[header::ETAG]);
        }
    }
}
