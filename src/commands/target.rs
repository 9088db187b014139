//! The destination of `import` and the source of `export`: a running server, or a store.

use super::CannotStart;
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
    },
    /// A directory that no server has open, or a database on a server.
    Store(StorageConfig),
}

/// Parses the address of a server, and removes slashes at its end.
pub(super) fn server_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    match host {
        // A password would be visible in error messages.
        Some(host) if host.contains('@') => Err("an address has no password in it: --token says who asks".to_owned()),
        Some(host) if !host.is_empty() => Ok(format!("http://{host}")),
        _ if text.starts_with("https://") => {
            Err("there is no TLS inside: ask the server itself, with http://".to_owned())
        }
        _ => Err("an address begins with http://".to_owned()),
    }
}

/// The server at `url`, or else the store. A flag overrides a variable here, too.
pub(super) fn target(
    settings: &Settings,
    has_url_flag: bool,
    url: Option<String>,
    token: Option<String>,
) -> Result<Target, CannotStart> {
    let has_store_flag = settings.is_flag("--data") || settings.is_flag("--database");
    match url {
        Some(_) if has_url_flag && has_store_flag => {
            Err(CannotStart::new("--url names a server, --data and --database a store: one of them is enough"))
        }
        Some(url) if has_url_flag || !has_store_flag => Ok(Target::Server { url, token }),
        _ => Ok(Target::Store(settings.config.storage.clone())),
    }
}
