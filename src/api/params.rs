//! Query parameters as real clients send them (docs/reference.md, Reading), and parsers for the values that endpoints share.
//!
//! `name[]` means `name`, since web clients write lists this way. A parameter that is empty or `null` counts as not given. The
//! description of an endpoint says which parameters it knows ([`Known`]). Other parameters are ignored and named in a header of
//! the response ([`ignored`]), except near misses of known ones, which are refused.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::RangeInclusive;

use actix_web::http::header::{HeaderName, HeaderValue};

use super::ApiError;
use crate::time::{Date, Duration, TimeRange, Timestamp, UnknownZone, Zone};

/// The header that names the ignored parameters.
pub(super) const IGNORED_PARAMETERS: HeaderName = HeaderName::from_static("x-ignored-parameters");

/// The largest length of that header, and of each name in it, in bytes.
const IGNORED_BYTES: usize = 1_000;
const IGNORED_NAME_BYTES: usize = 100;
/// Marks where a name or the list is cut.
const CUT: &str = "...";

/// Wrong names that people often write, each with the parameter that they mean.
const NEAR_MISSES: [(&str, &str); 8] = [
    ("columns", "column"),
    ("groups", "group"),
    ("choice", "choice_id"),
    ("choice_ids", "choice_id"),
    ("start", "started"),
    ("from", "started"),
    ("end", "ended"),
    ("to", "ended"),
];

/// How the names of parameters begin that belong together. An endpoint that knows one of them knows any such name, and refuses the
/// wrong ones itself.
const FAMILIES: [&str; 2] = ["min_", "max_"];

/// The query parameters that an endpoint knows.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<String>);

impl Known {
    /// Creates a set of exactly these names.
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let family = FAMILIES.iter().find(|family| name.starts_with(*family));
        self.0.iter().any(|known| known == name || family.is_some_and(|family| known.starts_with(family)))
    }

    /// The known parameter that an unknown name probably means.
    fn meant_by(&self, name: &str) -> Option<&'static str> {
        let (_, meant) = NEAR_MISSES.iter().find(|(wrong, _)| *wrong == name)?;
        self.has(meant).then_some(*meant)
    }
}

/// The parameters of one request, in the order given.
pub(crate) struct Params<'a> {
    pairs: Vec<Pair<'a>>,
    known: &'a Known,
}

/// One parameter: its text in the query, and its decoded name and value.
pub(super) struct Pair<'a> {
    pub(super) raw: &'a str,
    /// The name, without a trailing `[]`.
    pub(super) name: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
}

impl<'a> Pair<'a> {
    /// Decodes `name=value`; `None` if the text is empty.
    fn parse(raw: &'a str) -> Option<Self> {
        let (name, value) = form_urlencoded::parse(raw.as_bytes()).next()?;
        let name = match name {
            Cow::Borrowed(name) => Cow::Borrowed(name.strip_suffix("[]").unwrap_or(name)),
            Cow::Owned(mut name) => {
                name.truncate(name.strip_suffix("[]").unwrap_or(&name).len());
                Cow::Owned(name)
            }
        };
        Some(Self { raw, name, value })
    }

    /// Whether the parameter has a value. An empty one and `null` do not count.
    pub(super) fn is_given(&self) -> bool {
        !self.value.is_empty() && self.value != "null"
    }
}

impl<'a> Params<'a> {
    /// Parses the query string of an endpoint that knows these parameters. A near miss of one of them is an error.
    pub(crate) fn parse(query: &'a str, known: &'a Known) -> Result<Self, ApiError> {
        let pairs: Vec<_> = query.split('&').filter_map(Pair::parse).collect();
        for pair in pairs.iter().filter(|pair| pair.is_given() && !known.has(&pair.name)) {
            if let Some(meant) = known.meant_by(&pair.name) {
                return Err(ApiError::NearMiss { name: pair.name.clone().into_owned(), meant });
            }
        }
        Ok(Self { pairs, known })
    }

    /// All parameters, in the order given.
    pub(super) fn pairs(&self) -> impl Iterator<Item = &Pair<'a>> {
        self.pairs.iter()
    }

    /// All values given for a parameter.
    fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        debug_assert!(self.known.has(name), "{name} is read, but not described");
        let pairs = self.pairs.iter().filter(move |pair| pair.name == name && pair.is_given());
        pairs.map(|pair| pair.value.as_ref())
    }

    /// The values given for a parameter that may be repeated, without duplicates, in the order given.
    pub(crate) fn distinct(&self, name: &str) -> Vec<&str> {
        let mut values: Vec<_> = self.all(name).collect();
        if values.len() > 1 {
            let mut seen = HashSet::with_capacity(values.len());
            values.retain(|value| seen.insert(*value));
        }
        values
    }

    /// The value of a parameter; the last value if it is repeated.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next_back()
    }

    /// The value of a parameter that is one of a few words.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        self.one(name).map(|value| word(name, value, words)).transpose()
    }

    /// The values of a parameter that may be repeated, each of which is one of a few words, in the order of the words.
    pub(crate) fn words<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Vec<T>, ApiError> {
        let given = self.distinct(name);
        given.iter().try_for_each(|value| word(name, value, words).map(drop))?;
        Ok(words.iter().filter(|(word, _)| given.contains(word)).map(|(_, meaning)| *meaning).collect())
    }

    /// The value of a parameter that is a whole number within bounds.
    pub(crate) fn number(&self, name: &str, allowed: RangeInclusive<u32>) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let is_integer = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_integer && allowed.contains(number));
        let bounds = || format!("it must be an integer from {} to {}", allowed.start(), allowed.end());
        Ok(Some(number.ok_or_else(|| ApiError::parameter(name, text, bounds()))?))
    }

    /// Parses `timezone`.
    pub(crate) fn zone(&self, standard: Zone) -> Result<Zone, ApiError> {
        let Some(name) = self.one("timezone") else { return Ok(standard) };
        name.parse().map_err(|error: UnknownZone| ApiError::parameter("timezone", name, format!("it {error}")))
    }

    /// Parses `started` and `ended`; dates and times without an offset are local. The default is from the beginning of time to now.
    pub(crate) fn time_range(&self, now: Timestamp, zone: Zone) -> Result<TimeRange, ApiError> {
        let started = self.time("started", now, zone)?;
        let ended = self.time("ended", now, zone)?.unwrap_or(now);
        // Without `started`, the range begins at the first instant, and may end there, too: it is the first bucket then.
        if started.is_some_and(|started| started >= ended) {
            let allowed = format!("it must be earlier than ended, which is {ended}");
            return Err(ApiError::parameter("started", self.one("started").unwrap_or_default(), allowed));
        }
        Ok(TimeRange { started: started.unwrap_or(Timestamp::MIN), ended })
    }

    fn time(&self, name: &str, now: Timestamp, zone: Zone) -> Result<Option<Timestamp>, ApiError> {
        let Some(value) = self.one(name) else { return Ok(None) };
        let time = parse_time(value, now, zone).ok_or_else(|| {
            let allowed = "it must be an ISO-8601 date-time (2015-01-01T00:00:00Z) from 1970-01-01 to 9999-12-31, a date \
                 (2015-01-01) or a duration back from now (PT3H0M0S)";
            ApiError::parameter(name, value, allowed)
        })?;
        Ok(Some(time))
    }
}

/// The meaning of a value that is one of a few words.
fn word<T: Copy>(name: &str, value: &str, words: &[(&str, T)]) -> Result<T, ApiError> {
    let word = words.iter().find(|(word, _)| *word == value);
    word.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        ApiError::parameter(name, value, format!("it must be one of: {}", allowed.join(", ")))
    })
}

/// The value of `X-Ignored-Parameters`: the names of the given parameters that an endpoint does not know, in the order given,
/// without duplicates; `None` if there are none. Names are escaped as in a query, so that any name fits in a header, and long
/// names are cut. Values are never shown, since they may be secret.
pub(super) fn ignored(query: &str, known: &Known) -> Option<HeaderValue> {
    let mut names = String::new();
    let mut seen = HashSet::new();
    for raw in query.split('&') {
        // Nearly all names are known, and are written without escapes.
        if known.has(raw.split_once('=').map_or(raw, |(name, _)| name)) {
            continue;
        }
        let Some(pair) = Pair::parse(raw) else { continue };
        let is_ignored = pair.is_given() && !pair.name.is_empty() && !known.has(&pair.name);
        if !is_ignored || known.meant_by(&pair.name).is_some() || seen.contains(&pair.name) {
            continue;
        }
        if !names.is_empty() {
            names.push_str(", ");
        }
        if names.len() >= IGNORED_BYTES {
            names.push_str(CUT);
            break;
        }
        let shown = &pair.name[..pair.name.floor_char_boundary(IGNORED_NAME_BYTES)];
        names.extend(form_urlencoded::byte_serialize(shown.as_bytes()));
        if shown.len() < pair.name.len() {
            names.push_str(CUT);
        }
        seen.insert(pair.name);
    }
    (!names.is_empty()).then(|| HeaderValue::try_from(names).expect("escaped names make a header"))
}

/// Parses a point in time: a date-time, a date (its midnight), or a duration back from now. Without an offset, it is local. An
/// unescaped `+` arrives as a space, so a space before an offset counts as `+`.
fn parse_time(text: &str, now: Timestamp, zone: Zone) -> Option<Timestamp> {
    if let Ok(duration) = text.parse::<Duration>() {
        return Some(duration.before(now));
    }
    if let Ok(date) = text.parse::<Date>() {
        return Some(zone.start_of_day(Zone::UTC.local(date.start()).date()));
    }
    let text = match text.split_once(' ') {
        Some((time, offset)) if time.contains('T') => Cow::Owned(format!("{time}+{offset}")),
        _ => Cow::Borrowed(text),
    };
    Timestamp::parse_in(zone, &text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> Known {
        Known::new(names.iter().map(|&name| name.to_owned()))
    }

    #[test]
    fn empty_pairs_and_null_count_as_not_given() {
        let known = known(&["column", "group", "name"]);
        let params = Params::parse("&column=a&&group=&group=null&column=b+c%26&name", &known).expect("all are known");
        assert_eq!(params.distinct("column"), ["a", "b c&"]);
        assert_eq!(params.one("group"), None);
        assert_eq!(params.one("name"), None);
        assert_eq!(params.one("column"), Some("b c&"));
    }

    #[test]
    fn a_space_where_an_unescaped_plus_stood_is_understood() {
        let parse = |text| parse_time(text, Timestamp::MIN, Zone::UTC);
        assert_eq!(parse("2015-01-01T05:00:00 05:00"), parse("2015-01-01"));
        assert_eq!(parse("2015-01-01 05:00:00"), None);
    }

    #[test]
    fn a_date_is_the_start_of_that_local_day() {
        let parse = |text, zone: &str| parse_time(text, Timestamp::MIN, zone.parse().expect("a zone"));
        // At 00:01, clocks went back to 23:01.
        assert_eq!(parse("2009-11-01", "America/St_Johns"), parse("2009-11-01T03:30:00Z", "UTC"));
        assert_eq!(parse("2015-10-18", "America/Sao_Paulo"), parse("2015-10-18T03:00:00Z", "UTC"));
        assert_eq!(parse("2015-10-18T00:30:00", "America/Sao_Paulo"), parse("2015-10-18T03:00:00Z", "UTC"));
    }

    #[test]
    fn repeated_values_are_given_once_in_their_order() {
        let known = known(&["column"]);
        let params = Params::parse("column[]=b&column=a&column%5B%5D=b&column[]=&column=a&column=c", &known);
        let params = params.expect("all are known");
        assert_eq!(params.distinct("column"), ["b", "a", "c"]);
        assert_eq!(params.one("column"), Some("c"));
    }

    #[test]
    fn near_misses_are_refused_only_where_the_right_name_is_known() {
        let known = known(&["column", "started"]);
        for query in ["columns=a", "columns[]=a", "start=P7D", "from%5B%5D=P7D", "column=a&columns=b"] {
            assert!(matches!(Params::parse(query, &known), Err(ApiError::NearMiss { .. })), "{query}");
        }
        for query in ["columns=", "columns[]=null", "group=a", "groups=a", "end=P7D", "Columns=a"] {
            assert!(Params::parse(query, &known).is_ok(), "{query}");
        }
    }

    #[test]
    fn ignored_names_make_a_short_header_whatever_they_are() {
        let known = known(&["column"]);
        let ignored = |query: &str| ignored(query, &known).map(|names| names.to_str().expect("ASCII").to_owned());
        for query in ["", "column=a&column[]=b", "other=&more=null&third", "=x&=", "columns=a"] {
            assert_eq!(ignored(query), None, "{query}");
        }
        assert_eq!(ignored("b=secret&column=x&a[]=1&b=2&a=3").as_deref(), Some("b, a"));
        assert_eq!(ignored("a%0D%0Ab=1&c,d=1&%C3%A4=1").as_deref(), Some("a%0D%0Ab, c%2Cd, %C3%A4"));
        let long = "x".repeat(60_000);
        assert_eq!(ignored(&format!("{long}=1")), Some("x".repeat(IGNORED_NAME_BYTES) + CUT));
        let many = (0..10_000).fold(String::new(), |many, number| many + &format!("p{number}=1&"));
        let names = ignored(&many).expect("none is known");
        assert!(names.len() < IGNORED_BYTES + 20 && names.ends_with(", ..."), "{names}");
    }
}
