//! The command line: what each command does and how it exits.
//!
//! Data goes to standard output, everything else to standard error.
//!
//! | exit status | meaning |
//! | --- | --- |
//! | 0 | the command succeeded |
//! | 1 | the command failed after it had started |
//! | 2 | the command could not start (arguments, settings, data directory, a database that another process has open) |

mod breakdown;
pub mod check;
mod client;
mod delete;
mod demo;
mod events;
mod expire;
mod export;
mod health;
mod import;
mod input;
mod open_store;
mod output;
mod progress;
mod question;
mod sample_events;
mod stop_signals;
mod table;
mod target;
mod token;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, iter};

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::Scope;
use crate::api::{ApiError, openapi};
use crate::app::{App, REQUESTS_OF_FRAMEWORK, StartError};
use crate::catalog::{Percentiles, with_percentiles};
use crate::config::{ConfigError, Overrides, Settings};
use crate::telemetry::chain;
use crate::telemetry::log;
use crate::time::{Clock, ClockError, Date};
use crate::tls::TlsError;
use client::{AskError, PATIENCE, Trust};
use export::ExportError;
use import::ImportError;
use output::{NotPrinted, complain, is_broken_pipe, print};
use stop_signals::StopSignals;
use target::{ServerFlags, Target, server_url, target};

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
    /// Post NDJSON files to a running server, or straight into a data directory or a database
    ///
    /// Can be run again after a failure: what is there already is not counted twice. A token needs the scope `write`.
    Import {
        /// Files with an object a line, packed with gzip or not; `-` is standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        server: ServerFlags,
        /// For how many seconds to try again while this server cannot store events or does not answer any more; one that
        /// never answered is given up after 10 s
        #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs())]
        patience: u64,
    },
    /// Write all choices and events as NDJSON, for `import`
    ///
    /// What comes out is one state, which `import` turns back into the same numbers. A running server goes on meanwhile. A token
    /// needs the scope `admin`.
    Export {
        #[command(flatten)]
        server: ServerFlags,
        /// Where to, packed if the name ends in `.gz`; `-` is standard output [default: -]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the events behind a number
    ///
    /// The flags are the parameters of the list (docs/api.md), and narrow it; times are days, date-times, or durations back from now such
    /// as `P7D`. A token needs the scope `read`.
    Events(events::EventsCommand),
    /// Count events by what they have in common, such as their error
    ///
    /// The flags are the parameters of the breakdown (docs/api.md), and narrow it; times are days, date-times, or durations back from now
    /// such as `P7D`. A token needs the scope `read`.
    Breakdown(breakdown::BreakdownCommand),
    /// Delete events, and correct every number that counted them
    ///
    /// All of up to 10,000 events are deleted at once, or none; it can be run again after a failure. A token needs the scope `write`,
    /// with --dry-run `read`.
    Delete(delete::DeleteCommand),
    /// Ask a running server whether it can take writes
    ///
    /// Exit status 1 if not, or if it does not answer.
    Health {
        /// Its address [default: where the settings say that a server listens]
        #[arg(long, value_name = "URL", env = "SCALE_METRICS_URL", value_parser = server_url)]
        url: Option<String>,
        /// Trust the certificate authorities in this PEM file, too, if the address begins with `https://`
        #[arg(long, value_name = "FILE", env = "SCALE_METRICS_CA")]
        ca: Option<PathBuf>,
    },
    /// Verify the database, compute every rollup anew from the events, and list what differs
    ///
    /// Exit status 1 if anything differs and is not repaired. No server may run on the directory; those that share a database
    /// go on.
    Check {
        /// Store the rollups that the events add up to, and write the index anew if it is wrong
        #[arg(long)]
        repair: bool,
    },
    /// Print the OpenAPI document that a server sends at /v6/openapi.json
    Openapi,
    /// Forget what is older than the settings of `[retention]` say
    ///
    /// A server does that by itself, bit by bit. No server may run on the directory; those that share a database go on. Exit
    /// status 2 if the clock is far ahead of both the last run and the newest event, unless --confirm says that it is right.
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

/// The exit status of a command that failed after it had started.
const EXIT_FAILED: u8 = 1;
/// The exit status of a command that could not start.
const EXIT_CANNOT_START: u8 = 2;

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
            return ExitCode::from(EXIT_CANNOT_START);
        }
    };
    let result = execute(cli, has_url_flag);
    log::flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of standard output, such as `head`, closed it because it has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {}", chain(error.as_ref())));
            ExitCode::from(if cannot_start(&error) { EXIT_CANNOT_START } else { EXIT_FAILED })
        }
    }
}

/// Describes in one line why a command line cannot be parsed, with a hint if there is one.
fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    // The first paragraph names the argument and the value, and the next may be a tip. The others describe the usage.
    let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let said = paragraphs.next().unwrap_or_default();
    let tip = paragraphs.find_map(|paragraph| Some(paragraph.strip_prefix("tip: ")?.to_owned()));
    let is_unknown = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    match tip.or_else(|| is_unknown.then(|| "--help lists the commands and flags".to_owned())) {
        Some(tip) => format!("{said} (hint: {tip})"),
        None => said,
    }
}

/// A command cannot start for a reason that only a person can remove. The text says which one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CannotStart(String);

impl CannotStart {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

fn cannot_start(error: &anyhow::Error) -> bool {
    error.is::<CannotStart>()
        || error.is::<ConfigError>()
        || error.is::<StartError>()
        || error.is::<ClockError>()
        || error.is::<TlsError>()
        || matches!(error.downcast_ref(), Some(ImportError::Open(_) | ImportError::Tls(_)))
        || matches!(error.downcast_ref(), Some(ExportError::Output { .. }))
        || matches!(error.downcast_ref(), Some(AskError::Refused { status: 400, .. }))
        || error.downcast_ref().is_some_and(ApiError::is_mistake_of_request)
}

/// Whether a command was given `--url` on the command line, rather than by its variable.
fn has_url_flag(matches: &ArgMatches) -> bool {
    matches.subcommand().is_some_and(|(_, command)| {
        matches!(command.try_contains_id("url"), Ok(true))
            && command.value_source("url") == Some(ValueSource::CommandLine)
    })
}

fn execute(cli: Cli, has_url_flag: bool) -> anyhow::Result<()> {
    // This command needs no settings, so invalid settings do not matter.
    if let Some(Command::Completions { shell }) = cli.command {
        return print_completions(shell);
    }
    let (settings, ignored) = match Settings::load(&cli.overrides) {
        // The file may belong to another program, and this command needs nothing from it.
        Err(error) if !needs_file(&cli, has_url_flag) => {
            (Settings::default().overridden_by(&cli.overrides)?, Some(error))
        }
        loaded => (loaded?, None),
    };
    log::start(&settings.config.log, REQUESTS_OF_FRAMEWORK);
    if let Some(error) = ignored {
        tracing::warn!("./config.toml is not used: {}", chain(&error));
    }
    warn_of_unknown_variables();
    outlive_file_limits().context("cannot handle signals")?;
    if cli.print_config {
        return Ok(write!(io::stdout(), "{settings}").map_err(NotPrinted)?);
    }
    let config = &settings.config;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            config.refuse_open_writes()?;
            config.refuse_short_rollups()?;
            Clock::System.read()?;
            let stop = StopSignals::listen()?;
            let delay = Duration::from_secs(config.server.stop_delay_s);
            stop.serve(App::begin(settings.config, Clock::System)?, delay)
        }
        Command::Demo => demo::run_demo(settings.config),
        Command::Import { files, server, patience } => {
            let target = target(&settings, &server, has_url_flag)?;
            if let Target::Store(storage) = &target
                && !settings.says("--data")
                && storage.database.is_none()
                && !storage.store().and_then(|store| store.exists()).map_err(StartError::Store)?
            {
                return Err(CannotStart::new(
                    "nothing says where the events go (hint: --url http://HOST:PORT names a running server, --data DIR a \
                     directory)",
                )
                .into());
            }
            Ok(import::run(&files, &target, config.server.max_body_bytes, Duration::from_secs(patience))?)
        }
        Command::Export { server, output } => {
            export::run(&target(&settings, &server, has_url_flag)?, output.as_deref())
        }
        Command::Events(command) => command.run(&settings, has_url_flag),
        Command::Breakdown(command) => command.run(&settings, has_url_flag),
        Command::Delete(command) => command.run(&settings, has_url_flag),
        Command::Health { url, ca } => {
            let (url, trust) = match url {
                Some(url) => (url, Trust::Authorities(ca)),
                None => health::own_server(&config.server)?,
            };
            health::check(&url, &trust)?;
            print("ready")
        }
        Command::Check { repair } => check::run_check(&config.storage, repair),
        Command::Expire { dry_run, reopen: Some(from), drop_numbers, .. } => {
            expire::run_reopen(config, from, dry_run, drop_numbers)
        }
        Command::Expire { dry_run, confirm, .. } => expire::run_expire(config, dry_run, confirm),
        Command::Openapi => print(openapi(with_percentiles(&Percentiles::common())).trim_end()),
        Command::Token { name, scopes } => token::run(&name, &scopes),
        Command::Completions { shell } => print_completions(shell),
    }
}

/// Whether a command needs the settings in `./config.toml`, if that file exists. A file that is named must be valid in any case.
fn needs_file(cli: &Cli, has_url_flag: bool) -> bool {
    let asks = |server: &ServerFlags| {
        let has_store_flag = cli.overrides.gives("--data") || cli.overrides.gives("--database");
        server.url.is_some() && (has_url_flag || !has_store_flag)
    };
    let is_client = match &cli.command {
        Some(Command::Openapi | Command::Token { .. }) => true,
        Some(Command::Import { server, .. } | Command::Export { server, .. }) => asks(server),
        Some(Command::Events(command)) => asks(&command.question.server),
        Some(Command::Breakdown(command)) => asks(&command.question.server),
        Some(Command::Delete(command)) => asks(&command.server),
        Some(Command::Health { url, .. }) => url.is_some(),
        Some(
            Command::Serve
            | Command::Demo
            | Command::Check { .. }
            | Command::Expire { .. }
            | Command::Completions { .. },
        )
        | None => false,
    };
    !is_client || cli.print_config || cli.overrides.names_file()
}

/// From now on, a write beyond the maximum size of a file fails, as on a full disk. Without a handler, the signal that comes with
/// such a write ends the process.
fn outlive_file_limits() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    // The handler stays installed after its listener is dropped.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

/// Warns of environment variables that look like settings but are not.
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

/// Prints the completion script. It is written into memory first, since `clap_complete` panics if its output is not read to the
/// end.
fn print_completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scale-metrics", &mut script);
    Ok(io::stdout().write_all(&script).map_err(NotPrinted)?)
}
