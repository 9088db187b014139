//! Reads one object. Its fields are collected by name, then the kind takes the fields that it has.

use std::sync::Arc;

use serde::de::MapAccess;

use super::field::{Field, Key, bit};
use super::tasks::Tasks;
use super::types::FromValue;
use super::value::Value;
use super::{MAX_PROBLEMS, Problem, Read};
use crate::events::{Choice, ErrorDefinition, Event, EventKey, Ingest, Job, JobExecution, JobType, Object, Strike};
use crate::vocabulary::{ChoiceId, ExecutionStatus, IngestStatus, JobStatus, Kind};

/// How the keys and values of an object are read.
pub(super) trait FieldValue<'de> {
    /// The next key.
    fn key<A: MapAccess<'de>>(object: &mut A) -> Result<Option<Key>, A::Error>;
    /// The value of that key.
    fn read<A: MapAccess<'de>>(object: &mut A) -> Result<Value<'de>, A::Error>;
    /// The value of the key `tasks`.
    fn tasks<A: MapAccess<'de>>(object: &mut A) -> Result<Value<'de>, A::Error>;
}

/// Reads keys and values as the parser returns them.
pub(super) struct Parsed;

impl<'de> FieldValue<'de> for Parsed {
    fn key<A: MapAccess<'de>>(object: &mut A) -> Result<Option<Key>, A::Error> {
        object.next_key()
    }

    fn read<A: MapAccess<'de>>(object: &mut A) -> Result<Value<'de>, A::Error> {
        object.next_value()
    }

    fn tasks<A: MapAccess<'de>>(object: &mut A) -> Result<Value<'de>, A::Error> {
        Ok(object.next_value::<Tasks>()?.0)
    }
}

/// The fields of one object, before the kind takes them.
pub(super) struct Fields<'a> {
    values: [Value<'a>; Field::ALL.len()],
    /// The bits of the fields that were given, `null` or not.
    given: u64,
    /// The bits of the fields that the kind has not taken.
    untouched: u64,
    problems: Vec<Problem>,
}

/// The parser rounded a number of the object, so the object must be read as it is written ([`super::exact`]).
pub(super) struct IsRounded;

/// What objects stand for.
pub(super) trait Meaning {
    /// Builds what an object stands for from its fields, if possible. Mistakes are recorded as problems.
    fn object(fields: &mut Fields<'_>) -> Option<Object>;
}

/// Objects are definitions, and states of events.
pub(super) struct Stated;

impl Meaning for Stated {
    fn object(fields: &mut Fields<'_>) -> Option<Object> {
        fields.object()
    }
}

/// Objects are keys of events which are to be deleted.
pub(super) struct Named;

impl Meaning for Named {
    fn object(fields: &mut Fields<'_>) -> Option<Object> {
        let kind = fields.required(Field::Kind);
        let id = fields.required::<ChoiceId>(Field::Id);
        fields.refuse_untouched("is no field of a key; kind and id are");
        Some(Object::Deletion(EventKey { kind: kind?, id: id?.get() }))
    }
}

/// Reads an object to its end. Returns the valid object or its problems.
pub(super) fn read_object<'de, A: MapAccess<'de>, V: FieldValue<'de>, M: Meaning>(
    mut object: A,
) -> Result<Result<Read, IsRounded>, A::Error> {
    let values = [const { Value::Absent }; Field::ALL.len()];
    let mut fields = Fields { values, given: 0, untouched: 0, problems: Vec::new() };
    let mut is_rounded = false;
    while let Some(key) = V::key(&mut object)? {
        match key {
            Key::Field(field) => {
                if fields.given & bit(field) != 0 {
                    fields.problem(field, "is given twice");
                }
                fields.given |= bit(field);
                let value = if field == Field::Tasks { V::tasks(&mut object)? } else { V::read(&mut object)? };
                is_rounded |= matches!(value, Value::Rounded);
                fields.values[field as usize] = value;
            }
            Key::Unknown(name) => {
                if !matches!(V::read(&mut object)?, Value::Absent) {
                    fields.tell(Some(name), "is no known field".to_owned());
                }
            }
            Key::NoText => {
                V::read(&mut object)?;
                fields.tell(None, "has a name with a lone surrogate (\\ud800 to \\udfff)".to_owned());
            }
        }
    }
    if is_rounded {
        return Ok(Err(IsRounded));
    }
    fields.untouched = fields.given;
    let object = M::object(&mut fields);
    Ok(Ok(match object {
        Some(object) if fields.problems.is_empty() => Ok(object),
        _ => Err(fields.problems),
    }))
}

impl Fields<'_> {
    fn problem(&mut self, field: Field, detail: impl Into<String>) {
        self.tell(Some(field.name().to_owned()), detail.into());
    }

    fn tell(&mut self, field: Option<String>, detail: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { field, detail });
        }
    }

    /// The value of a field. `None` if it was not given, or if it is invalid, which is recorded as a problem.
    fn optional<T: FromValue>(&mut self, field: Field) -> Option<T> {
        self.untouched &= !bit(field);
        let value = std::mem::replace(&mut self.values[field as usize], Value::Absent);
        if matches!(value, Value::Absent) {
            return None;
        }
        match T::from_value(value) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.problem(field, detail);
                None
            }
        }
    }

    /// Like `optional`, but a missing field is a problem, too.
    fn required<T: FromValue>(&mut self, field: Field) -> Option<T> {
        if matches!(self.values[field as usize], Value::Absent) {
            self.problem(field, "is required");
            return None;
        }
        self.optional(field)
    }

    /// The value of a field. A missing field is a problem if `required` is set.
    fn required_if<T: FromValue>(&mut self, required: bool, field: Field) -> Option<T> {
        if required { self.required(field) } else { self.optional(field) }
    }

    fn flag(&mut self, field: Field, default: bool) -> bool {
        self.optional(field).unwrap_or(default)
    }

    /// Records a problem of each field that was given and not taken.
    fn refuse_untouched(&mut self, detail: &str) {
        while let Some(&field) = Field::ALL.get(self.untouched.trailing_zeros() as usize) {
            self.untouched &= !bit(field);
            if !matches!(self.values[field as usize], Value::Absent) {
                self.problem(field, detail);
            }
        }
    }

    /// Builds the object from its fields, if possible. Mistakes are recorded as problems.
    fn object(&mut self) -> Option<Object> {
        let kind = self.required(Field::Kind);
        let object = kind.and_then(|kind| match kind {
            Kind::JobType => self.job_type().map(|job_type| Object::Choice(Choice::JobType(Arc::new(job_type)))),
            Kind::Strike => self.strike().map(|strike| Object::Choice(Choice::Strike(Arc::new(strike)))),
            Kind::Error => self.error().map(|error| Object::Choice(Choice::Error(Arc::new(error)))),
            Kind::Job => self.job().map(|job| Object::Event(Event::Job(job))),
            Kind::JobExecution => self.execution().map(|execution| Object::Event(Event::JobExecution(execution))),
            Kind::Ingest => self.ingest().map(|ingest| Object::Event(Event::Ingest(ingest))),
        });
        if let Some(kind) = kind {
            self.refuse_untouched(&format!("is no field of kind {:?}", kind.name()));
        }
        object
    }

    fn job_type(&mut self) -> Option<JobType> {
        let id = self.required(Field::Id);
        let name: Option<String> = self.required(Field::Name);
        let version = self.required(Field::Version);
        let title = self.optional(Field::Title).or_else(|| name.clone());
        let description = self.optional(Field::Description);
        let category = self.optional(Field::Category);
        let author_name = self.optional(Field::AuthorName);
        let author_url = self.optional(Field::AuthorUrl);
        let is_system = self.flag(Field::IsSystem, false);
        let is_long_running = self.flag(Field::IsLongRunning, false);
        let is_active = self.flag(Field::IsActive, true);
        let is_operational = self.flag(Field::IsOperational, true);
        let is_paused = self.flag(Field::IsPaused, false);
        let icon_code = self.optional(Field::IconCode);
        Some(JobType {
            id: id?,
            name: name?,
            version: version?,
            title: title?,
            description,
            category,
            author_name,
            author_url,
            is_system,
            is_long_running,
            is_active,
            is_operational,
            is_paused,
            icon_code,
        })
    }

    fn strike(&mut self) -> Option<Strike> {
        let id = self.required(Field::Id);
        let name: Option<String> = self.required(Field::Name);
        let title = self.optional(Field::Title).or_else(|| name.clone());
        let description = self.optional(Field::Description);
        Some(Strike { id: id?, name: name?, title: title?, description })
    }

    fn error(&mut self) -> Option<ErrorDefinition> {
        let id = self.required(Field::Id);
        let name: Option<String> = self.required(Field::Name);
        let category = self.required(Field::Category);
        let title = self.optional(Field::Title).or_else(|| name.clone());
        let description = self.optional(Field::Description);
        let job_type_name = self.optional(Field::JobTypeName);
        let is_builtin = self.flag(Field::IsBuiltin, false);
        let should_be_retried = self.flag(Field::ShouldBeRetried, false);
        Some(ErrorDefinition {
            id: id?,
            name: name?,
            title: title?,
            description,
            job_type_name,
            category: category?,
            is_builtin,
            should_be_retried,
        })
    }

    fn job(&mut self) -> Option<Job> {
        let id = self.required::<ChoiceId>(Field::Id);
        let job_type = self.required(Field::JobType);
        let status: Option<JobStatus> = self.required(Field::Status);
        let ended = self.required_if(status.is_some_and(JobStatus::is_final), Field::Ended);
        let error = self.optional(Field::Error);
        let last_modified = self.optional(Field::LastModified);
        Some(Job { id: id?.get(), job_type: job_type?, status: status?, ended, error, last_modified })
    }

    fn execution(&mut self) -> Option<JobExecution> {
        let id = self.required::<ChoiceId>(Field::Id);
        let job_type = self.required(Field::JobType);
        let status: Option<ExecutionStatus> = self.required(Field::Status);
        let queued = self.optional(Field::Queued);
        let started = self.optional(Field::Started);
        let ended = self.required_if(status.is_some_and(ExecutionStatus::is_final), Field::Ended);
        let error = self.optional(Field::Error);
        let tasks = self.optional(Field::Tasks).unwrap_or_default();
        let last_modified = self.optional(Field::LastModified);
        let (id, job_type, status) = (id?.get(), job_type?, status?);
        Some(JobExecution { id, job_type, status, queued, started, ended, error, tasks, last_modified })
    }

    fn ingest(&mut self) -> Option<Ingest> {
        let id = self.required::<ChoiceId>(Field::Id);
        let strike = self.optional(Field::Strike);
        let status: Option<IngestStatus> = self.required(Field::Status);
        let file_size = self.optional(Field::FileSize);
        let transfer_started = self.optional(Field::TransferStarted);
        let transfer_ended = self.optional(Field::TransferEnded);
        let ingest_started = self.optional(Field::IngestStarted);
        let ingest_ended = self.required_if(status.is_some_and(IngestStatus::is_final), Field::IngestEnded);
        let last_modified = self.optional(Field::LastModified);
        Some(Ingest {
            id: id?.get(),
            strike,
            status: status?,
            file_size,
            transfer_started,
            transfer_ended,
            ingest_started,
            ingest_ended,
            last_modified,
        })
    }
}
