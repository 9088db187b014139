//! Questions about events on the command line: the parameters of an endpoint as flags, and its answers from a server or a store.

use std::io::{self, Write as _};
use std::marker::PhantomData;
use std::sync::LazyLock;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use form_urlencoded::Serializer;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::CannotStart;
use super::client::{AskError, JSON, Server};
use super::output::{NotPrinted, complain};
use super::target::{Opened, ServerFlags, target};
use crate::api::{ApiError, DEFAULT_SIZE, MAX_SIZE, Question, QuestionParameter, ReadSettings};
use crate::catalog::{CATALOG, Units};
use crate::config::Settings;
use crate::store::{Snapshot, Store};
use crate::time::Clock;
use crate::vocabulary::MetricsTypeId;

const CSV: &str = "text/csv";
/// The heading of the flags in the help.
const HEADING: &str = "Which events";
/// The parameters that are no flags: the output has formats of its own, and the settings have a time zone.
const NO_FLAGS: [&str; 2] = ["format", "timezone"];

/// How a command prints its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    Table,
    /// What the server answers
    Json,
    /// Comma-separated values with a header
    Csv,
}

/// A question that a command asks.
pub(super) trait Asked {
    const QUESTION: Question;
    /// A flag for each of its parameters.
    fn flags() -> &'static [Flag];
}

/// Asks for the events behind a number.
pub(super) struct Events;

/// Asks for groups of these events.
pub(super) struct Groups;

impl Asked for Events {
    const QUESTION: Question = Question::Events;

    fn flags() -> &'static [Flag] {
        static FLAGS: LazyLock<Vec<Flag>> = LazyLock::new(|| Flag::all(Events::QUESTION));
        &FLAGS
    }
}

impl Asked for Groups {
    const QUESTION: Question = Question::Breakdown;

    fn flags() -> &'static [Flag] {
        static FLAGS: LazyLock<Vec<Flag>> = LazyLock::new(|| Flag::all(Groups::QUESTION));
        &FLAGS
    }
}

/// A flag and its parameter.
pub(super) struct Flag {
    /// The name of the parameter with hyphens.
    long: String,
    /// The name in capitals.
    value: String,
    parameter: QuestionParameter,
}

impl Flag {
    fn all(question: Question) -> Vec<Self> {
        let parameters = question.parameters().into_iter();
        let parameters = parameters.filter(|parameter| !NO_FLAGS.contains(&parameter.name.as_str()));
        let flag = |parameter: QuestionParameter| {
            let name = &parameter.name;
            Self { long: name.replace('_', "-"), value: name.to_uppercase(), parameter }
        };
        parameters.map(flag).collect()
    }

    fn arg(&'static self) -> Arg {
        let QuestionParameter { name, description, words, is_repeated, is_text, is_required } = &self.parameter;
        let action = if *is_repeated { ArgAction::Append } else { ArgAction::Set };
        let arg = Arg::new(name.as_str()).long(&*self.long).value_name(&*self.value);
        let arg = arg.help(description.trim_end_matches('.')).help_heading(HEADING);
        let arg = arg.action(action).required(*is_required).allow_hyphen_values(true);
        // A name may have a comma.
        let arg = if *is_repeated && !is_text { arg.value_delimiter(',') } else { arg };
        if words.is_empty() {
            return arg.value_parser(given);
        }
        let words = words.iter().map(String::as_str);
        arg.hide_possible_values(words.len() > MOST_WORDS).value_parser(PossibleValuesParser::new(words))
    }
}

/// More words than this are not listed in the help.
const MOST_WORDS: usize = 8;

/// The value of a flag. The interface takes an empty one and `null` for none at all, so that everything would be selected.
fn given(text: &str) -> Result<String, String> {
    if text.is_empty() || text == "null" { Err("it says nothing".to_owned()) } else { Ok(text.to_owned()) }
}

/// The values of the flags, each with the name of its parameter.
pub(super) struct Parameters<Q> {
    values: Vec<(&'static str, String)>,
    question: PhantomData<Q>,
}

impl<Q: Asked> Args for Parameters<Q> {
    fn augment_args(command: Command) -> Command {
        command.args(Q::flags().iter().map(Flag::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<Q: Asked> FromArgMatches for Parameters<Q> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |flag: &'static Flag| {
            let name = flag.parameter.name.as_str();
            matches.get_many::<String>(name).into_iter().flatten().map(move |value| (name, value.clone()))
        };
        Ok(Self { values: Q::flags().iter().flat_map(of).collect(), question: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Parses the name of a metrics type.
fn metrics_type(name: &str) -> Result<MetricsTypeId, String> {
    let found = CATALOG.iter().find(|metrics| metrics.name == name);
    found.map(|metrics| metrics.id).ok_or_else(|| {
        let names: Vec<_> = CATALOG.iter().map(|metrics| metrics.name).collect();
        format!("it must be one of: {}", names.join(", "))
    })
}

/// What the commands that ask a question have in common.
#[derive(Args)]
pub(super) struct QuestionFlags<Q: Asked> {
    /// What counts the events: job-types, ingests or errors
    #[arg(value_name = "METRICS_TYPE", value_parser = metrics_type)]
    pub(super) metrics: MetricsTypeId,
    #[command(flatten)]
    pub(super) server: ServerFlags,
    #[command(flatten)]
    parameters: Parameters<Q>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// Print all pages as CSV or JSON, not just one; as JSON, a result a line
    ///
    /// If a server stores events meanwhile, some may be missing or be printed twice.
    #[arg(long, conflicts_with_all = ["page"])]
    all: bool,
}

/// A page of results.
#[derive(Deserialize)]
pub(super) struct Page<R> {
    /// The number of results on all pages.
    pub(super) count: u64,
    /// Where the next page is.
    pub(super) next: Option<String>,
    pub(super) results: Vec<R>,
}

impl<Q: Asked> QuestionFlags<Q> {
    /// The names of the measures of the metrics type.
    pub(super) fn measures(&self) -> impl Iterator<Item = &'static str> {
        self.metrics.describe().observed_in(Units::Seconds).into_iter().map(|it| it.name)
    }

    /// The values given for a parameter.
    pub(super) fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.parameters.values.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// Prints the answer as a program reads it, or returns the page that becomes a table.
    pub(super) fn ask<P: DeserializeOwned>(
        &self,
        settings: &Settings,
        has_url_flag: bool,
    ) -> anyhow::Result<Option<P>> {
        self.refuse_nonsense()?;
        let source = Source::open(settings, &self.server, has_url_flag)?;
        let is_csv = self.format == Format::Csv;
        let ask = |page: &[(&str, &str)]| {
            let mut query = Serializer::new(String::new());
            query.extend_pairs(&self.parameters.values).extend_pairs(page);
            query.append_pair("format", if is_csv { "csv" } else { "json" });
            if settings.is_flag("--timezone") {
                query.append_pair("timezone", settings.config.api.timezone.name());
            }
            source.answer(Q::QUESTION, self.metrics, &query.finish(), is_csv)
        };
        match self.format {
            Format::Table => {
                let page = serde_json::from_slice(&ask(&[])?).context("the answer cannot be understood")?;
                return Ok(Some(page));
            }
            Format::Json | Format::Csv if self.all => self.print_all(ask)?,
            Format::Json | Format::Csv => self.print_page(&ask(&[])?)?,
        }
        Ok(None)
    }

    /// Refuses flags that the interface would ignore, and that cannot go together.
    fn refuse_nonsense(&self) -> Result<(), CannotStart> {
        if self.all && self.format == Format::Table {
            return Err(CannotStart::new("--all is for programs (hint: --format json or csv)"));
        }
        let is_given = |flag: &&Flag| self.values(&flag.parameter.name).next().is_some();
        let mut given = Q::flags().iter().filter(is_given);
        match given.find(|flag| !Q::QUESTION.knows(self.metrics, &flag.parameter.name)) {
            Some(Flag { long, .. }) => {
                Err(CannotStart::new(format!("--{long} has no meaning for {}", self.metrics.describe().name)))
            }
            None => Ok(()),
        }
    }

    /// Prints a page, and says whether there are others.
    fn print_page(&self, body: &[u8]) -> anyhow::Result<()> {
        print_bytes(body)?;
        if self.format == Format::Json {
            print_bytes(b"\n")?;
            let page: Page<IgnoredAny> = serde_json::from_slice(body)?;
            if (page.results.len() as u64) < page.count {
                complain(&format!("note: these are {} of {} (hint: --all)", page.results.len(), page.count));
            }
        } else if Q::QUESTION == Question::Events {
            let is_first = self.values("page").all(|page| page == "1");
            if !is_first || is_full(body, self.page_size().unwrap_or(DEFAULT_SIZE)) {
                complain("note: there may be more than this page (hint: --all)");
            }
        }
        Ok(())
    }

    /// How many results a page shall have, if that was said.
    fn page_size(&self) -> Option<usize> {
        self.values("page_size").next_back().and_then(|size| size.parse().ok()).map(|size: usize| size.min(MAX_SIZE))
    }

    /// Says beside a table which results of how many it shows.
    pub(super) fn say_which<R>(&self, page: &Page<R>, what: &str) {
        let units = self.values("units").next_back().unwrap_or(Units::Seconds.name());
        let units = if self.measures().next().is_some() { format!(", times in {units}") } else { String::new() };
        let shown = page.results.len() as u64;
        if shown < page.count {
            complain(&format!("{shown} of {what}{units} (--page and --page-size ask for others)"));
        } else {
            complain(&format!("{what}{units}"));
        }
    }

    /// Prints the pages from the first to the last.
    fn print_all(&self, ask: impl Fn(&[(&str, &str)]) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<()> {
        let size = self.page_size().unwrap_or(MAX_SIZE);
        let size_text = size.to_string();
        for number in 1.. {
            let page = u64::to_string(&number);
            let body = match ask(&[("page_size", &size_text), ("page", &page)]) {
                Err(error) if number > 1 && is_behind_last(&error) => break,
                answer => answer?,
            };
            if self.format == Format::Json {
                let page: Page<&RawValue> = serde_json::from_slice(&body)?;
                let lines: Vec<_> = page.results.iter().flat_map(|result| [result.get(), "\n"]).collect();
                print_bytes(lines.concat().as_bytes())?;
                if page.next.is_none() {
                    break;
                }
            } else {
                let header = memchr::memchr(b'\n', &body).map_or(body.len(), |end| end + 1);
                print_bytes(&body[if number == 1 { 0 } else { header }..])?;
                // A breakdown has all groups at once.
                if Q::QUESTION == Question::Breakdown || !is_full(&body, size) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether a page of CSV may have as many results as a page may have: some may have several lines.
fn is_full(body: &[u8], most: usize) -> bool {
    memchr::memchr_iter(b'\n', body).count() > most
}

/// Whether a page was asked for that is not there.
fn is_behind_last(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(AskError::Refused { status: 404, .. }))
        || matches!(error.downcast_ref(), Some(ApiError::InvalidPage))
}

fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    Ok(io::stdout().write_all(bytes).map_err(NotPrinted)?)
}

/// Where answers come from.
enum Source {
    Server(Server),
    /// One state of a store, which stays open meanwhile.
    Store {
        snapshot: Box<Snapshot>,
        settings: Box<ReadSettings>,
        _store: Store,
    },
}

impl Source {
    fn open(settings: &Settings, server: &ServerFlags, has_url_flag: bool) -> anyhow::Result<Self> {
        Ok(match target(settings, server, has_url_flag)?.open()? {
            Opened::Server(server) => Self::Server(server),
            Opened::Store(store) => Self::Store {
                snapshot: Box::new(store.snapshot().map_err(ApiError::from)?),
                settings: Box::new(ReadSettings::new(&settings.config, Clock::System)),
                _store: store,
            },
        })
    }

    fn answer(&self, question: Question, metrics: MetricsTypeId, query: &str, is_csv: bool) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Server(server) => {
                let path = format!("{}?{query}", question.path(metrics));
                let body = server.get(&path, if is_csv { CSV } else { JSON })?;
                if is_csv {
                    let header = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
                    let mut columns = header.split(|&byte| byte == b',');
                    let known = if question == Question::Events { "kind" } else { "count" };
                    if !columns.any(|column| column == known.as_bytes()) {
                        return Err(server.foreign(&path).into());
                    }
                } else {
                    server.parse::<Page<IgnoredAny>>(&path, &body)?;
                }
                Ok(body)
            }
            Self::Store { snapshot, settings, .. } => Ok(question.answer(metrics, query, snapshot, settings)?),
        }
    }
}
