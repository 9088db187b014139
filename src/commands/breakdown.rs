//! `breakdown`: counts events by what they have in common.

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::CannotStart;
use super::events::Name;
use super::output::{counted, print};
use super::question::{Groups, Page, QuestionFlags, say_which};
use super::table::{Cell, Table};
use crate::catalog::Units;
use crate::config::Settings;
use crate::vocabulary::MetricsTypeId;

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
        say_which(&answer.page, &what);
        Ok(())
    }

    /// The measure that the table shows, if the metrics type has any.
    fn measure(&self) -> Result<Option<&str>, CannotStart> {
        let Some(given) = &self.measure else {
            return Ok(match self.question.metrics {
                MetricsTypeId::JobTypes => Some("run_time"),
                MetricsTypeId::Ingests => Some("ingest_time"),
                MetricsTypeId::Errors => None,
            });
        };
        let observed = self.question.metrics.describe().observed_in(Units::Seconds);
        if observed.iter().any(|it| it.name == given) {
            return Ok(Some(given));
        }
        let names: Vec<_> = observed.iter().map(|it| it.name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(CannotStart::new(format!("--measure is {given:?}; the measures of this metrics type are: {names}")))
    }
}

fn table(answer: &Answer, by: &[&str], measure: Option<&str>) -> String {
    let mut header: Vec<_> = by.iter().copied().map(Cell::text).collect();
    header.extend([Cell::number("count"), Cell::number("share")]);
    header.extend(measure.into_iter().flat_map(|measure| SHOWN.map(|part| Cell::number(&format!("{measure}_{part}")))));
    let mut table = Table::new(header);
    for group in &answer.page.results {
        let mut row: Vec<_> = by.iter().map(|name| common(group.common.get(*name))).collect();
        row.extend([group.count.to_string(), share(group.count, answer.total)]);
        let part = |measure: &str, part: &str| {
            let value = group.measures.get(measure).and_then(|measure| measure.get(part));
            value.filter(|value| value.is_number()).map(Value::to_string).unwrap_or_default()
        };
        row.extend(measure.into_iter().flat_map(|measure| SHOWN.map(|name| part(measure, name))));
        table.add(row);
    }
    table.into_text()
}

/// What a group has in common, as people know it.
fn common(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(word)) => word.clone(),
        Some(value @ Value::Object(_)) => Name::deserialize(value).map(|name| name.shown()).unwrap_or_default(),
        Some(other) => other.to_string(),
    }
}

/// A part of a whole in percent, with one decimal.
fn share(part: u64, whole: u64) -> String {
    let per_mille = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole.max(1));
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}
