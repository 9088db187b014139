//! The types of settings: how the values of each type are parsed and printed.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Arg, ArgAction};
use toml::Spanned;
use toml::de::DeValue;

use super::types::{BasePath, Dialect, LogFormat, LogLevel, Network, WebOrigin};
use crate::access::Token;
use crate::catalog::Percentiles;
use crate::store::rows::postgres::{Address, NoAddress};
use crate::time::{UnknownZone, Zone};

/// A type that a setting may have.
pub(super) trait Setting: Sized {
    /// Whether values are hidden, both where settings are printed and where a value is rejected.
    const SECRET: bool = false;

    /// The names of all values, if they have names; otherwise none.
    fn names() -> Vec<&'static str> {
        Vec::new()
    }

    /// Configures the flag, unless it is given once and with a value.
    fn taken(arg: Arg) -> Arg {
        arg
    }

    /// Parses the text of a flag or a variable. The error says what the value must be, as in "must be …".
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads the value in a file. It is a string, unless the type overrides this function.
    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Problem> {
        let text = value.get_ref().as_str().ok_or("must be a string")?;
        Ok(Self::from_text(text)?)
    }

    /// The value as it is written in a file, with secrets masked.
    fn show(&self) -> toml::Value;
}

/// A value of a setting as a source gives it.
#[derive(Clone, Copy)]
pub(super) enum Written<'a> {
    /// The text of a flag or a variable.
    Text(&'a str),
    /// The value in a file.
    Toml(&'a Spanned<DeValue<'a>>),
}

impl Written<'_> {
    pub(super) fn read<T: Setting>(self) -> Result<T, Problem> {
        match self {
            Self::Text(text) => Ok(T::from_text(text)?),
            Self::Toml(value) => T::from_toml(value),
        }
    }
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Problem {
    /// What it must be, as in "must be …".
    pub(super) must: String,
    /// The position in the file, if the value has parts and one of them is wrong.
    pub(super) at: Option<usize>,
}

impl<T: Into<String>> From<T> for Problem {
    fn from(must: T) -> Self {
        Self { must: must.into(), at: None }
    }
}

macro_rules! whole_numbers {
    ($($Type:ty)+) => {$(
        impl Setting for $Type {
            fn from_text(text: &str) -> Result<Self, String> {
                // The range of integers in a file.
                let number = text.parse::<i64>().ok().and_then(|number| Self::try_from(number).ok());
                number.ok_or_else(|| format!("must be a whole number of at most {}", i64::MAX))
            }

            fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Problem> {
                // Base 10 as everywhere else. In TOML, `0x…` is a number, too.
                let number = value.get_ref().as_integer().filter(|number| number.radix() == 10);
                Ok(Self::from_text(number.map_or("", |number| number.as_str()))?)
            }

            fn show(&self) -> toml::Value {
                toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+};
}

whole_numbers! { u64 usize }

macro_rules! named_settings {
    ($($Type:ty)+) => {$(
        impl Setting for $Type {
            fn names() -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.name()).collect()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                Self::from_name(text).ok_or_else(|| format!("must be one of {}", Self::names().join(", ")))
            }

            fn show(&self) -> toml::Value {
                self.name().into()
            }
        }
    )+};
}

named_settings! { Dialect LogFormat LogLevel }

impl Setting for bool {
    fn names() -> Vec<&'static str> {
        vec!["true", "false"]
    }

    /// The flag without a value means true.
    fn taken(arg: Arg) -> Arg {
        arg.num_args(0..=1).default_missing_value("true")
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be true or false".to_owned())
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Problem> {
        Ok(value.get_ref().as_bool().ok_or("must be true or false")?)
    }

    fn show(&self) -> toml::Value {
        (*self).into()
    }
}

impl Setting for SocketAddr {
    /// Parses an address. A host name stands for its first address.
    fn from_text(text: &str) -> Result<Self, String> {
        let addresses = text.to_socket_addrs().ok();
        addresses
            .and_then(|mut addresses| addresses.next())
            .ok_or_else(|| "must be ADDR:PORT, such as 127.0.0.1:8080".to_owned())
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }
}

impl Setting for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must be a path".to_owned()) } else { Ok(text.into()) }
    }

    fn show(&self) -> toml::Value {
        self.to_string_lossy().into_owned().into()
    }
}

impl<T: Setting> Setting for Vec<T> {
    const SECRET: bool = T::SECRET;

    /// The flag may be given several times, each time with one or more values.
    fn taken(arg: Arg) -> Arg {
        arg.action(ArgAction::Append)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',').map(T::from_text).collect()
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Problem> {
        let texts = value.get_ref().as_array().ok_or("must be a list of strings")?;
        let read = |text: &Spanned<DeValue<'_>>| {
            let item = text.get_ref().as_str().ok_or("must be a list of strings".to_owned()).and_then(T::from_text);
            item.map_err(|must| Problem { must, at: Some(text.span().start) })
        };
        texts.iter().map(read).collect()
    }

    fn show(&self) -> toml::Value {
        toml::Value::Array(self.iter().map(T::show).collect())
    }
}

const PERCENTILES: &str = "must be at most 8 whole numbers from 1 to 99, ascending, such as [50, 95, 99]";

impl Setting for Percentiles {
    /// Parses numbers with commas between them, with or without brackets around them; `[]` is none.
    fn from_text(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let numbers = match inner {
            Some(inner) if inner.trim().is_empty() => Some(Vec::new()),
            _ => inner.unwrap_or(text).split(',').map(|number| number.trim().parse().ok()).collect(),
        };
        numbers.and_then(Self::new).ok_or_else(|| PERCENTILES.to_owned())
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Problem> {
        let numbers = value.get_ref().as_array().ok_or(PERCENTILES)?;
        let numbers = numbers.iter().map(|number| u8::try_from(u64::from_toml(number).ok()?).ok());
        Ok(numbers.collect::<Option<_>>().and_then(Self::new).ok_or(PERCENTILES)?)
    }

    fn show(&self) -> toml::Value {
        toml::Value::Array(self.as_slice().iter().map(|&percent| i64::from(percent).into()).collect())
    }
}

impl Setting for Zone {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: UnknownZone| error.to_string())
    }

    fn show(&self) -> toml::Value {
        self.name().into()
    }
}

impl Setting for Token {
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error| format!("cannot be used: {error}"))
    }

    fn show(&self) -> toml::Value {
        self.masked().into()
    }
}

/// A value, or none, which a file writes as an empty string.
impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(Some)
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Problem> {
        if value.get_ref().as_str() == Some("") { Ok(None) } else { T::from_toml(value).map(Some) }
    }

    fn show(&self) -> toml::Value {
        self.as_ref().map_or_else(|| "".into(), T::show)
    }
}

impl Setting for Address {
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: NoAddress| error.to_string())
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }
}

impl Setting for WebOrigin {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(|| "must be origins such as https://example.org, or *".to_owned())
    }

    fn show(&self) -> toml::Value {
        self.as_str().into()
    }
}

impl Setting for BasePath {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(|| {
            "must be / or a path such as /metrics-app, of letters, digits, hyphens, dots, underscores and tildes"
                .to_owned()
        })
    }

    fn show(&self) -> toml::Value {
        if self.as_str().is_empty() { "/".into() } else { self.as_str().into() }
    }
}

impl Setting for Network {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(|| "must be IP addresses, or networks such as 10.0.0.0/8".to_owned())
    }

    fn show(&self) -> toml::Value {
        self.name().into()
    }
}
