//! Takes out of a server's error what must not be logged.
//!
//! S3 answers a refused request with XML that may hold the session token it was given (`InvalidToken`), or the text that
//! was signed. Everything between such tags is dropped, and the rest is cut to a line that can be read.

use object_store::{Error, Result};

/// Elements of S3's errors whose content is dropped.
const SECRET: [&str; 6] =
    ["Token-0", "StringToSign", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes", "SignatureProvided"];
/// A longer text is cut.
const MAX_BYTES: usize = 600;

/// The same kind of error with a text that can be logged.
pub(super) fn scrubbed(error: Error) -> Error {
    match error {
        Error::Generic { store, source } => Error::Generic { store, source: plain(&*source) },
        Error::NotFound { path, source } => Error::NotFound { path, source: plain(&*source) },
        Error::AlreadyExists { path, source } => Error::AlreadyExists { path, source: plain(&*source) },
        Error::Precondition { path, source } => Error::Precondition { path, source: plain(&*source) },
        Error::NotModified { path, source } => Error::NotModified { path, source: plain(&*source) },
        Error::PermissionDenied { path, source } => Error::PermissionDenied { path, source: plain(&*source) },
        Error::Unauthenticated { path, source } => Error::Unauthenticated { path, source: plain(&*source) },
        other => other,
    }
}

fn plain(source: &(dyn std::error::Error + 'static)) -> Box<dyn std::error::Error + Send + Sync> {
    let mut text = source.to_string();
    let mut cause = source.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Most errors repeat their cause.
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    without_secrets(&text).into()
}

fn without_secrets(text: &str) -> String {
    let mut clean = text.to_owned();
    for tag in SECRET {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        while let Some(start) = clean.find(&open) {
            // An element that is cut off takes the rest with it.
            let end = clean[start..].find(&close).map_or(clean.len(), |at| start + at + close.len());
            clean.replace_range(start..end, "");
        }
    }
    let mut line: String = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > MAX_BYTES {
        let cut = (0..=MAX_BYTES).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        line.truncate(cut);
        line.push_str(" ...");
    }
    line
}

/// For calls that are not methods of the store.
pub(super) fn scrub<T>(result: Result<T>) -> Result<T> {
    result.map_err(scrubbed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_and_no_signed_text_is_left_in_an_error() {
        let body = "Client error with status 400: <Error><Code>InvalidToken</Code>\n<Message>malformed</Message>\
                    <Token-0>hunter2</Token-0><StringToSign>hunter2\nx</StringToSign><SignatureProvided>hunter2";
        let source: Box<dyn std::error::Error + Send + Sync> = body.into();
        let error = scrubbed(Error::Generic { store: "S3", source }).to_string();
        assert!(error.contains("InvalidToken") && error.contains("malformed"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
        assert!(without_secrets(&"é".repeat(10_000)).len() < 700);
    }
}
