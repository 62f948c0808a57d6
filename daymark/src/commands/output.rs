//! Printing to standard output, which the reader may close before it has read everything (`| head`).

use std::io::{self, Write};

/// Prints `text`. A reader that has gone is no failure: it has what it wanted.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if is_closed(&error) => Ok(()),
        other => other,
    }
}

/// Whether the reader of standard output has gone.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
