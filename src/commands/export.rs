//! `export`: writes all definitions and events as NDJSON, from a running server or directly from a data directory.
//!
//! The output is one consistent state, which `import` turns back into the same numbers. An output file gets its name when it is
//! complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::client::{AskError, Server};
use super::progress::{Progress, Unit};
use super::target::{Opened, Target};
use crate::events::wire::{write_choices, write_event};
use crate::gunzip::Gunzip;
use crate::store::{Store, StoreError};

/// Where a server has its export.
const PATH: &str = "/v6/export/";
/// The size of one write, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// Why an export ended early. The output file then does not exist, or it is the file from before.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// The server gives no answer, or refuses the request.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The output file cannot be created.
    #[error("{}", .file.display())]
    Output {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("the export cannot be written")]
    Write(#[source] io::Error),
    /// The answer of the server is incomplete.
    #[error("the server sent {sent} of {total} objects")]
    Incomplete {
        /// The number of objects that arrived.
        sent: u64,
        /// The number of objects that there are.
        total: u64,
    },
    /// The database cannot be read.
    #[error("the events cannot be read")]
    Store(#[source] StoreError),
}

/// Exports everything in `source` into a file, which is compressed if its name ends in `.gz`. Without a file, or for `-`, it
/// exports to standard output.
pub(super) fn run(source: &Target, output: Option<&Path>) -> anyhow::Result<()> {
    let mut input = Input::open(source)?;
    let mut output = Output::open(output)?;
    let objects = input.write_to(&mut output)?;
    output.finish()?;
    tracing::info!(objects, "exported");
    Ok(())
}

/// An open source of objects.
enum Input {
    Server { address: String, total: u64, lines: Box<dyn Read> },
    Store(Store),
}

impl Input {
    fn open(source: &Target) -> anyhow::Result<Self> {
        match source.open()? {
            Opened::Store(store) => Ok(Self::Store(store)),
            Opened::Server(server) => Ok(Self::ask(&server)?),
        }
    }

    fn ask(server: &Server) -> Result<Self, ExportError> {
        let answer = server.stream(PATH)?;
        let total = answer.headers().get("x-total-count").and_then(|total| total.to_str().ok()?.parse().ok());
        let Some(total) = total else {
            return Err(server.foreign(PATH).into());
        };
        let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Self::Server { address: server.address(PATH), total, lines: Box::new(Gunzip::new(BufReader::new(body))) })
    }

    /// Writes all objects, and returns their number.
    fn write_to(&mut self, output: &mut Output) -> Result<u64, ExportError> {
        match self {
            Self::Server { address, total, lines } => {
                let mut progress = Progress::new(Some(*total), Unit::Count);
                let mut piece = vec![0; PIECE_BYTES];
                let mut sent = 0;
                loop {
                    let read = lines.read(&mut piece).map_err(|error| AskError::Unreachable {
                        address: address.clone(),
                        detail: error.to_string(),
                    })?;
                    if read == 0 {
                        break;
                    }
                    output.write(&piece[..read])?;
                    sent += memchr::memchr_iter(b'\n', &piece[..read]).count() as u64;
                    progress.set(sent, || format!("exported {sent} objects"));
                }
                if sent == *total { Ok(sent) } else { Err(ExportError::Incomplete { sent, total: *total }) }
            }
            Self::Store(store) => {
                let snapshot = store.snapshot().map_err(ExportError::Store)?;
                let mut dates = snapshot.dates().map_err(ExportError::Store)?;
                dates.retain(|&date| date >= snapshot.kept().events_from);
                let mut progress = Progress::new(Some(dates.len() as u64), Unit::Count);
                let mut lines = Vec::new();
                let mut objects = write_choices(&mut lines, snapshot.definitions());
                for (done, of) in [None].into_iter().chain(dates.into_iter().map(Some)).enumerate() {
                    let mut written = Ok(());
                    let visited = snapshot.events(of, |event| {
                        write_event(&mut lines, event);
                        objects += 1;
                        if lines.len() >= PIECE_BYTES && written.is_ok() {
                            written = output.write(&lines);
                            lines.clear();
                        }
                        Ok(())
                    });
                    visited.map_err(ExportError::Store)?;
                    written?;
                    progress.set(done as u64, || format!("exported {objects} objects"));
                }
                output.write(&lines)?;
                Ok(objects)
            }
        }
    }
}

/// An open destination of objects.
struct Output {
    /// The final name of the file, and its name until it is complete.
    names: Option<(PathBuf, PathBuf)>,
    sink: Sink,
}

enum Sink {
    Plain(Box<dyn Write>),
    Packed(GzEncoder<Box<dyn Write>>),
}

impl Output {
    fn open(file: Option<&Path>) -> Result<Self, ExportError> {
        let Some(file) = file.filter(|file| *file != Path::new("-")) else {
            return Ok(Self { names: None, sink: Sink::Plain(Box::new(io::stdout())) });
        };
        let is_packed = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let sink = |out: Box<dyn Write>| {
            if is_packed { Sink::Packed(GzEncoder::new(out, Compression::fast())) } else { Sink::Plain(out) }
        };
        // A pipe, a device or a link is written to, rather than replaced.
        if fs::symlink_metadata(file).is_ok_and(|there| !there.is_file()) {
            let failed = |source| ExportError::Output { file: file.to_owned(), source };
            let out = File::create(file).map_err(failed)?;
            return Ok(Self { names: None, sink: sink(Box::new(BufWriter::new(out))) });
        }
        let mut unfinished = OsString::from(file);
        unfinished.push(".part");
        let unfinished = PathBuf::from(unfinished);
        let failed = |source| ExportError::Output { file: unfinished.clone(), source };
        let out: Box<dyn Write> = Box::new(BufWriter::new(File::create(&unfinished).map_err(failed)?));
        Ok(Self { names: Some((file.to_owned(), unfinished)), sink: sink(out) })
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), ExportError> {
        let written = match &mut self.sink {
            Sink::Plain(out) => out.write_all(lines),
            Sink::Packed(out) => out.write_all(lines),
        };
        written.map_err(ExportError::Write)
    }

    /// Makes sure that all data is on disk, and gives the file its final name.
    fn finish(mut self) -> Result<(), ExportError> {
        match &mut self.sink {
            Sink::Plain(out) => out.flush(),
            Sink::Packed(out) => out.try_finish().and_then(|()| out.get_mut().flush()),
        }
        .map_err(ExportError::Write)?;
        if let Some((name, unfinished)) = &self.names {
            let synced = File::open(unfinished).and_then(|file| file.sync_all());
            synced.and_then(|()| fs::rename(unfinished, name)).map_err(ExportError::Write)?;
            self.names = None;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((_, unfinished)) = &self.names
            && let Err(error) = fs::remove_file(unfinished)
        {
            tracing::warn!(%error, "{} is left over", unfinished.display());
        }
    }
}
