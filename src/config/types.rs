//! Types that only settings use.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::vocabulary::string_enum;

/// An origin of web pages, as browsers send it, or `*` for any origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Parses an origin. `None` if the text is not one.
    pub fn new(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://").unwrap_or_default();
        let is_plain =
            |letter: char| letter.is_ascii_graphic() && !letter.is_ascii_uppercase() && !"/?#@,".contains(letter);
        let is_origin = ["http", "https"].contains(&scheme) && !host.is_empty() && host.chars().all(is_plain);
        (is_origin || text == "*").then(|| Self(text.to_owned()))
    }

    /// The origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A path under which a proxy serves this server, such as `/metrics-app`. It never ends with a slash; the root is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// The longest base path, in bytes.
const LONGEST_BASE_PATH: usize = 512;

impl BasePath {
    /// Parses a path, with or without a slash at its end. `None` if a URL could have no such path, or could mean another one by
    /// it: the names between the slashes consist of letters, digits, `-`, `.`, `_` and `~`.
    pub fn new(text: &str) -> Option<Self> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.chars().all(is_plain);
        let is_path = match path.strip_prefix('/') {
            Some(names) => names.split('/').all(is_name),
            None => text == "/",
        };
        (is_path && path.len() <= LONGEST_BASE_PATH).then(|| Self(path.to_owned()))
    }

    /// The path, without a slash at its end; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A network of IP addresses, such as `10.0.0.0/8`. A single address is a network, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Parses an address, or a network in CIDR notation. Bits behind the prefix length do not matter.
    pub fn new(text: &str) -> Option<Self> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.ok().map(|network| Self(network.trunc()))
    }

    /// The networks of loopback addresses.
    pub fn loopback() -> Vec<Self> {
        ["127.0.0.0/8", "::1"].iter().filter_map(|text| Self::new(text)).collect()
    }

    /// Whether the address is in the network.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// The network in CIDR notation; a single address without its prefix length.
    pub fn name(self) -> String {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().to_string() } else { self.0.to_string() }
    }
}

string_enum! {
    /// Which server the read endpoints imitate (docs/reference.md, Reading).
    pub Dialect {
        /// The server of the specification.
        Documented = "documented",
        /// Scale's own server, so that scale-ui works unchanged.
        Scale = "scale",
    }
}

string_enum! {
    /// How log lines are written.
    pub LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

string_enum! {
    /// How much is logged.
    pub LogLevel {
        /// Errors only.
        Error = "error",
        /// Also warnings, which somebody should look at.
        Warn = "warn",
        /// Also normal operation.
        Info = "info",
        /// Also details.
        Debug = "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_plain_names_between_slashes() {
        for (text, path) in [
            ("/", ""),
            ("/metrics-app", "/metrics-app"),
            ("/metrics-app/", "/metrics-app"),
            ("/a/b.c_~/1/", "/a/b.c_~/1"),
        ] {
            assert_eq!(BasePath::new(text).as_ref().map(BasePath::as_str), Some(path), "{text}");
        }
        let long = format!("/{}", "a".repeat(LONGEST_BASE_PATH));
        for text in [
            "",
            "a",
            "a/",
            "//",
            "///",
            "//a",
            "/a//",
            "/a//b",
            "/a/../b",
            "/..",
            "/.",
            "/./a",
            "/a b",
            "/a?b",
            "/a#b",
            "/a%2Fb",
            "/a\r\nb",
            "/\"",
            "/<a>",
            "/a\\b",
            "/\u{e4}",
            "/a:b",
            "http://a/",
            &long,
        ] {
            assert_eq!(BasePath::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_network_is_an_address_or_has_a_prefix_length() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (text, name, inside, outside) in [
            ("10.0.0.0/8", "10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::1", "::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8::/32", "2001:db8:1::1", "2001:db9::"),
            ("0.0.0.0/0", "0.0.0.0/0", "192.0.2.7", "::1"),
        ] {
            let network = Network::new(text).unwrap();
            assert_eq!(network.name(), name);
            assert!(network.contains(address(inside)) && !network.contains(address(outside)), "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.1:80", "10.0.0.0/8/8", "*"] {
            assert_eq!(Network::new(text), None, "{text:?}");
        }
        assert_eq!(Network::loopback().len(), 2);
    }
}
