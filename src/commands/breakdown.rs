//! `breakdown`: counts events by what they have in common.

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::CannotStart;
use super::events::Name;
use super::output::{counted, print};
use super::question::{Groups, Page, QuestionFlags};
use super::table::{Cell, Table};
use crate::config::Settings;
use crate::vocabulary::MetricsTypeId;

/// What has an id beside its title.
const WITH_IDS: [&str; 3] = ["choice", "error", "job_type"];
/// What the table shows of a measure.
const SHOWN: [&str; 4] = ["avg", "p50", "p95", "max"];

/// Counts groups of events.
#[derive(Args)]
pub(super) struct BreakdownCommand {
    #[command(flatten)]
    pub(super) question: QuestionFlags<Groups>,
    /// The measure that the table shows [default: `run_time`, of ingests `ingest_time`]
    #[arg(long, value_name = "MEASURE")]
    measure: Option<String>,
}

/// The groups and the number of events in all of them.
#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    page: Page<Group>,
    total: u64,
}

/// A group, as far as the table shows it.
#[derive(Deserialize)]
struct Group {
    #[serde(rename = "group")]
    common: Map<String, Value>,
    count: u64,
    measures: Map<String, Value>,
}

impl BreakdownCommand {
    /// Prints the groups.
    pub(super) fn run(&self, settings: &Settings, has_url_flag: bool) -> anyhow::Result<()> {
        let measure = self.measure()?;
        let Some(answer) = self.question.ask::<Answer>(settings, has_url_flag)? else { return Ok(()) };
        if !answer.page.results.is_empty() {
            let mut by = Vec::new();
            for name in self.question.values("by") {
                if !by.contains(&name) {
                    by.push(name);
                }
            }
            print(&table(&answer, &by, measure))?;
        }
        let what = format!("{} of {}", counted(answer.page.count, "group"), counted(answer.total, "event"));
        self.question.say_which(&answer.page, &what);
        Ok(())
    }

    /// The measure that the table shows, if the metrics type has any.
    fn measure(&self) -> Result<Option<&'static str>, CannotStart> {
        let usual = match self.question.metrics {
            MetricsTypeId::JobTypes => Some("run_time"),
            MetricsTypeId::Ingests => Some("ingest_time"),
            MetricsTypeId::Errors => None,
        };
        let Some(wanted) = self.measure.as_deref().or(usual) else { return Ok(None) };
        let measures: Vec<_> = self.question.measures().collect();
        let found = measures.iter().find(|name| **name == wanted).copied();
        if found.is_some() {
            return Ok(found);
        }
        let names = if measures.is_empty() { "none".to_owned() } else { measures.join(", ") };
        Err(CannotStart::new(format!("--measure is {wanted:?}; the measures of this metrics type are: {names}")))
    }
}

/// The groups in columns. A measure that none of them has is left out.
fn table(answer: &Answer, by: &[&str], measure: Option<&str>) -> String {
    let groups = &answer.page.results;
    let part = |group: &Group, measure: &str, part: &str| {
        let value = group.measures.get(measure).and_then(|measure| measure.get(part));
        value.filter(|value| value.is_number()).map(Value::to_string).unwrap_or_default()
    };
    let measure = measure.filter(|name| groups.iter().any(|group| part(group, name, "n") != "0"));
    let mut header = Vec::new();
    for name in by {
        if WITH_IDS.contains(name) {
            header.push(Cell::number("id"));
        }
        header.push(Cell::text(name));
    }
    header.extend([Cell::number("count"), Cell::number("share")]);
    header.extend(measure.iter().flat_map(|name| SHOWN.map(|part| Cell::number(&format!("{name}_{part}")))));
    let mut table = Table::new(header);
    for group in groups {
        let mut row = Vec::new();
        for name in by {
            let value = group.common.get(*name).unwrap_or(&Value::Null);
            if WITH_IDS.contains(name) {
                row.push(value.get("id").map(Value::to_string).unwrap_or_default());
            }
            row.push(common(value));
        }
        row.extend([group.count.to_string(), share(group.count, answer.total)]);
        row.extend(measure.iter().flat_map(|name| SHOWN.map(|shown| part(group, name, shown))));
        table.add(row);
    }
    table.into_text()
}

/// What a group has in common, as people know it.
fn common(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(word) => word.clone(),
        Value::Object(_) => Name::deserialize(value).map(|name| name.shown()).unwrap_or_default(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}

/// A part of a whole in percent, with one decimal.
fn share(part: u64, whole: u64) -> String {
    let per_mille = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole.max(1));
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}
