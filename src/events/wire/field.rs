//! The names of the fields of objects.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::SHOWN_CHARS;
use crate::vocabulary::string_enum;

string_enum! {
    /// The names of all fields of all kinds.
    pub(super) Field {
        /// The kind of the object.
        Kind = "kind",
        /// The id within the kind.
        Id = "id",
        /// A choice.
        JobType = "job_type",
        /// A choice.
        Strike = "strike",
        /// A choice.
        Error = "error",
        /// A status of the kind.
        Status = "status",
        /// A time.
        Queued = "queued",
        /// A time.
        Started = "started",
        /// A time.
        Ended = "ended",
        /// A list of tasks.
        Tasks = "tasks",
        /// A time.
        LastModified = "last_modified",
        /// Bytes.
        FileSize = "file_size",
        /// A time.
        TransferStarted = "transfer_started",
        /// A time.
        TransferEnded = "transfer_ended",
        /// A time.
        IngestStarted = "ingest_started",
        /// A time.
        IngestEnded = "ingest_ended",
        /// A text.
        Name = "name",
        /// A text.
        Version = "version",
        /// A text.
        Title = "title",
        /// A text.
        Description = "description",
        /// A text; for an error, one of three texts.
        Category = "category",
        /// A text.
        AuthorName = "author_name",
        /// A text.
        AuthorUrl = "author_url",
        /// Yes or no.
        IsSystem = "is_system",
        /// Yes or no.
        IsLongRunning = "is_long_running",
        /// Yes or no.
        IsActive = "is_active",
        /// Yes or no.
        IsOperational = "is_operational",
        /// Yes or no.
        IsPaused = "is_paused",
        /// A text.
        IconCode = "icon_code",
        /// A text.
        JobTypeName = "job_type_name",
        /// Yes or no.
        IsBuiltin = "is_builtin",
        /// Yes or no.
        ShouldBeRetried = "should_be_retried",
        /// The type of a task.
        Type = "type",
    }
}

/// A key of an object: the name of a field of some kind, or an unknown name.
pub(super) enum Key {
    Field(Field),
    /// An unknown name, truncated if it is long.
    Unknown(String),
    /// A name that contains half of a surrogate pair.
    NoText,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyKey;

        impl Visitor<'_> for AnyKey {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                let unknown = || match name.char_indices().nth(SHOWN_CHARS) {
                    Some((end, _)) => format!("{}…", &name[..end]),
                    None => name.to_owned(),
                };
                Ok(Field::from_name(name).map_or_else(|| Key::Unknown(unknown()), Key::Field))
            }
        }

        deserializer.deserialize_str(AnyKey)
    }
}

/// The bit of a field in a set of fields.
pub(super) fn bit(field: Field) -> u64 {
    1 << field as u32
}
