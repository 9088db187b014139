//! Functions that print to standard output and standard error.

use std::io::{self, Write as _};

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot print")]
pub(super) struct NotPrinted(#[source] pub(super) io::Error);

/// Prints the result of a command.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{text}").map_err(NotPrinted)?)
}

/// A number with its noun, whose plural has an `s`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Prints a line on standard error, even if logging never started. If that is closed or full, the exit status still shows the
/// failure.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether standard output was closed by its reader.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.is::<NotPrinted>()
        && error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
