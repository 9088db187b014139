//! Loads the settings from all sources.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::value::{Problem, Written};
use super::{ConfigError, Key, Origin, Overrides, Settings};

/// The settings file that is read if it exists and no other file is named.
const DEFAULT_FILE: &str = "config.toml";

impl Settings {
    /// Loads the settings that are in force.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let (path, named_by) = match &overrides.file {
            Some((path, origin)) => (path.as_path(), origin.clone()),
            None => (Path::new(DEFAULT_FILE), Origin::Default),
        };
        match fs::read(path) {
            Ok(bytes) => settings.read(path, &bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound && named_by == Origin::Default => {}
            Err(source) => return Err(ConfigError::Unreadable { path: path.to_owned(), named_by, source }),
        }
        settings.overridden_by(overrides)
    }

    /// Applies the settings of flags and variables.
    pub fn overridden_by(mut self, overrides: &Overrides) -> Result<Self, ConfigError> {
        for (key, text, origin) in &overrides.settings {
            let result = match text.to_str() {
                Some(text) => self.set(key, origin.clone(), Written::Text(text)),
                None => Err("must be UTF-8".into()),
            };
            let shown = format!("{:?}", text.to_string_lossy());
            result.map_err(|problem| problem.refuse(key, origin.clone(), &shown))?;
        }
        self.choose_storage()?;
        Ok(self)
    }

    /// A database is used wherever it is named, unless the command line names a directory: packages name one in the environment.
    fn choose_storage(&mut self) -> Result<(), ConfigError> {
        if self.config.storage.database.is_none() {
            return Ok(());
        }
        if self.is_flag("--data") {
            if self.is_flag("--database") {
                let detail = "names another place than --data: one of them is enough".to_owned();
                return Err(ConfigError::Invalid { origin: self.origins["--database"].clone(), detail });
            }
            self.config.storage.database = None;
            self.origins.remove("--database");
        }
        Ok(())
    }

    /// Sets a value and records its origin.
    pub(super) fn set(&mut self, key: &Key, origin: Origin, written: Written<'_>) -> Result<(), Problem> {
        (key.set)(&mut self.config, written)?;
        self.origins.insert(key.flag, origin);
        Ok(())
    }
}

impl Problem {
    /// The error for a rejected value of this key.
    pub(super) fn refuse(&self, key: &Key, origin: Origin, written: &str) -> ConfigError {
        let must = &self.must;
        let detail = if key.secret { format!("{key} {must}") } else { format!("{key} {must}, not {written}") };
        ConfigError::Invalid { origin, detail }
    }
}
