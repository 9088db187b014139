//! `--print-config`: prints the settings as a file with the same content, with the origin of each value behind it.

use std::fmt;

use super::{KEYS, Origin, Settings};
use crate::access::MASK;

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for key in KEYS {
            if key.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = key.section;
                writeln!(f, "{gap}[{section}]")?;
            }
            let value = (key.show)(&self.config).to_string();
            let origin = self.origins.get(key.flag).unwrap_or(&Origin::Default);
            write!(f, "{} = {value}  # from {origin}", key.name)?;
            if key.secret && value.contains(MASK) {
                write!(f, ", {MASK} in the place of what is secret")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
