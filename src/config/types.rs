//! Types that only settings use.

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
