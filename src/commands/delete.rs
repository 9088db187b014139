//! `delete`: deletes events, with every number that counted them corrected.

use std::collections::HashSet;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Deserializer, Value, json};

use super::client::{AskError, JSON};
use super::events::in_seconds;
use super::input;
use super::output::{complain, counted, print};
use super::progress::{Progress, Unit};
use super::question::{Format, Page};
use super::table::{Cell, Table};
use super::target::{Opened, ServerFlags, target};
use crate::config::Settings;
use crate::events::{EventKey, Object};
use crate::ledger::Receipt;
use crate::vocabulary::{EventKind, Kind, MAX_ID};
use crate::worker::commit;

/// What some tools write at the start of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Where a server deletes events.
const DELETIONS: &str = "/v6/events/delete/";
/// How many events are deleted at once, all or none.
const AT_ONCE: usize = 10_000;

/// Deletes events.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(super) struct DeleteCommand {
    /// The events, such as `job/17` or `job_execution/18`
    #[arg(value_name = "KIND/ID", group = "which", value_parser = key)]
    keys: Vec<EventKey>,
    /// Delete the events in this file, too, packed with gzip or not; `-` is standard input; may be repeated
    ///
    /// It has an object a line, or a list of them, with `kind` and `id`, such as what `events --all --format json` prints, or what was
    /// imported. What an import has replaced does not come back, and its definitions stay.
    #[arg(long, value_name = "FILE", group = "which")]
    from: Vec<PathBuf>,
    /// Only say which of them are there
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) server: ServerFlags,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How many events were deleted, and how many were not there.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Deleted {
    deleted: u64,
    missing: u64,
}

/// Parses the key of an event as it stands on a command line.
fn key(text: &str) -> Result<EventKey, String> {
    let (kind, id) = text.split_once('/').ok_or("it must be KIND/ID, such as job/17")?;
    known_key(kind, id.parse().ok())
}

/// The key of an event that can be there.
fn known_key(kind: &str, id: Option<u64>) -> Result<EventKey, String> {
    let known = EventKind::from_name(kind);
    let kind = known.ok_or_else(|| format!("the kind is {kind:?}; it must be one of: {}", EventKind::names()))?;
    let id = id.filter(|id| (1..=MAX_ID).contains(id));
    Ok(EventKey { kind, id: id.ok_or_else(|| format!("the id must be an integer from 1 to {MAX_ID}"))? })
}

impl DeleteCommand {
    /// Deletes them, or says what would be deleted.
    pub(super) fn run(self, settings: &Settings, has_url_flag: bool) -> anyhow::Result<()> {
        let mut keys = self.keys;
        for file in &self.from {
            read_keys(file, &mut keys)?;
        }
        let mut seen = HashSet::new();
        keys.retain(|key| seen.insert(*key));
        let place = target(settings, &self.server, has_url_flag)?.open()?;
        if self.dry_run {
            return place.look_up(&keys)?.print(self.format);
        }
        let mut progress = Progress::new(Some(keys.len() as u64), Unit::Count);
        let mut all = Deleted::default();
        for (batch, done) in keys.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let deleted = place.delete(batch).inspect_err(|_| all.say_before_failure())?;
            all.add(deleted);
            progress.set(done + batch.len() as u64, || format!("deleted {} events", all.deleted));
        }
        drop(progress);
        if place.has_repeated() {
            complain(
                "note: an answer did not arrive, so what was asked for was asked again: some of the missing may have been deleted",
            );
        }
        all.print(self.format)
    }
}

/// An object that names an event, or that defines a choice. It may have other fields.
#[derive(Deserialize)]
struct Named {
    kind: String,
    id: Value,
}

/// What stands between white space: a page of a list, a list, or an object alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Objects {
    Page {
        results: Vec<Named>,
        count: u64,
    },
    /// What a dry run prints.
    Found {
        events: Vec<Named>,
    },
    Many(Vec<Named>),
    One(Named),
}

/// A number as a whole one, in whatever form it is written: `7.0` is 7.
fn whole(number: &Value) -> Option<u64> {
    // What has no fraction is shown without a point.
    number.as_u64().or_else(|| number.as_f64()?.to_string().parse().ok())
}

/// Reads keys from a file.
fn read_keys(file: &Path, keys: &mut Vec<EventKey>) -> anyhow::Result<()> {
    let name = file.display();
    let mut input = input::open(file, Arc::default()).with_context(|| name.to_string())?;
    if input.fill_buf().with_context(|| name.to_string())?.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let (mut definitions, mut objects) = (0_u64, 0_u64);
    for read in Deserializer::from_reader(input).into_iter::<Objects>() {
        let named = match read {
            Ok(Objects::Page { results, count }) => {
                if count > results.len() as u64 {
                    let all = counted(count, "event");
                    complain(&format!("note: {name} has {} of {all} (hint: events --all)", results.len()));
                }
                results
            }
            Ok(Objects::Found { events: many } | Objects::Many(many)) => many,
            Ok(Objects::One(one)) => vec![one],
            Err(error) if error.is_data() => {
                bail!("{name}: what comes after {objects} objects has no kind and id, as events have")
            }
            Err(error) if error.is_io() => return Err(error).with_context(|| name.to_string()),
            Err(error) => bail!("{name} is not JSON: {error} (hint: `events --all --format json` prints what is)"),
        };
        for Named { kind, id } in named {
            objects += 1;
            let is_definition = Kind::from_name(&kind).is_some() && EventKind::from_name(&kind).is_none();
            if is_definition {
                definitions += 1;
            } else {
                keys.push(known_key(&kind, whole(&id)).map_err(|wrong| anyhow!("{name}: object {objects}: {wrong}"))?);
            }
        }
    }
    if definitions > 0 {
        complain(&format!("note: {} left: only events are deleted", counted(definitions, "definition")));
    }
    Ok(())
}

impl Deleted {
    fn add(&mut self, other: Self) {
        self.deleted += other.deleted;
        self.missing += other.missing;
    }

    /// Tells what is deleted already where a command fails half-way.
    fn say_before_failure(&self) {
        if self.deleted > 0 {
            complain(&format!("note: {} deleted before", counted(self.deleted, "event")));
        }
    }

    fn print(self, format: Format) -> anyhow::Result<()> {
        let Self { deleted, missing } = self;
        match format {
            Format::Table => print(&format!("deleted {}; {missing} not there", counted(deleted, "event"))),
            Format::Json => print(&json!(self).to_string()),
            Format::Csv => print(&format!("deleted,missing\n{deleted},{missing}")),
        }
    }
}

/// A metrics type, as far as its name tells that a server is one of this program.
#[derive(Deserialize)]
struct MetricsTypeName {
    name: String,
}

/// Which of some events are there, as they are stored.
struct Found {
    keys: Vec<EventKey>,
    events: Vec<Option<Value>>,
}

impl Found {
    fn print(self, format: Format) -> anyhow::Result<()> {
        let deleted = self.events.iter().flatten().count() as u64;
        let missing = self.events.len() as u64 - deleted;
        let rows = self.keys.iter().zip(&self.events).map(|(EventKey { kind, id }, event)| {
            let text = |name: &str| event.as_ref().and_then(|event| Some(event.get(name)?.as_str()?.to_owned()));
            let ended = text("ended").or_else(|| text("ingest_ended")).unwrap_or_default();
            [kind.name().to_owned(), id.to_string(), text("status").unwrap_or_default(), ended]
        });
        match format {
            Format::Table => {
                let header = [Cell::text("kind"), Cell::number("id"), Cell::text("status"), Cell::text("ended")];
                let mut table = Table::new(header);
                for mut row in rows {
                    if row[2].is_empty() {
                        "not there".clone_into(&mut row[2]);
                    }
                    row[3] = in_seconds(&row[3]);
                    table.add(row);
                }
                print(&table.into_text())?;
            }
            Format::Json => {
                let events: Vec<_> = self.events.iter().flatten().collect();
                print(&json!({"would_delete": deleted, "missing": missing, "events": events}).to_string())?;
            }
            Format::Csv => {
                let lines = std::iter::once("kind,id,status,ended".to_owned()).chain(rows.map(|row| row.join(",")));
                print(&lines.collect::<Vec<_>>().join("\n"))?;
            }
        }
        complain(&format!("would delete {}; {missing} not there", counted(deleted, "event")));
        Ok(())
    }
}

impl Opened {
    /// Whether something was perhaps deleted by a request whose answer did not arrive.
    fn has_repeated(&self) -> bool {
        matches!(self, Self::Server(server) if server.has_repeated())
    }

    /// Deletes events in one commit.
    fn delete(&self, keys: &[EventKey]) -> anyhow::Result<Deleted> {
        match self {
            Self::Server(server) => {
                let body: Vec<_> =
                    keys.iter().map(|EventKey { kind, id }| json!({"kind": kind.name(), "id": id})).collect();
                match server.post(DELETIONS, json!(body).to_string().as_bytes()) {
                    // It takes no body of this size.
                    Err(AskError::Refused { status: 413, .. }) if keys.len() > 1 => {
                        let (first, second) = keys.split_at(keys.len() / 2);
                        let mut deleted = self.delete(first)?;
                        deleted.add(self.delete(second)?);
                        Ok(deleted)
                    }
                    answer => Ok(server.parse(DELETIONS, &answer?)?),
                }
            }
            Self::Store(store) => {
                let objects = [keys.iter().copied().map(Object::Deletion).collect()];
                let applied = store.write(|transaction| commit::apply(transaction, &objects))?;
                let Receipt { deleted, missing, .. } = applied.outcomes.receipts[0];
                Ok(Deleted { deleted, missing })
            }
        }
    }

    /// Looks which events are there.
    fn look_up(&self, keys: &[EventKey]) -> anyhow::Result<Found> {
        let mut progress = Progress::new(Some(keys.len() as u64), Unit::Count);
        let mut events = Vec::with_capacity(keys.len());
        if let Self::Server(server) = self {
            // Where nobody knows these paths, no event is there either.
            let path = "/v6/metrics/";
            let body = server.get(path, JSON)?;
            let page: Page<MetricsTypeName> = server.parse(path, &body)?;
            if page.results.iter().all(|metrics| metrics.name != "job-types") {
                return Err(server.foreign(path).into());
            }
        }
        let find: Box<dyn Fn(EventKey) -> anyhow::Result<Option<Value>>> = match self {
            Self::Server(server) => Box::new(|EventKey { kind, id }| {
                let path = format!("/v6/events/{}/{id}/", kind.name());
                let body = match server.get(&path, JSON) {
                    Err(AskError::Refused { status: 404, .. }) => return Ok(None),
                    answer => answer?,
                };
                let event: Value = server.parse(&path, &body)?;
                let is_it = event["kind"] == kind.name() && event["id"] == id;
                if is_it { Ok(Some(event)) } else { Err(server.foreign(&path).into()) }
            }),
            Self::Store(store) => {
                let snapshot = store.snapshot()?;
                Box::new(move |key| Ok(snapshot.event(key)?.map(|event| json!(event))))
            }
        };
        for (key, done) in keys.iter().zip(1..) {
            events.push(find(*key)?);
            progress.set(done, || format!("looked for {done} events"));
        }
        Ok(Found { keys: keys.to_vec(), events })
    }
}
