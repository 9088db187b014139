//! The command line: what each command does and how it exits.
//!
//! Data goes to standard output, everything else to standard error. Exit status 0: done; 1: it went wrong on the way;
//! 2: it could not start (arguments, settings, data directory, a database that another process has open).

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, iter};

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
use crate::app::{App, REQUESTS_OF_FRAMEWORK, StartError, retention};
use crate::check::{self, Report};
use crate::config::{Config, ConfigError, Overrides, Settings};
use crate::export::{self, ExportError};
use crate::import::{self, ImportError, Target};
use crate::progress::{Progress, Unit};
use crate::store::{Forgettable, Store};
use crate::time::Clock;
use crate::worker::chain;
use crate::worker::retention::Expiry;
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
    /// A server does that by itself, bit by bit. No server may run on the directory.
    Expire {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
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

/// There is nothing to check.
#[derive(Debug, thiserror::Error)]
#[error("there is no database in `{}`", .0.display())]
struct NoDatabase(PathBuf);

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
            // The first paragraph names the argument and the value; the rest is usage.
            let text = error.to_string();
            let said = text.split("\n\n").next().unwrap_or_default();
            let line: Vec<_> = said.split_whitespace().collect();
            complain(&line.join(" "));
            return ExitCode::from(CANNOT_START);
        }
    };
    let result = execute(cli, has_url_flag);
    telemetry::flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {}", chain(error.as_ref())));
            ExitCode::from(if cannot_start(&error) { CANNOT_START } else { FAILED })
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of the program, also where logging never started")]
fn complain(line: &str) {
    eprintln!("{line}");
}

fn cannot_start(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>()
        || error.is::<BadName>()
        || error.is::<TwoTargets>()
        || error.is::<NoDatabase>()
        || error.is::<StartError>()
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
    let settings = Settings::load(&cli.overrides)?;
    telemetry::start(&settings.config.log, REQUESTS_OF_FRAMEWORK);
    warn_of_unknown_variables();
    outlive_file_limits().context("cannot handle signals")?;
    if cli.print_config {
        return write!(io::stdout(), "{settings}").context("cannot print the settings");
    }
    let flags = TargetFlags { url: has_url_flag, data: settings.is_flag("--data") };
    let config = settings.config;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            config.refuse_open_writes()?;
            config.refuse_short_rollups()?;
            let stop = StopSignals::listen()?;
            let delay = Duration::from_secs(config.server.stop_delay_s);
            let app = App::start(config, Clock::System)?;
            tracing::info!(target: telemetry::WHERE, "listening on http://{}", app.address());
            stop.wait_and_stop(app, delay)
        }
        Command::Demo => run_demo(config),
        Command::Import { files, url, token } => {
            Ok(import::run(&files, &target(&config, flags, url, token)?, config.server.max_body_bytes)?)
        }
        Command::Export { url, token, output } => {
            Ok(export::run(&target(&config, flags, url, token)?, output.as_deref())?)
        }
        Command::Health { url } => {
            health::check(&url.unwrap_or_else(|| health::url_of(config.server.listen)))?;
            print("ready")
        }
        Command::Check { repair } => run_check(&config, repair),
        Command::Expire { dry_run } => run_expire(&config, dry_run),
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
        _ => Ok(Target::Directory { path: config.storage.data.clone(), opening: config.storage.opening() }),
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
    io::stdout().write_all(&script).context("the script could not be written")
}

/// The database in the data directory, which must be there.
fn open_store(config: &Config) -> anyhow::Result<Store> {
    let directory = &config.storage.data;
    if !Store::exists(directory).map_err(StartError::Store)? {
        return Err(NoDatabase(directory.clone()).into());
    }
    Ok(Store::open(directory, config.storage.opening()).map_err(StartError::Store)?)
}

fn run_expire(config: &Config, dry_run: bool) -> anyhow::Result<()> {
    config.refuse_short_rollups()?;
    let store = open_store(config)?;
    let rule = retention(config);
    let snapshot = store.snapshot()?;
    let kept = rule.kept(Clock::System.now(), snapshot.kept());
    let Forgettable { events, event_days, rollups, rollup_days } = snapshot.forgettable(kept)?;
    drop(snapshot);
    let goes = if dry_run { "would go" } else { "gone" };
    if !dry_run {
        let mut expiry = Expiry::new(rule, Clock::System);
        let mut progress = Progress::new(Some(events + rollups), Unit::Count);
        let mut done = 0;
        while !expiry.is_done() {
            let taken = expiry.step(&store)?;
            done += taken.events + taken.rollups;
            progress.set(done, || format!("took {done} events and rollups away"));
        }
    }
    store.close();
    print(&format!("{goes}: {events} events of {event_days} days before {}", kept.events_from))?;
    print(&format!("{goes}: {rollups} rollups of {rollup_days} days before {}", kept.rollups_from))?;
    Ok(())
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
    writeln!(io::stdout(), "{text}").context("cannot print")
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
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(context);
        Ok(Self { runtime, signals: Signals { terminate, interrupt } })
    }

    /// Serves until the process is told to stop, says so and goes on for the delay; then stops in order. Told again, it ends the
    /// delay, or does not wait for running requests any longer.
    fn wait_and_stop(self, app: App, delay: Duration) -> anyhow::Result<()> {
        let Self { runtime, mut signals } = self;
        runtime.block_on(async {
            let name = signals.told().await;
            tracing::info!("{name}: stopping");
            app.announce_stop();
            // Told again or not, it stops now.
            let _ = timeout(delay, signals.told()).await;
            app.stop(signals.told_again()).await
        })?;
        tracing::info!("stopped");
        Ok(())
    }
}

impl Signals {
    /// The name of the signal by which the process is told to stop.
    async fn told(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits until the process is told once more. Some tell it twice at the same time, and mean it once.
    async fn told_again(&mut self) {
        sleep(SAME_TIME).await;
        let _ = self.told().now_or_never();
        self.told().await;
    }
}
