//! Settings: an accepted setting prints as it was read, and the error of a rejected one names it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;

use clap::{Args as _, Command, FromArgMatches as _};
use scale_metrics::config::{ConfigError, KEYS, Key, Origin, Overrides, Settings};
use toml::de::{DeTable, DeValue};

/// Takes the first byte as the index of a key and the other bytes as its value. If there is no such key, the other bytes are a
/// file.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&place, bytes)) = bytes.split_first() else { return };
    match (KEYS.get(usize::from(place)), str::from_utf8(bytes)) {
        (Some(key), Ok(text)) => check_text(key, text),
        (Some(_), Err(_)) => {}
        (None, _) => check_file(bytes),
    }
}

fn check_text(key: &Key, text: &str) {
    static COMMAND: LazyLock<Command> =
        LazyLock::new(|| Overrides::augment_args(Command::new("fuzz").no_binary_name(true)));

    if (key.section, key.name) == ("server", "listen") && is_looked_up(text) {
        return;
    }
    let matches = COMMAND.clone().try_get_matches_from([format!("{}={text}", key.flag)]);
    let overrides = matches.and_then(|matches| Overrides::from_arg_matches(&matches));
    match Settings::default().overridden_by(&overrides.expect("a flag takes any text")) {
        Ok(settings) => check_printed(&settings),
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with(&format!("flag {}: {key} ", key.flag)), "{message}");
            assert!(message.lines().count() == 1, "{message:?}");
        }
    }
}

fn check_file(bytes: &[u8]) {
    if names_a_host(bytes) {
        return;
    }
    let mut settings = Settings::default();
    match settings.read(file(), bytes) {
        Ok(()) => check_printed(&settings),
        Err(error) => {
            let message = error.to_string();
            let ConfigError::Invalid { origin: Origin::File { line, .. }, .. } = error else { panic!("{message}") };
            assert!((1..=bytes.split(|&byte| byte == b'\n').count()).contains(&line), "{message}");
            assert!(message.starts_with(&format!("config.toml:{line}: ")), "{message}");
            assert!(message.lines().count() == 1, "{message:?}");
        }
    }
}

fn check_printed(settings: &Settings) {
    // Masked tokens do not read back as the same tokens.
    if settings.config.access.tokens.is_empty() {
        let mut again = Settings::default();
        let printed = settings.to_string();
        again.read(file(), printed.as_bytes()).unwrap_or_else(|error| panic!("{error} in {printed}"));
        assert_eq!(again.config, settings.config, "{printed}");
    }
}

fn file() -> &'static Path {
    Path::new("config.toml")
}

/// Whether the file makes the server listen at a host name, which requires a look-up in the network.
fn names_a_host(bytes: &[u8]) -> bool {
    let Ok(file) = str::from_utf8(bytes).map_err(drop).and_then(|text| DeTable::parse(text).map_err(drop)) else {
        return false;
    };
    let server = file.get_ref().get("server").map(toml::Spanned::get_ref);
    let listen = if let Some(DeValue::Table(server)) = server { server.get("listen") } else { None };
    listen.and_then(|listen| listen.get_ref().as_str()).is_some_and(is_looked_up)
}

fn is_looked_up(address: &str) -> bool {
    address.parse::<SocketAddr>().is_err()
}
