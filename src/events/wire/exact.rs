//! The exact but slow way to read one object. It reads values that the fast way cannot represent: numbers with a point or an
//! exponent, numbers beyond the range of machine integers, and texts that are not valid Unicode.
//!
//! The fast way ([`super::value`]) takes the values that the parser returns. The parser returns a rounded number for
//! `9007199254740993.0`, and an error of the whole body for `1e400` or half of a surrogate pair. The exact way takes each value
//! as it is written. So whole numbers are exact in any form (docs/reference.md, Posting events), and an invalid value is a
//! problem of its field. It takes several times as long, so only objects that need it are read this way.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field::Key;
use super::object::{FieldValue, Meaning, read_object};
use super::tasks::Tasks;
use super::value::Value;
use super::{Problem, Read};

/// Reads one JSON value, which must be well-formed.
pub(super) fn read<M: Meaning>(text: &str) -> Read {
    let problem = |detail: String| Err(vec![Problem { field: None, detail }]);
    let text = text.trim_ascii();
    if !text.starts_with('{') {
        return problem(format!("must be an object, {}", value_of(text).found()));
    }
    let read = serde_json::Deserializer::from_str(text).deserialize_map(Object::<M>(PhantomData));
    read.unwrap_or_else(|error| problem(format!("cannot be read: {error}")))
}

struct Object<M>(PhantomData<M>);

impl<'de, M: Meaning> Visitor<'de> for Object<M> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Read, A::Error> {
        let read = read_object::<A, Written, M>(object)?;
        Ok(read.unwrap_or_else(|_| unreachable!("every number is read as it is written")))
    }
}

/// Reads values as they are written.
struct Written;

impl<'de> FieldValue<'de> for Written {
    fn key<A: MapAccess<'de>>(object: &mut A) -> Result<Option<Key>, A::Error> {
        let Some(raw) = object.next_key::<&RawValue>()? else { return Ok(None) };
        Ok(Some(serde_json::from_str(raw.get()).unwrap_or(Key::NoText)))
    }

    fn read<A: MapAccess<'de>>(object: &mut A) -> Result<Value<'de>, A::Error> {
        Ok(value_of(object.next_value::<&RawValue>()?.get()))
    }

    fn tasks<A: MapAccess<'de>>(object: &mut A) -> Result<Value<'de>, A::Error> {
        let raw = object.next_value::<&RawValue>()?.get();
        Ok(match serde_json::from_str::<Tasks>(raw) {
            Ok(Tasks(tasks)) => tasks,
            Err(_) if !raw.starts_with('[') => {
                Value::Tasks(Err(format!("must be an array of tasks, {}", value_of(raw).found())))
            }
            Err(_) => Value::Tasks(Err(
                "has a number that is too large, a text that is no Unicode, or too many levels".to_owned(),
            )),
        })
    }
}

/// The value of a well-formed JSON text.
fn value_of(text: &str) -> Value<'_> {
    match text.as_bytes().first() {
        Some(b'n') => Value::Absent,
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'[') => Value::Array,
        Some(b'{') => Value::Object,
        Some(b'"') => match serde_json::from_str::<Text<'_>>(text) {
            Ok(Text(text)) => Value::Text(text),
            Err(_) => Value::NoText,
        },
        _ => number(text),
    }
}

/// A text, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The maximum number of decimal digits of a whole number in any field.
const MOST_DIGITS: usize = 20;

/// The value of a number as it is written: an integer if it is whole and in range, else its text.
fn number(text: &str) -> Value<'_> {
    let other = || Value::Number(Cow::Borrowed(text));
    let (is_negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Value::Integer(0);
    }
    // The number of zeros behind the significant digits. An exponent beyond the range of integers counts as the largest or
    // smallest one.
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let [trailing, places] = [trailing, fraction.len()].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let zeros = exponent.saturating_add(trailing).saturating_sub(places);
    let Ok(zeros) = usize::try_from(zeros) else { return other() };
    if significant.len().saturating_add(zeros) > MOST_DIGITS {
        return other();
    }
    let magnitude =
        significant.parse::<u128>().ok().map(|digits| digits * 10_u128.pow(u32::try_from(zeros).unwrap_or(0)));
    match (is_negative, magnitude) {
        (false, Some(magnitude)) => u64::try_from(magnitude).map_or_else(|_| other(), Value::Integer),
        (true, Some(magnitude)) => {
            i64::try_from(magnitude).map_or_else(|_| other(), |magnitude| Value::Negative(-magnitude))
        }
        (_, None) => other(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> Option<u64> {
        if let Value::Integer(number) = number(text) { Some(number) } else { None }
    }

    #[test]
    fn whole_numbers_are_exact_in_any_form() {
        for (text, expected) in [
            ("7", 7),
            ("7.0", 7),
            ("7e0", 7),
            ("0.7e1", 7),
            ("70E-1", 7),
            ("7E+0", 7),
            ("0.000007e6", 7),
            ("-0", 0),
            ("0.000e999999999999999999999", 0),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("90071992547409930e-1", 9_007_199_254_740_993),
            ("18446744073709551615.000", u64::MAX),
            ("1.8446744073709551615e19", u64::MAX),
        ] {
            assert_eq!(whole(text), Some(expected), "{text}");
        }
        for text in [
            "1.5",
            "7.00000000000000000000001",
            "1e400",
            "1e-400",
            "1e99999999999999999999999999",
            "1e-99999999999999999999999999",
            "18446744073709551616",
            "18446744073709551615.5",
            "-7.0",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
        assert_eq!(number("-7.0").found(), "not -7");
        assert_eq!(number("1e400").found(), "not 1e400");
    }

    proptest! {
        #[test]
        fn moving_the_point_changes_nothing(number: u64, places in 0..30_usize) {
            let digits = format!("{number:030}");
            let (whole_part, fraction) = digits.split_at(30 - places);
            let whole_part = whole_part.trim_start_matches('0');
            let whole_part = if whole_part.is_empty() { "0" } else { whole_part };
            let text = if fraction.is_empty() { whole_part.to_owned() } else { format!("{whole_part}.{fraction}e{places}") };
            prop_assert_eq!(whole(&text), Some(number), "{}", text);
            prop_assert_eq!(whole(&format!("{number}{}e-{places}", "0".repeat(places))), Some(number));
        }
    }
}
