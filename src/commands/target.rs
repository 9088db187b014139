//! The destination of `import` and the source of `export`: a running server, or a store.

use std::path::PathBuf;

use super::CannotStart;
use super::client::Trust;
use crate::config::{Settings, StorageConfig};

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
    /// A directory that no server has open, or a database on a server.
    Store(Box<StorageConfig>),
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

/// The server at `url`, or else the store. A flag overrides a variable here, too.
pub(super) fn target(settings: &Settings, server: ServerFlags) -> Result<Target, CannotStart> {
    let ServerFlags { url, has_url_flag, token, ca } = server;
    let has_store_flag = settings.is_flag("--data") || settings.is_flag("--database");
    match url {
        Some(_) if has_url_flag && has_store_flag => {
            Err(CannotStart::new("--url names a server, --data and --database a store: one of them is enough"))
        }
        Some(url) if has_url_flag || !has_store_flag => {
            Ok(Target::Server { url, token, trust: Trust::Authorities(ca) })
        }
        _ => Ok(Target::Store(Box::new(settings.config.storage.clone()))),
    }
}
