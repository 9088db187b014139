//! JSON values of any type. Reading one never fails because of its type.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::SHOWN_CHARS;
use crate::events::Task;

/// A JSON value, in as much detail as fields need. `null` is the same as absent.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Absent,
    Bool(bool),
    Integer(u64),
    /// A whole number below 0.
    Negative(i64),
    /// A number that the parser rounds. Only its text shows whether it is whole.
    Rounded,
    /// The text of any other number.
    Number(Cow<'a, str>),
    /// A text that contains half of a surrogate pair.
    NoText,
    Text(Cow<'a, str>),
    Array,
    Object,
    Tasks(Result<Vec<Task>, String>),
}

impl Value<'_> {
    /// The end of the message "must be …": what was found instead.
    pub(super) fn found(&self) -> String {
        match self {
            Self::Absent => "not null".to_owned(),
            Self::Bool(value) => format!("not {value}"),
            Self::Integer(value) => format!("not {value}"),
            Self::Negative(value) => format!("not {value}"),
            Self::Number(text) if text.len() <= SHOWN_CHARS => format!("not {text}"),
            Self::Number(_) | Self::Rounded => "not another number".to_owned(),
            Self::NoText => "not a text with a lone surrogate (\\ud800 to \\udfff)".to_owned(),
            Self::Text(text) if text.chars().nth(SHOWN_CHARS).is_some() => "not another text".to_owned(),
            Self::Text(text) => format!("not {:?}", text.as_ref()),
            Self::Array | Self::Tasks(_) => "not an array".to_owned(),
            Self::Object => "not an object".to_owned(),
        }
    }
}

/// A type that can be built from a JSON value of any type. By default, the contents of arrays and objects are skipped.
pub(super) trait Shape<'de>: Sized {
    fn value(value: Value<'de>) -> Self;

    fn array<A: SeqAccess<'de>>(mut array: A) -> Result<Self, A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::value(Value::Array))
    }

    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::value(Value::Object))
    }
}

/// A visitor that reads any JSON value into a shape.
pub(super) struct Any<S>(pub(super) PhantomData<S>);

impl<'de, S: Shape<'de>> Visitor<'de> for Any<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<S, E> {
        Ok(S::value(Value::Absent))
    }

    fn visit_bool<E>(self, value: bool) -> Result<S, E> {
        Ok(S::value(Value::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<S, E> {
        Ok(S::value(Value::Integer(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<S, E> {
        Ok(S::value(u64::try_from(value).map_or(Value::Negative(value), Value::Integer)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<S, E> {
        Ok(S::value(Value::Rounded))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<S, E> {
        Ok(S::value(Value::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<S, E> {
        Ok(S::value(Value::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<S, A::Error> {
        S::array(array)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<S, A::Error> {
        S::object(object)
    }
}

/// Implements `Deserialize` for a shape.
macro_rules! read_as_shape {
    ($($shape:ident $(<$lifetime:lifetime>)?),*) => {$(
        impl<'de> serde::Deserialize<'de> for $shape $(<$lifetime>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::events::wire::value::Any(std::marker::PhantomData))
            }
        }
    )*};
}
pub(super) use read_as_shape;
read_as_shape!(Value<'de>);

impl<'de> Shape<'de> for Value<'de> {
    fn value(value: Self) -> Self {
        value
    }
}
