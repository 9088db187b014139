//! `import`: reads events from NDJSON files, and stores them in a running server or directly in a data directory.
//!
//! Files are imported in order, in batches of whole lines. A batch is stored whole or not at all, and a batch that is stored
//! already changes nothing. So an import that failed can be run again. Mistakes are reported with their file and line.

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::client::{self, Retry, token_hint};
use super::input;
use super::open_store::open_and_upgrade;
use super::output::counted;
use super::progress::{Progress, Unit};
use super::target::Target;
use crate::events::future;
use crate::events::wire::{self, NotJson};
use crate::ledger::Receipt;
use crate::store::{Store, StoreError, Transaction};
use crate::time::Clock;
use crate::tls::TlsError;
use crate::worker::commit;

/// The maximum number of lines of a batch.
const BATCH_LINES: usize = 10_000;
/// A batch is sent as soon as it has this size, in bytes.
const BATCH_BYTES: usize = 4 << 20;
/// The maximum number of mistakes that are shown.
const SHOWN: usize = 10;

/// Why an import ended early. What was imported before stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    /// The data directory or the database cannot be used.
    #[error(transparent)]
    Open(StoreError),
    /// The certificates that are to be trusted cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file cannot be read.
    #[error("{}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A line is longer than a request may be.
    #[error("{}:{line}: the line is longer than {limit} bytes", .file.display())]
    LongLine {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The maximum number of bytes of a line.
        limit: usize,
    },
    /// Some lines are invalid. One mistake is shown for each line.
    #[error("{0}")]
    Invalid(String),
    /// The server rejected a batch.
    #[error("the server answered {status} to the lines from {place} on: {detail}{}", token_hint(*.status))]
    Refused {
        /// Its status.
        status: u16,
        /// Where the batch begins: file and line.
        place: String,
        /// The message of the server.
        detail: String,
    },
    /// The server cannot be trusted.
    #[error("{address}: {reason}")]
    NotTrusted {
        /// The address of the request.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The server does not answer, or cannot write.
    #[error("no success within {} s of trying: {last} (hint: --patience says for how long to try)", .patience.as_secs())]
    Unreachable {
        /// How long it was tried.
        patience: Duration,
        /// What happened last.
        last: String,
    },
    /// The database cannot be written.
    #[error("the events cannot be stored")]
    Store(#[source] StoreError),
}

/// Imports the files, in order. `max_line_bytes` bounds a line. A batch is retried for as long as `patience` while the server
/// does not answer or cannot write.
pub(super) fn run(
    files: &[PathBuf],
    target: &Target,
    max_line_bytes: usize,
    patience: Duration,
) -> Result<(), ImportError> {
    // A wrong file name is reported before anything is imported, and before a database is created.
    let sizes: Vec<_> = files.iter().map(|file| size_of_input(file)).collect::<Result<_, _>>()?;
    let sink = Sink::open(target, patience)?;
    let sizes = sizes.into_iter().sum();
    let mut progress = Progress::new(sizes, Unit::Bytes);
    let mut total = Imported::default();
    let import = |file: &PathBuf| import_file(file, &sink, max_line_bytes, &mut progress, &mut total);
    let imported = files.iter().try_for_each(import);
    drop(progress);
    let accepted = total.receipt.accepted();
    if imported.is_err() && accepted > 0 {
        tracing::warn!(objects = accepted, "what came before is stored");
    }
    imported?;
    let Imported { receipt: Receipt { created, updated, unchanged, stale, .. }, future } = total;
    let files = counted(files.len() as u64, "file");
    tracing::info!(accepted, created, updated, unchanged, stale, "imported {files}");
    if future > 0 {
        tracing::warn!(
            future,
            "{future} events end in the future: is the clock right, and do times without an offset mean UTC?"
        );
    }
    Ok(())
}

/// The number of bytes to read; `None` for standard input.
fn size_of_input(file: &Path) -> Result<Option<u64>, ImportError> {
    if input::is_stdin(file) {
        return Ok(None);
    }
    let data = fs::metadata(file).map_err(|source| ImportError::Unreadable { file: file.to_owned(), source })?;
    Ok(Some(data.len()))
}

fn import_file(
    file: &Path,
    sink: &Sink,
    max_line_bytes: usize,
    progress: &mut Progress,
    total: &mut Imported,
) -> Result<(), ImportError> {
    let unreadable = |source| ImportError::Unreadable { file: file.to_owned(), source };
    let read_bytes = Arc::new(AtomicU64::new(0));
    let done_before = progress.position();
    let mut lines = input::open(file, Arc::clone(&read_bytes)).map_err(unreadable)?;
    let mut batch = Batch::new(file);
    let mut line = 0;
    loop {
        let start = batch.text.len();
        let mut limited = lines.by_ref().take(max_line_bytes as u64 + 1);
        let is_end = limited.read_until(b'\n', &mut batch.text).map_err(unreadable)? == 0;
        line += 1;
        if batch.text.len() - start > max_line_bytes {
            return Err(ImportError::LongLine { file: file.to_owned(), line, limit: max_line_bytes });
        }
        if batch.text[start..].trim_ascii().is_empty() {
            batch.text.truncate(start);
        } else {
            if batch.text.last() != Some(&b'\n') {
                batch.text.push(b'\n');
            }
            batch.lines.push(line);
        }
        if !batch.lines.is_empty() && (is_end || batch.is_full()) {
            total.add(sink.store(&batch)?);
            let read_bytes = done_before + read_bytes.load(Ordering::Relaxed);
            progress.set(read_bytes, || format!("imported {} objects", total.receipt.accepted()));
            batch = Batch::new(file);
        }
        if is_end {
            return Ok(());
        }
    }
}

/// The result of importing lines.
#[derive(Debug, Clone, Copy, Default)]
struct Imported {
    receipt: Receipt,
    /// How many of the lines are events that end in the future.
    future: u64,
}

impl Imported {
    fn add(&mut self, other: Self) {
        self.receipt.add(other.receipt);
        self.future += other.future;
    }
}

/// Lines that are stored together, without blank lines.
struct Batch<'a> {
    file: &'a Path,
    text: Vec<u8>,
    /// The number of each line in its file, from 1.
    lines: Vec<u64>,
}

impl<'a> Batch<'a> {
    fn new(file: &'a Path) -> Self {
        Self { file, text: Vec::new(), lines: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINES || self.text.len() >= BATCH_BYTES
    }

    /// Splits the batch into two batches, if it has several lines.
    fn halves(&self) -> Option<[Self; 2]> {
        let (first, second) = self.lines.split_at(self.lines.len() / 2);
        let ends = self.text.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(place, _)| place + 1);
        let middle = ends.take(first.len()).last()?;
        let (first_text, second_text) = self.text.split_at(middle);
        let half = |text: &[u8], lines: &[u64]| Self { file: self.file, text: text.to_vec(), lines: lines.to_vec() };
        Some([half(first_text, first), half(second_text, second)])
    }

    /// The position of one of its lines: file and line number.
    fn place(&self, index: usize) -> String {
        format!("{}:{}", self.file.display(), self.lines.get(index).copied().unwrap_or_default())
    }

    /// The error for these mistakes. A mistake has the line's index in the batch, the field, and what is wrong.
    fn invalid<'m>(&self, mistakes: impl IntoIterator<Item = (usize, Option<&'m str>, &'m str)>) -> ImportError {
        let mut mistakes = mistakes.into_iter().map(|(index, field, detail)| {
            let field = field.map(|field| format!("{field} ")).unwrap_or_default();
            format!("{}: {field}{detail}", self.place(index))
        });
        let mut shown: Vec<_> = mistakes.by_ref().take(SHOWN).collect();
        let more = mistakes.count();
        if more > 0 {
            shown.push(format!("… and {more} more"));
        }
        ImportError::Invalid(shown.join("\n"))
    }

    /// Reads the objects, and passes each to `take`. An error names the line that is not JSON.
    fn read(&self, take: impl FnMut(wire::Read)) -> Result<(), ImportError> {
        wire::read_ndjson(&self.text, take).map_err(|error| match error {
            NotJson::Line { line, detail } => {
                self.invalid([(line - 1, None, format!("is not JSON: {detail}").as_str())])
            }
            NotJson::Body(detail) => self.invalid([(0, None, detail.as_str())]),
        })
    }
}

/// An open destination of batches.
enum Sink {
    Server(Server),
    Store(Store),
}

/// A server that events are posted to.
struct Server {
    agent: ureq::Agent,
    address: String,
    token: Option<String>,
    /// How long a batch is tried.
    patience: Duration,
    /// Whether the server has ever answered.
    was_reached: Cell<bool>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<Mistake>,
}

#[derive(Deserialize)]
struct Mistake {
    index: usize,
    field: Option<String>,
    detail: String,
}

#[derive(Deserialize)]
struct Accepted {
    #[serde(default)]
    future: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    stale: u64,
}

impl Sink {
    fn open(target: &Target, patience: Duration) -> Result<Self, ImportError> {
        match target {
            Target::Server { url, token, trust } => {
                let agent = client::agent(url, trust, None)?;
                let address = format!("{url}/v6/events/");
                Ok(Self::Server(Server {
                    agent,
                    address,
                    token: token.clone(),
                    patience,
                    was_reached: Cell::new(false),
                }))
            }
            Target::Store(storage) => {
                let store = storage.store().map_err(ImportError::Open)?;
                open_and_upgrade(&store).map_err(ImportError::Open)?;
                Ok(Self::Store(store))
            }
        }
    }

    fn store(&self, batch: &Batch<'_>) -> Result<Imported, ImportError> {
        match self {
            Self::Server(server) => server.post(batch),
            Self::Store(store) => loop {
                if let Some(imported) = store_batch(store, batch)? {
                    return Ok(imported);
                }
            },
        }
    }
}

/// Stores a batch. Returns `None` if days that it belongs to were forgotten after it was validated.
fn store_batch(store: &Store, batch: &Batch<'_>) -> Result<Option<Imported>, ImportError> {
    let mut draft = store.snapshot().map_err(ImportError::Store)?.draft();
    batch.read(|object| draft.take(object))?;
    let objects = draft.finish().map_err(|invalid| {
        let mistakes = invalid.problems.iter();
        batch.invalid(mistakes.map(|(index, problem)| (*index, problem.field.as_deref(), problem.detail.as_str())))
    })?;
    let future = future::count(&objects, Clock::System.now());
    let objects = [objects];
    let write = |transaction: &mut Transaction<'_>| {
        if commit::are_overtaken(transaction, &objects) {
            return Ok(None);
        }
        Ok(Some(commit::apply(transaction, &objects)?))
    };
    let applied = store.write(write).map_err(ImportError::Store)?;
    Ok(applied.map(|applied| Imported { receipt: applied.outcomes.receipts[0], future }))
}

impl Server {
    /// Posts a batch. It retries while the server does not answer or cannot write. A retry never counts anything twice.
    fn post(&self, batch: &Batch<'_>) -> Result<Imported, ImportError> {
        let address = &self.address;
        let mut retry = Retry::new(self.patience, self.was_reached.get());
        let mut last: Option<String> = None;
        loop {
            if let Some(last) = last.take()
                && let Err(patience) = retry.pause(&last)
            {
                return Err(ImportError::Unreachable { patience, last });
            }
            let mut request = self.agent.post(address).content_type("application/x-ndjson");
            if let Some(token) = &self.token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.send(&batch.text[..]);
            let mut answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    if let Some(reason) = client::refused_tls(&error) {
                        return Err(ImportError::NotTrusted { address: address.clone(), reason });
                    }
                    last = Some(format!("{address}: {error}"));
                    continue;
                }
            };
            let may_pass = retry.may_pass(&answer);
            self.was_reached.set(retry.was_reached());
            let status = answer.status().as_u16();
            let body = match answer.body_mut().read_to_string() {
                Ok(body) => body,
                Err(error) => {
                    last = Some(format!("{address}: {error}"));
                    continue;
                }
            };
            if status == 413
                && let Some(halves) = batch.halves()
            {
                // The batch exceeds the server's limit. If only one half can be stored, it stays stored.
                let mut receipt = Imported::default();
                for half in &halves {
                    receipt.add(self.post(half)?);
                }
                return Ok(receipt);
            }
            if may_pass {
                last = Some(format!("{address}: {status} {body}"));
                continue;
            }
            if status == 200
                && let Ok(Accepted { created, updated, unchanged, stale, future }) = serde_json::from_str(&body)
            {
                return Ok(Imported {
                    receipt: Receipt { created, updated, unchanged, stale, ..Receipt::default() },
                    future,
                });
            }
            let refusal = serde_json::from_str(&body).unwrap_or(Refusal { detail: body, errors: Vec::new() });
            if !refusal.errors.is_empty() {
                let mistakes = refusal.errors.iter();
                return Err(batch.invalid(
                    mistakes.map(|mistake| (mistake.index, mistake.field.as_deref(), mistake.detail.as_str())),
                ));
            }
            // The server names a line that is not JSON by its place in the batch. Reading the batch here finds its place in the
            // file.
            batch.read(|_| ())?;
            return Err(ImportError::Refused { status, place: batch.place(0), detail: refusal.detail });
        }
    }
}
