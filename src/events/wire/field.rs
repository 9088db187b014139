//! The names of the fields of objects.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::SHOWN_CHARS;
use crate::vocabulary::string_enum;

string_enum! {
    /// The names of all fields of all kinds.
    pub(super) Field {
        Kind = "kind",
        Id = "id",
        JobType = "job_type",
        Strike = "strike",
        Error = "error",
        Status = "status",
        Queued = "queued",
        Started = "started",
        Ended = "ended",
        Tasks = "tasks",
        LastModified = "last_modified",
        FileSize = "file_size",
        TransferStarted = "transfer_started",
        TransferEnded = "transfer_ended",
        IngestStarted = "ingest_started",
        IngestEnded = "ingest_ended",
        Name = "name",
        Version = "version",
        Title = "title",
        Description = "description",
        Category = "category",
        AuthorName = "author_name",
        AuthorUrl = "author_url",
        IsSystem = "is_system",
        IsLongRunning = "is_long_running",
        IsActive = "is_active",
        IsOperational = "is_operational",
        IsPaused = "is_paused",
        IconCode = "icon_code",
        JobTypeName = "job_type_name",
        IsBuiltin = "is_builtin",
        ShouldBeRetried = "should_be_retried",
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
