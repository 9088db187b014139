//! The command line: what each command does and how it exits.
//!
//! Data goes to standard output, everything else to standard error. Exit status 0: done; 1: it went wrong on the way;
//! 2: it could not start (arguments, settings, data directory, a database that another process has open).

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, iter, process, thread};

use anyhow::Context;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use futures_util::FutureExt as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::access::{Scope, Token};
use crate::api::DOCUMENT;
use crate::app::{App, REQUESTS_OF_FRAMEWORK, StartError, retention_guard};
use crate::check::{self, Report};
use crate::client::PATIENCE;
use crate::config::{Config, ConfigError, Overrides, Settings};
use crate::export::{self, ExportError};
use crate::import::{self, ImportError, Target};
use crate::progress::{Progress, Unit};
use crate::store::{Forgettable, Snapshot, Store};
use crate::time::{Clock, ClockError, Date, Timestamp};
use crate::worker::chain;
use crate::worker::reopen::{self, Reopening};
use crate::worker::retention::{Expiry, Retention};
use crate::{demo, health, telemetry};

#[derive(Parser)]
#[command(name = "scale-metrics", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    overrides: Overrides,
    /// Print the settings that are in force and where each comes from, and do nothing else
    #[arg(long, global = true)]
    print_config: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Run the server on a throw-away database with sample events of the last 90 days
    Demo,
    /// Post NDJSON files to a running server, or straight into a data directory
    ///
    /// Can be run again after a failure: what is there already is not counted twice.
    Import {
        /// Files with an object a line, packed with gzip or not; `-` is standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Post to this server, such as `http://127.0.0.1:8080` [default: write into the data directory]
        #[arg(long, value_name = "URL", env = "SCALE_METRICS_URL", value_parser = server_url)]
        url: Option<String>,
        /// The token that this server wants, with the scope `write`
        #[arg(long, value_name = "TOKEN", env = "SCALE_METRICS_TOKEN", hide_env_values = true, requires = "url")]
        token: Option<String>,
        /// For how many seconds to try again while this server cannot store events or does not answer any more; one that
        /// never answered is given up after 10 s
        #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs())]
        patience: u64,
    },
    /// Write all choices and events as NDJSON, for `import`
    ///
    /// What comes out is one state, which `import` turns back into the same numbers. A running server goes on meanwhile.
    Export {
        /// Ask this server, such as `http://127.0.0.1:8080` [default: read the data directory]
        #[arg(long, value_name = "URL", env = "SCALE_METRICS_URL", value_parser = server_url)]
        url: Option<String>,
        /// The token that this server wants, with the scope `admin`
        #[arg(long, value_name = "TOKEN", env = "SCALE_METRICS_TOKEN", hide_env_values = true, requires = "url")]
        token: Option<String>,
        /// Where to, packed if the name ends in `.gz`; `-` is standard output [default: -]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Ask a running server whether it can take writes
    ///
    /// Exit status 1 if not, or if it does not answer.
    Health {
        /// Its address [default: where the settings say that a server listens]
        #[arg(long, value_name = "URL", env = "SCALE_METRICS_URL", value_parser = server_url)]
        url: Option<String>,
    },
    /// Verify the database, compute every rollup anew from the events, and list what differs
    ///
    /// Exit status 1 if anything differs and is not repaired. No server may run on the directory.
    Check {
        /// Store the rollups that the events add up to, and write the index anew if it is wrong
        #[arg(long)]
        repair: bool,
    },
    /// Print the OpenAPI document that a server sends at /v6/openapi.json
    Openapi,
    /// Forget what is older than the settings of `[retention]` say
    ///
    /// A server does that by itself, bit by bit. No server may run on the directory. Exit status 2 if the clock is far ahead of
    /// both the last run and the newest event, unless --confirm says that it is right.
    Expire {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
        /// The clock is right: forget events before this day, which must be the one that --dry-run names
        #[arg(long, value_name = "DATE", conflicts_with = "reopen")]
        confirm: Option<Date>,
        /// Open the days from this one on again, instead of forgetting any
        #[arg(long, value_name = "DATE")]
        reopen: Option<Date>,
        /// Open also days whose events are gone: their numbers become those of the events that are left
        #[arg(long, requires = "reopen")]
        drop_numbers: bool,
    },
    /// Make a token: prints it, and the line by which the configuration knows it
    Token {
        /// What people shall call it; no colon, comma or white space
        name: String,
        /// What it is good for; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_enum)]
        scopes: Vec<Scope>,
    },
    /// Print the script by which a shell completes commands and flags
    Completions {
        /// Whose script
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// The name of a new token cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the name of a token is not empty and has no colon, comma or white space")]
struct BadName;

/// Nobody can tell which of them is meant.
#[derive(Debug, thiserror::Error)]
#[error("--url names a server and --data a directory: one of them is enough")]
struct TwoTargets;

/// Nobody said where events go, and the default directory has no database.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing says where the events go (hint: --url http://HOST:PORT names a running server, --data DIR a directory)"
)]
struct NoTarget;

/// There is nothing to check.
#[derive(Debug, thiserror::Error)]
#[error("there is no database in `{}`", .0.display())]
struct NoDatabase(PathBuf);

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot print")]
struct NotPrinted(#[source] io::Error);

/// The clock is not believed.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the clock says {now}, far after the last run ({last_run}) and the newest event ({newest}): nothing was deleted (hint: if \
     the clock is right, confirm with --confirm {cut_off}; --dry-run lists what goes)"
)]
struct DoubtfulClock {
    now: Timestamp,
    last_run: String,
    newest: String,
    cut_off: Date,
}

/// Something else was confirmed than what would happen.
#[derive(Debug, thiserror::Error)]
#[error("--confirm {confirmed} is not the day before which events would go, which is {cut_off}: nothing was deleted")]
struct OtherDay {
    confirmed: Date,
    cut_off: Date,
}

/// Opening days again would lose their numbers.
#[derive(Debug, thiserror::Error)]
#[error(
    "{days} of these days, from {first} to {last}, have numbers of events that are gone: nothing was opened (hint: open from a \
     later day on, or add --drop-numbers, which makes their numbers those of the events that are left)"
)]
struct LossyDays {
    days: usize,
    first: Date,
    last: Date,
}

/// The longest time after the last run or the newest event for which `expire` believes the clock.
const MAX_IDLE: Duration = Duration::from_hours(7 * 24);

const FAILED: u8 = 1;
const CANNOT_START: u8 = 2;

/// Runs the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = Cli::command().try_get_matches_from(arguments);
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, has_url_flag(&matches))));
    let (cli, has_url_flag) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&usage_error(&error));
            return ExitCode::from(CANNOT_START);
        }
    };
    let result = execute(cli, has_url_flag);
    telemetry::flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read standard output has seen enough, such as `head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {}", chain(error.as_ref())));
            ExitCode::from(if cannot_start(&error) { CANNOT_START } else { FAILED })
        }
    }
}

/// One line about a command line that cannot be parsed, with a hint if there is one.
fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    // The first paragraph names the argument and the value, the next may be a tip; the rest is usage.
    let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let said = paragraphs.next().unwrap_or_default();
    let tip = paragraphs.find_map(|paragraph| Some(paragraph.strip_prefix("tip: ")?.to_owned()));
    let is_unknown = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    match tip.or_else(|| is_unknown.then(|| "--help lists the commands and flags".to_owned())) {
        Some(tip) => format!("{said} (hint: {tip})"),
        None => said,
    }
}

/// Prints a line on standard error, also where logging never started. If that is closed or full, the exit status still tells.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether standard output was closed by its reader.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.is::<NotPrinted>()
        && error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn cannot_start(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>()
        || error.is::<BadName>()
        || error.is::<TwoTargets>()
        || error.is::<NoTarget>()
        || error.is::<NoDatabase>()
        || error.is::<StartError>()
        || error.is::<ClockError>()
        || error.is::<DoubtfulClock>()
        || error.is::<OtherDay>()
        || error.is::<LossyDays>()
        || matches!(error.downcast_ref(), Some(ImportError::Open(_)))
        || matches!(
            error.downcast_ref(),
            Some(ExportError::Open(_) | ExportError::NoDatabase(_) | ExportError::Output { .. })
        )
}

/// Whether a command was given `--url` on the command line, not by its variable.
fn has_url_flag(matches: &ArgMatches) -> bool {
    matches.subcommand().is_some_and(|(_, command)| {
        matches!(command.try_contains_id("url"), Ok(true))
            && command.value_source("url") == Some(ValueSource::CommandLine)
    })
}

fn execute(cli: Cli, has_url_flag: bool) -> anyhow::Result<()> {
    // Needs no settings, so none can be in its way.
    if let Some(Command::Completions { shell }) = cli.command {
        return print_completions(shell);
    }
    let (settings, ignored) = match Settings::load(&cli.overrides) {
        // It may be another program's, and this command needs nothing of it.
        Err(error) if !needs_file(&cli, has_url_flag) => (Settings::without_file(&cli.overrides)?, Some(error)),
        loaded => (loaded?, None),
    };
    telemetry::start(&settings.config.log, REQUESTS_OF_FRAMEWORK);
    if let Some(error) = ignored {
        tracing::warn!("./config.toml is not used: {}", chain(&error));
    }
    warn_of_unknown_variables();
    outlive_file_limits().context("cannot handle signals")?;
    if cli.print_config {
        return Ok(write!(io::stdout(), "{settings}").map_err(NotPrinted)?);
    }
    let flags = TargetFlags { url: has_url_flag, data: settings.is_flag("--data") };
    let has_directory = settings.says("--data");
    let config = settings.config;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            config.refuse_open_writes()?;
            config.refuse_short_rollups()?;
            Clock::System.read()?;
            let stop = StopSignals::listen()?;
            let delay = Duration::from_secs(config.server.stop_delay_s);
            stop.serve(App::begin(config, Clock::System)?, delay)
        }
        Command::Demo => run_demo(config),
        Command::Import { files, url, token, patience } => {
            let target = target(&config, flags, url, token)?;
            if let Target::Directory { path, .. } = &target
                && !has_directory
                && !Store::exists(path).map_err(StartError::Store)?
            {
                return Err(NoTarget.into());
            }
            Ok(import::run(&files, &target, config.server.max_body_bytes, Duration::from_secs(patience))?)
        }
        Command::Export { url, token, output } => {
            Ok(export::run(&target(&config, flags, url, token)?, output.as_deref())?)
        }
        Command::Health { url } => {
            health::check(&url.unwrap_or_else(|| health::url_of(config.server.listen)))?;
            print("ready")
        }
        Command::Check { repair } => run_check(&config, repair),
        Command::Expire { dry_run, reopen: Some(from), drop_numbers, .. } => {
            run_reopen(&config, from, dry_run, drop_numbers)
        }
        Command::Expire { dry_run, confirm, .. } => run_expire(&config, dry_run, confirm),
        Command::Openapi => {
            print(DOCUMENT.trim_end())?;
            Ok(())
        }
        Command::Token { name, scopes } => {
            let (secret, token) = Token::make(&name, &scopes).ok_or(BadName)?;
            print(&format!("token: {secret}\ntokens = [\"{token}\"]"))?;
            Ok(())
        }
        Command::Completions { shell } => print_completions(shell),
    }
}

/// Whether a command needs what `./config.toml` says, if that is there. One that is named has to be right in any case.
fn needs_file(cli: &Cli, has_url_flag: bool) -> bool {
    let is_client = match &cli.command {
        Some(Command::Openapi | Command::Token { .. }) => true,
        Some(Command::Import { url: Some(_), .. } | Command::Export { url: Some(_), .. }) => {
            has_url_flag || !cli.overrides.gives("--data")
        }
        Some(Command::Health { url }) => url.is_some(),
        Some(
            Command::Serve
            | Command::Demo
            | Command::Import { .. }
            | Command::Export { .. }
            | Command::Check { .. }
            | Command::Expire { .. }
            | Command::Completions { .. },
        )
        | None => false,
    };
    !is_client || cli.print_config || cli.overrides.names_file()
}

/// From now on a write beyond the largest size that a file may have fails, as on a full disk. Where nobody handles the signal
/// that comes with it, it ends the process.
fn outlive_file_limits() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    // The handler stays when nobody listens any more.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

/// Takes the address of a server, without slashes behind it.
fn server_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    match host {
        // It would show in errors.
        Some(host) if host.contains('@') => Err("an address has no password in it: --token says who asks".to_owned()),
        Some(host) if !host.is_empty() => Ok(format!("http://{host}")),
        _ if text.starts_with("https://") => {
            Err("there is no TLS inside: ask the server itself, with http://".to_owned())
        }
        _ => Err("an address begins with http://".to_owned()),
    }
}

/// What the command line says of where events go or come from.
#[derive(Clone, Copy)]
struct TargetFlags {
    url: bool,
    data: bool,
}

/// The server at `url`, or else the data directory. A flag goes over a variable, here as well.
fn target(
    config: &Config,
    flags: TargetFlags,
    url: Option<String>,
    token: Option<String>,
) -> Result<Target, TwoTargets> {
    match url {
        Some(_) if flags.url && flags.data => Err(TwoTargets),
        Some(url) if flags.url || !flags.data => Ok(Target::Server { url, token }),
        _ => Ok(Target::Directory { path: config.storage.data.clone(), options: config.storage.open_options() }),
    }
}

/// Says which environment variables look like settings, but are none.
fn warn_of_unknown_variables() {
    let command = Cli::command();
    let arguments = iter::once(&command).chain(command.get_subcommands()).flat_map(clap::Command::get_arguments);
    let known: Vec<_> = arguments.filter_map(Arg::get_env).collect();
    let mut unknown: Vec<_> = env::vars_os()
        .filter(|(name, _)| {
            name.as_encoded_bytes().starts_with(b"SCALE_METRICS_") && !known.contains(&name.as_os_str())
        })
        .map(|(name, _)| name.to_string_lossy().escape_debug().to_string())
        .collect();
    if !unknown.is_empty() {
        unknown.sort_unstable();
        tracing::warn!("unknown environment variables are ignored: {}", unknown.join(", "));
    }
}

/// Writes the script into memory first: `clap_complete` panics where nobody reads it to its end.
fn print_completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scale-metrics", &mut script);
    Ok(io::stdout().write_all(&script).map_err(NotPrinted)?)
}

/// The database in the data directory, which must be there.
fn open_store(config: &Config) -> anyhow::Result<Store> {
    let directory = &config.storage.data;
    if !Store::exists(directory).map_err(StartError::Store)? {
        return Err(NoDatabase(directory.clone()).into());
    }
    Ok(Store::open(directory, config.storage.open_options()).map_err(StartError::Store)?)
}

fn run_expire(config: &Config, dry_run: bool, confirmed: Option<Date>) -> anyhow::Result<()> {
    config.refuse_short_rollups()?;
    let now = Clock::System.read()?;
    let store = open_store(config)?;
    let guard = Arc::new(retention_guard(config, Clock::System));
    let snapshot = store.snapshot()?;
    let cut_offs = guard.settings().cut_offs(now);
    let cut_off = cut_offs.events_from;
    let Forgettable { events, event_days, rollups, rollup_days } = snapshot.forgettable(cut_offs)?;
    let is_on = guard.settings() != Retention::default();
    let doubt = if is_on { doubt_clock(&snapshot, now, cut_off)? } else { None };
    match (confirmed, &doubt) {
        (Some(confirmed), _) if confirmed != cut_off => return Err(OtherDay { confirmed, cut_off }.into()),
        (None, Some(doubt)) if !dry_run => return Err(doubt.clone().into()),
        _ => {}
    }
    let waiting = guard.preview(&snapshot)?;
    drop(snapshot);
    if is_on && !dry_run {
        guard.confirm();
        let mut expiry = Expiry::new(guard);
        let mut progress = Progress::new(Some(events + rollups), Unit::Count);
        let mut done = 0;
        while !expiry.is_done() {
            let taken = expiry.step(&store)?;
            done += taken.events + taken.rollups;
            progress.set(done, || format!("took {done} events and rollups away"));
        }
    }
    store.close();
    let goes = if dry_run { "would go" } else { "gone" };
    print(&format!("{goes}: {events} events of {event_days} days before {cut_off}"))?;
    print(&format!("{goes}: {rollups} rollups of {rollup_days} days before {}", cut_offs.rollups_from))?;
    if dry_run && is_on {
        if let Some(DoubtfulClock { now, last_run, newest, .. }) = doubt {
            complain(&format!(
                "note: the clock says {now}, far after the last run ({last_run}) and the newest event ({newest}): `expire` needs \
                 --confirm {cut_off}"
            ));
        }
        if !waiting.is_zero() {
            let hours = waiting.as_secs().div_ceil(60 * 60);
            complain(&format!(
                "note: a server waits for {hours} hours of undisturbed time first (retention.grace_hours)"
            ));
        }
    }
    Ok(())
}

/// Why the clock should not be believed: it is far ahead both of the last run and of the newest event.
fn doubt_clock(snapshot: &Snapshot, now: Timestamp, cut_off: Date) -> anyhow::Result<Option<DoubtfulClock>> {
    if snapshot.is_empty()? {
        return Ok(None);
    }
    let is_near = |time: Timestamp| Duration::from_micros(now.since(time)) <= MAX_IDLE;
    let last_run = snapshot.retention_record()?.map(|record| record.trusted);
    let newest = snapshot.newest_day(now.date())?;
    if last_run.is_some_and(is_near) || newest.is_some_and(|day| is_near(day.plus_days(1).start())) {
        return Ok(None);
    }
    let last_run = last_run.map_or("unknown".to_owned(), |time| time.to_string());
    let newest = newest.map_or("none".to_owned(), |day| day.to_string());
    Ok(Some(DoubtfulClock { now, last_run, newest, cut_off }))
}

fn run_reopen(config: &Config, from: Date, dry_run: bool, drop_numbers: bool) -> anyhow::Result<()> {
    let store = open_store(config)?;
    let Reopening { events, event_days, lossy_days, rollup_days } = reopen::examine(&store, from)?;
    if let (Some(&first), Some(&last), false, false) = (lossy_days.first(), lossy_days.last(), dry_run, drop_numbers) {
        return Err(LossyDays { days: lossy_days.len(), first, last }.into());
    }
    if !dry_run {
        reopen::reopen(&store, from)?;
    }
    let kept = store.snapshot()?.kept();
    store.close();
    let opens = if dry_run { "would open" } else { "opened" };
    print(&format!("{opens}: {events} events of {event_days} days from {from} on"))?;
    print(&format!("{opens}: the numbers of {rollup_days} days before it, without their events"))?;
    if let (Some(first), Some(last)) = (lossy_days.first(), lossy_days.last()) {
        let loses = if dry_run { "would lose" } else { "lost" };
        let days = lossy_days.len();
        print(&format!("{loses}: the numbers of events that are gone, on {days} days from {first} to {last}"))?;
    }
    print(&format!("events are kept from {} on", kept.events_from))
}

fn run_check(config: &Config, repair: bool) -> anyhow::Result<()> {
    let store = open_store(config)?;
    let report = check::run(&store, repair).context("the database cannot be read")?;
    store.close();
    for problem in &report.problems {
        let repaired = if repair { "repaired: " } else { "" };
        print(&format!("{repaired}{problem}"))?;
    }
    let Report { events, rollups, problems } = report;
    print(&format!("checked {events} events and {rollups} rollups: {} problems", problems.len()))?;
    let left = if repair { 0 } else { problems.len() };
    anyhow::ensure!(left == 0, "{left} problems are left (hint: `check --repair` rebuilds rollups and index)");
    Ok(())
}

fn run_demo(mut config: Config) -> anyhow::Result<()> {
    config.refuse_open_writes()?;
    config.refuse_short_rollups()?;
    Clock::System.read()?;
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    directory.path().clone_into(&mut config.storage.data);
    let stop = StopSignals::listen()?;
    let app = App::start(config, Clock::System)?;
    let objects = demo::fill(app.queue(), Clock::System.now()).context("the sample events could not be stored")?;
    tracing::info!(objects, "filled a throw-away database with sample events of the last 90 days");
    tracing::info!(target: telemetry::WHERE, "listening on http://{}", app.address());
    print(&format!("dashboard: http://{}/", app.address()))?;
    stop.wait_and_stop(app, Duration::ZERO)
}

/// Prints what the command was asked for.
fn print(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{text}").map_err(NotPrinted)?)
}

/// Within how long a second signal says the same as the first.
const SAME_TIME: Duration = Duration::from_secs(1);

/// The signals that stop the server; heeded from the moment they are listened for.
struct StopSignals {
    runtime: Runtime,
    signals: Signals,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is closed; `None` where that was ignored from the start, as `nohup` does.
    hangup: Option<Signal>,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        drop(context);
        Ok(Self { runtime, signals: Signals { terminate, interrupt, hangup } })
    }

    /// Opens the database, then serves; see [`wait_and_stop`](Self::wait_and_stop). Told to stop before the database is open, it ends
    /// at once.
    fn serve(mut self, mut app: App, delay: Duration) -> anyhow::Result<()> {
        let is_open = self.runtime.block_on(async {
            tokio::select! {
                opened = open_and_tell(&mut app) => opened.map(|()| true),
                name = self.signals.told() => {
                    tracing::info!("{name}: stopping; the database is not open yet");
                    Ok(false)
                }
            }
        });
        match is_open {
            Ok(true) => return self.wait_and_stop(app, delay),
            Ok(false) => tracing::info!("stopped"),
            Err(_) => {}
        }
        self.runtime.block_on(app.abandon());
        Ok(is_open.map(drop)?)
    }

    /// Serves until the process is told to stop, says so and goes on for the delay; then stops in order. Told again, it ends the
    /// delay, or does not wait for running requests any longer. A thread that ends by itself is an error.
    fn wait_and_stop(self, mut app: App, delay: Duration) -> anyhow::Result<()> {
        let Self { runtime, mut signals } = self;
        let failure = runtime.block_on(async {
            tokio::select! {
                name = signals.told() => {
                    tracing::info!("{name}: stopping");
                    app.announce_stop();
                    // Told again or not, it stops now.
                    let _ = timeout(delay, signals.told()).await;
                    app.stop(signals.told_again()).await.map(|()| None)
                }
                failure = app.failed() => {
                    exit_after(LAST_ANSWERS * 2, &failure)?;
                    tracing::error!(error = %failure, "the server cannot go on");
                    // What else goes wrong on the way out says less than how it began.
                    let _ = app.stop(sleep(LAST_ANSWERS)).await;
                    Ok(Some(failure))
                }
            }
        })?;
        if let Some(failure) = failure {
            return Err(failure).context("the server cannot go on, and has to be started again");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Ends the process after that time, should stopping in order never end: what a dead thread leaves locked is unknown.
fn exit_after(time: Duration, failure: &io::Error) -> io::Result<()> {
    let line = format!("error: the server cannot go on: {failure}");
    let wait = move || {
        thread::sleep(time);
        complain(&line);
        process::exit(FAILED.into())
    };
    thread::Builder::new().name("exit".to_owned()).spawn(wait).map(drop)
}

/// How long opening the database takes before the server says where it listens all the same.
const QUICK_OPENING: Duration = Duration::from_secs(1);
/// How often the log says how far opening has come.
const TELL_OPENING: Duration = Duration::from_secs(10);
/// How long running requests may take when the server cannot go on.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Waits until the database is open. Says where the server listens then, so that whoever waits for that line can post; if it takes
/// longer, earlier, and now and then how far it has come.
async fn open_and_tell(app: &mut App) -> Result<(), StartError> {
    let address = app.address();
    let listening = || tracing::info!(target: telemetry::WHERE, "listening on http://{address}");
    let mut patience = QUICK_OPENING;
    loop {
        if let Ok(opened) = timeout(patience, app.opened()).await {
            opened?;
            if patience == QUICK_OPENING {
                listening();
            } else {
                tracing::info!("the database is open");
            }
            return Ok(());
        }
        if patience == QUICK_OPENING {
            listening();
        }
        patience = TELL_OPENING;
        tracing::info!("{}", app.open_progress());
    }
}

/// Whether the process was started with SIGHUP ignored. Where the system does not say, it was not.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & (1 << (libc::SIGHUP - 1)) != 0
}

impl Signals {
    /// The name of the signal by which the process is told to stop.
    async fn told(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(()) = async { self.hangup.as_mut()?.recv().await } => "SIGHUP",
        }
    }

    /// Waits until the process is told once more. Some tell it twice at the same time, and mean it once.
    async fn told_again(&mut self) {
        sleep(SAME_TIME).await;
        let _ = self.told().now_or_never();
        self.told().await;
    }
}
