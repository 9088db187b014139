//! `events`: lists the events behind a number.

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::output::{counted, print};
use super::question::{Events, Page, QuestionFlags};
use super::table::{Cell, MOST_CHARS, Table, shortened};
use crate::config::Settings;
use crate::vocabulary::MetricsTypeId;

/// Lists events.
#[derive(Args)]
pub(super) struct EventsCommand {
    #[command(flatten)]
    pub(super) question: QuestionFlags<Events>,
}

/// An event of the list, as far as the table shows it.
#[derive(Deserialize)]
struct Listed {
    kind: String,
    id: u64,
    status: String,
    ended: String,
    choice: Name,
    error: Option<Name>,
    /// Its job type, of an error's execution.
    job_type: Option<u64>,
    measures: Map<String, Value>,
}

/// What an event belongs to.
#[derive(Deserialize)]
pub(super) struct Name {
    id: u64,
    title: String,
    /// Of a job type.
    version: Option<String>,
}

impl Name {
    /// How people know it.
    pub(super) fn shown(&self) -> String {
        match (&*self.title, &self.version) {
            ("", _) => self.id.to_string(),
            // Versions of a long title must not look the same.
            (title, Some(version)) => {
                let version = shortened(version, MOST_CHARS / 2);
                format!("{} {version}", shortened(title, MOST_CHARS - 1 - version.chars().count()))
            }
            (title, None) => title.to_owned(),
        }
    }
}

impl EventsCommand {
    /// Prints them.
    pub(super) fn run(&self, settings: &Settings, has_url_flag: bool) -> anyhow::Result<()> {
        let Some(page) = self.question.ask::<Page<Listed>>(settings, has_url_flag)? else { return Ok(()) };
        if !page.results.is_empty() {
            print(&self.table(&page.results))?;
        }
        self.question.say_which(&page, &counted(page.count, "event"));
        Ok(())
    }

    /// The events in columns. Measures that none of them has are left out.
    fn table(&self, events: &[Listed]) -> String {
        let metrics = self.question.metrics;
        let is_measured = |name: &str| events.iter().any(|event| event.measures.get(name).is_some_and(Value::is_u64));
        let measures: Vec<_> = self.question.measures().filter(|name| is_measured(name)).collect();
        let mut header = vec![Cell::text("kind"), Cell::number("id"), Cell::text("status"), Cell::text("ended")];
        match metrics {
            MetricsTypeId::JobTypes => header.extend([Cell::text("job type"), Cell::text("error")]),
            MetricsTypeId::Ingests => header.push(Cell::text("strike")),
            MetricsTypeId::Errors => header.extend([Cell::text("error"), Cell::number("job type")]),
        }
        header.extend(measures.iter().copied().map(Cell::number));
        let mut table = Table::new(header);
        for event in events {
            let mut row =
                vec![event.kind.clone(), event.id.to_string(), event.status.clone(), in_seconds(&event.ended)];
            row.push(event.choice.shown());
            match metrics {
                MetricsTypeId::JobTypes => row.push(event.error.as_ref().map(Name::shown).unwrap_or_default()),
                MetricsTypeId::Ingests => {}
                MetricsTypeId::Errors => row.push(event.job_type.map(|id| id.to_string()).unwrap_or_default()),
            }
            let value = |name: &str| event.measures.get(name).filter(|value| value.is_u64());
            row.extend(measures.iter().map(|name| value(name).map(Value::to_string).unwrap_or_default()));
            table.add(row);
        }
        table.into_text()
    }
}

/// A time without fractions of a second.
pub(super) fn in_seconds(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}
