//! Reads the settings file. Every key in it must be known. An error names the line of an unknown key.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::value::Written;
use super::{ConfigError, KEYS, Key, Origin, Settings};

/// A settings file, for error messages with a position.
struct File<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl Settings {
    /// Applies the settings of the file.
    pub fn read(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
        let file = File { path, bytes };
        let text = file.text()?;
        for (section, values) in file.parse(text)?.get_ref() {
            let known: Vec<&Key> = KEYS.iter().filter(|key| key.section == section.get_ref()).collect();
            if known.is_empty() {
                let mut sections: Vec<_> = KEYS.iter().map(|key| format!("[{}]", key.section)).collect();
                sections.dedup();
                let there_are = format!("there are {}", sections.join(", "));
                return Err(
                    file.refuse(section, &format!("there is no section `{}`; {there_are}", &text[section.span()]))
                );
            }
            let DeValue::Table(values) = values.get_ref() else {
                return Err(file.refuse(section, &format!("`{}` must be a section", section.get_ref())));
            };
            for (name, value) in values {
                let Some(key) = known.iter().find(|key| key.name == name.get_ref()) else {
                    let names: Vec<_> = known.iter().map(|key| key.name).collect();
                    let there_are = format!("[{}] has {}", section.get_ref(), names.join(", "));
                    return Err(file.refuse(name, &format!("there is no key `{}`; {there_are}", &text[name.span()])));
                };
                let at = name.span().start;
                self.set(key, file.origin(at), Written::Toml(value)).map_err(|problem| {
                    let shown = text[value.span()].lines().next().unwrap_or_default();
                    problem.refuse(key, file.origin(problem.at.unwrap_or(at)), shown)
                })?;
            }
        }
        Ok(())
    }
}

impl<'a> File<'a> {
    fn text(&self) -> Result<&'a str, ConfigError> {
        str::from_utf8(self.bytes).map_err(|error| ConfigError::Invalid {
            origin: self.origin(error.valid_up_to()),
            detail: "this is not UTF-8".to_owned(),
        })
    }

    fn parse(&self, text: &'a str) -> Result<Spanned<DeTable<'a>>, ConfigError> {
        DeTable::parse(text).map_err(|error| {
            let at = error.span().unwrap_or_default();
            let mut detail = error.message().replace('\n', ", ");
            // Any other text may be a part of a secret.
            if detail == "duplicate key" {
                detail = format!("{detail} `{}`", &text[at.clone()]);
            }
            ConfigError::Invalid { origin: self.origin(at.start), detail }
        })
    }

    fn refuse(&self, name: &Spanned<DeString<'_>>, detail: &str) -> ConfigError {
        ConfigError::Invalid { origin: self.origin(name.span().start), detail: detail.to_owned() }
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = self.bytes[..offset].split(|byte| *byte == b'\n').count();
        Origin::File { path: self.path.to_owned(), line }
    }
}
