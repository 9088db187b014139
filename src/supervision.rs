//! Supervised threads: threads that must not end by themselves.
//!
//! Each thread reports its own end, also after a panic. So the program learns of the end at once, and does not have to poll
//! whether the thread still runs.
//!
//! Not here: the reaction to the end (`app`).

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

/// Runs `work` on a thread with this name. Calls `ended` on that thread when it ends; if it failed or panicked, with an error
/// that names the thread.
pub(crate) fn supervise(
    name: &'static str,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ended: impl FnOnce(Option<&io::Error>) + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || {
        let result = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(io::Error::new(error.kind(), format!("the thread `{name}` failed: {error}"))),
            Err(panic) => Err(io::Error::other(format!("the thread `{name}` panicked: {}", message(&*panic)))),
        };
        ended(result.as_ref().err());
        result
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn end_of(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> (Option<String>, Option<String>) {
        let (sender, told) = mpsc::channel();
        let ended = move |error: Option<&io::Error>| sender.send(error.map(ToString::to_string)).unwrap();
        let thread = supervise("worker", work, ended).unwrap();
        let returned = thread.join().unwrap().err().map(|error| error.to_string());
        (told.recv().unwrap(), returned)
    }

    #[test]
    fn every_end_is_told_with_its_reason() {
        assert_eq!(end_of(|| Ok(())), (None, None));
        let failed = Some("the thread `worker` failed: no socket".to_owned());
        assert_eq!(end_of(|| Err(io::Error::other("no socket"))), (failed.clone(), failed));
        let panicked = Some("the thread `worker` panicked: 7 is odd".to_owned());
        assert_eq!(end_of(|| panic!("{} is odd", 7)), (panicked.clone(), panicked));
    }
}
