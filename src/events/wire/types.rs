//! The types of fields. Each type has its own error message for a value of another type.

use super::value::Value;
use crate::events::Task;
use crate::time::{TimeError, Timestamp};
use crate::vocabulary::{
    ChoiceId, ErrorCategory, EventKind, ExecutionStatus, IngestStatus, JobStatus, Kind, MAX_ID, TaskType,
};

/// A type that a field may have. The error message completes "`field` …".
pub(super) trait FromValue: Sized {
    fn from_value(value: Value<'_>) -> Result<Self, String>;
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        if let Value::Bool(flag) = value { Ok(flag) } else { Err(format!("must be true or false, {}", value.found())) }
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        if let Value::Text(text) = value {
            Ok(text.into_owned())
        } else {
            Err(format!("must be a string, {}", value.found()))
        }
    }
}

/// `file_size`, in bytes.
impl FromValue for u64 {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        let bytes = if let Value::Integer(bytes) = value { Some(bytes) } else { None };
        bytes.ok_or_else(|| format!("must be an integer from 0 to {}, {}", Self::MAX, value.found()))
    }
}

/// The ids of events have the same range.
impl FromValue for ChoiceId {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        let id = if let Value::Integer(id) = value { Self::new(id) } else { None };
        id.ok_or_else(|| format!("must be an integer from 1 to {MAX_ID}, {}", value.found()))
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        let time = if let Value::Text(text) = &value { text.parse() } else { Err(TimeError::Form) };
        time.map_err(|error| format!("{error}, {}", value.found()))
    }
}

impl FromValue for Vec<Task> {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        if let Value::Tasks(tasks) = value {
            tasks
        } else {
            Err(format!("must be an array of tasks, {}", value.found()))
        }
    }
}

macro_rules! one_of {
    ($($name:ty),*) => {$(
        impl FromValue for $name {
            fn from_value(value: Value<'_>) -> Result<Self, String> {
                let named = if let Value::Text(text) = &value { Self::from_name(text) } else { None };
                named.ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|named| named.name()).collect();
                    format!("must be one of {}, {}", names.join(", "), value.found())
                })
            }
        }
    )*};
}
one_of!(Kind, EventKind, JobStatus, ExecutionStatus, IngestStatus, ErrorCategory, TaskType);
