//! Settings from the command line and the environment.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValue, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{Config, KEYS, Key, Origin};

/// Settings from the command line and the environment. They override the file.
///
/// Texts are stored as they are and parsed later, so that an error can say whether the flag or the variable is wrong.
#[derive(Clone, Default)]
pub struct Overrides {
    /// The settings file.
    pub(super) file: Option<(PathBuf, Origin)>,
    pub(super) settings: Vec<(&'static Key, OsString, Origin)>,
}

impl Overrides {
    /// Whether a flag is given on the command line.
    pub fn gives(&self, flag: &str) -> bool {
        self.settings.iter().any(|(_, _, origin)| matches!(origin, Origin::Flag(given) if *given == flag))
    }

    /// Whether a settings file is named.
    pub fn names_file(&self) -> bool {
        self.file.is_some()
    }
}

const FILE_FLAG: &str = "--config";
const FILE_VARIABLE: &str = "SCALE_METRICS_CONFIG";

impl Args for Overrides {
    fn augment_args(command: Command) -> Command {
        let file = arg(FILE_FLAG, FILE_VARIABLE)
            .value_name("FILE")
            .help("Read settings from this file [default: ./config.toml, if present]");
        command.arg(file).args(KEYS.iter().map(setting))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let settings = KEYS.iter().filter_map(|key| {
            let (text, origin) = given(matches, key.flag, key.variable)?;
            Some((key, text, origin))
        });
        let file = given(matches, FILE_FLAG, FILE_VARIABLE).map(|(path, origin)| (path.into(), origin));
        Ok(Self { file, settings: settings.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn arg(flag: &'static str, variable: &'static str) -> Arg {
    Arg::new(flag)
        .long(flag.trim_start_matches('-'))
        .env(variable)
        .value_parser(OsStringValueParser::new())
        .help_heading("Settings")
        .global(true)
}

fn setting(key: &Key) -> Arg {
    let default = (key.show)(&Config::default());
    let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
    let mut help = key.help.trim_end_matches('.').to_owned();
    if !default.is_empty() {
        write!(help, " [default: {default}]").expect("a text takes all that is written to it");
    }
    let mut arg = arg(key.flag, key.variable).value_name(key.placeholder).help(help).hide_env_values(key.secret);
    let names = key.names();
    if !names.is_empty() {
        arg = arg.value_parser(Names(names));
    }
    (key.taken)(arg)
}

/// A parser that accepts any text, and lists the possible values in the help.
#[derive(Clone)]
struct Names(Vec<&'static str>);

impl TypedValueParser for Names {
    type Value = OsString;

    fn parse_ref(&self, _: &Command, _: Option<&Arg>, text: &OsStr) -> Result<OsString, clap::Error> {
        Ok(text.to_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// The value of the flag, otherwise of the variable. Several values are separated by commas.
fn given(matches: &ArgMatches, flag: &'static str, variable: &'static str) -> Option<(OsString, Origin)> {
    let texts: Vec<&OsStr> = matches.get_many::<OsString>(flag)?.map(OsString::as_os_str).collect();
    let from_variable = matches.value_source(flag) == Some(ValueSource::EnvVariable);
    let origin = if from_variable { Origin::Environment(variable) } else { Origin::Flag(flag) };
    Some((texts.join(OsStr::new(",")), origin))
}
