//! Types that only settings have.

use crate::vocabulary::string_enum;

/// An origin of pages, as browsers send it, or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// The origin that a text names; `None` if it is none.
    pub fn new(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://").unwrap_or_default();
        let is_plain =
            |letter: char| letter.is_ascii_graphic() && !letter.is_ascii_uppercase() && !"/?#@,".contains(letter);
        let is_origin = ["http", "https"].contains(&scheme) && !host.is_empty() && host.chars().all(is_plain);
        (is_origin || text == "*").then(|| Self(text.to_owned()))
    }

    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

string_enum! {
    /// Whose habits the read endpoints follow (docs/reference.md, Reading).
    pub Dialect {
        /// The specification.
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
        /// Only what is broken.
        Error = "error",
        /// What should be looked at, too.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// In detail.
        Debug = "debug",
    }
}
