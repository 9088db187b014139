//! The destination of `import` and the source of `export`: a running server, or a data directory.

use std::path::PathBuf;

use super::CannotStart;
use super::client::Trust;
use crate::config::Settings;
use crate::store::OpenOptions;

/// The destination of an import, or the source of an export.
#[derive(Debug)]
pub(super) enum Target {
    /// A running server.
    Server {
        /// Its address.
        url: String,
        /// The token by which the server knows the client.
        token: Option<String>,
        /// What it has to show.
        trust: Trust,
    },
    /// A data directory that no server has open.
    Directory {
        /// The directory. It is created if it is missing.
        path: PathBuf,
        /// How the database is opened.
        options: OpenOptions,
    },
}

/// Parses the address of a server, and removes slashes at its end.
pub(super) fn server_url(text: &str) -> Result<String, String> {
    let address = text.trim_end_matches('/');
    let host = ["http://", "https://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    match host {
        // A password would be visible in error messages.
        Some(host) if host.contains('@') => Err("an address has no password in it: --token says who asks".to_owned()),
        Some(host) if !host.is_empty() => Ok(address.to_owned()),
        _ => Err("an address begins with http:// or https://".to_owned()),
    }
}

/// The flags of a command about the server that it asks.
pub(super) struct ServerFlags {
    pub(super) url: Option<String>,
    /// Whether the address was given on the command line, rather than by its variable.
    pub(super) has_url_flag: bool,
    pub(super) token: Option<String>,
    pub(super) ca: Option<PathBuf>,
}

/// The server at `url`, or else the data directory. A flag overrides a variable here, too.
pub(super) fn target(settings: &Settings, server: ServerFlags) -> Result<Target, CannotStart> {
    let ServerFlags { url, has_url_flag, token, ca } = server;
    let (storage, has_data_flag) = (&settings.config.storage, settings.is_flag("--data"));
    match url {
        Some(_) if has_url_flag && has_data_flag => {
            Err(CannotStart::new("--url names a server and --data a directory: one of them is enough"))
        }
        Some(url) if has_url_flag || !has_data_flag => Ok(Target::Server { url, token, trust: Trust::Authorities(ca) }),
        _ => Ok(Target::Directory { path: storage.data.clone(), options: storage.open_options() }),
    }
}
