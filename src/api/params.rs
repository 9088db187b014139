//! Query parameters as real clients send them (contract, section 5), and the kinds of values that endpoints share.
//!
//! Unknown parameters and empty pairs are passed over; a parameter that is empty or `null` counts as not given.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::ApiError;
use crate::time::{Date, Duration, TimeRange, Timestamp};

/// The parameters of one request, in the order given.
pub(crate) struct Params<'a>(Vec<Pair<'a>>);

/// One parameter: as it stood in the query, and what that means.
pub(super) struct Pair<'a> {
    pub(super) raw: &'a str,
    pub(super) name: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl<'a> Params<'a> {
    /// Reads a query string.
    pub(crate) fn parse(query: &'a str) -> Self {
        let pairs = query.split('&').filter_map(|raw| {
            let (name, value) = form_urlencoded::parse(raw.as_bytes()).next()?;
            Some(Pair { raw, name, value })
        });
        Self(pairs.collect())
    }

    /// All of them, in the order given.
    pub(super) fn pairs(&self) -> impl Iterator<Item = &Pair<'a>> {
        self.0.iter()
    }

    /// Every value given for a parameter that may be repeated.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |pair| pair.name == name);
        pairs.map(|pair| pair.value.as_ref()).filter(|value| !value.is_empty() && *value != "null")
    }

    /// The value of a parameter; the last one if it was repeated.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// The value of a parameter that is one of a few words.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(value) = self.one(name) else { return Ok(None) };
        let word = words.iter().find(|(word, _)| *word == value);
        let word = word.ok_or_else(|| {
            let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            ApiError::parameter(name, value, format!("it must be one of: {}", allowed.join(", ")))
        })?;
        Ok(Some(word.1))
    }

    /// The value of a parameter that is a whole number within bounds.
    pub(crate) fn number(&self, name: &str, allowed: RangeInclusive<u32>) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let is_integer = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_integer && allowed.contains(number));
        let bounds = || format!("it must be an integer from {} to {}", allowed.start(), allowed.end());
        Ok(Some(number.ok_or_else(|| ApiError::parameter(name, text, bounds()))?))
    }

    /// `started` and `ended`: by default from the beginning to now.
    pub(crate) fn time_range(&self, now: Timestamp) -> Result<TimeRange, ApiError> {
        let started = self.time("started", now)?.unwrap_or(Timestamp::MIN);
        let ended = self.time("ended", now)?.unwrap_or(now);
        if started >= ended {
            // Blames what was given: `ended` may be the default.
            let (name, allowed) = match self.one("started") {
                Some(_) => ("started", format!("it must be earlier than ended, which is {ended}")),
                None => ("ended", format!("it must be later than started, which is {started}")),
            };
            return Err(ApiError::parameter(name, self.one(name).unwrap_or_default(), allowed));
        }
        Ok(TimeRange { started, ended })
    }

    fn time(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        let Some(value) = self.one(name) else { return Ok(None) };
        let time = parse_time(value, now).ok_or_else(|| {
            let allowed = "it must be an ISO-8601 date-time (2015-01-01T00:00:00Z) from 1970-01-01 to 9999-12-31, a date \
                 (2015-01-01) or a duration back from now (PT3H0M0S)";
            ApiError::parameter(name, value, allowed)
        })?;
        Ok(Some(time))
    }
}

/// A point in time: a date-time, a date (its midnight), or a duration back from now. A `+` that was not escaped arrives as
/// a space, so a space before an offset stands for one.
fn parse_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(duration) = text.parse::<Duration>() {
        return Some(duration.before(now));
    }
    if let Ok(date) = text.parse::<Date>() {
        return Some(date.start());
    }
    let text = match text.split_once(' ') {
        Some((time, offset)) if time.contains('T') => Cow::Owned(format!("{time}+{offset}")),
        _ => Cow::Borrowed(text),
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_pairs_and_null_count_as_not_given() {
        let params = Params::parse("&column=a&&group=&group=null&column=b+c%26&name");
        assert_eq!(params.all("column").collect::<Vec<_>>(), ["a", "b c&"]);
        assert_eq!(params.one("group"), None);
        assert_eq!(params.one("name"), None);
        assert_eq!(params.one("column"), Some("b c&"));
    }

    #[test]
    fn a_space_where_an_unescaped_plus_stood_is_understood() {
        let now = Timestamp::MIN;
        assert_eq!(parse_time("2015-01-01T05:00:00 05:00", now), parse_time("2015-01-01", now));
        assert_eq!(parse_time("2015-01-01 05:00:00", now), None);
    }
}
