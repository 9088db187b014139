//! Objects as clients write them: JSON in, valid [`Object`]s or the problems of each out (contract, section 3).
//!
//! Reading an object never stops at its first mistake. The text is read once into [`Fields`], one slot for each name that
//! any kind knows; then the kind takes the fields it has, each with its type. What is missing, of a wrong type, unknown
//! or given twice becomes a [`Problem`] of that object, and the objects behind it are read all the same. Only text that is
//! no JSON ends the reading.
//!
//! Not here: bodies and their encodings (`api::events`), whether the choices that an event names are known
//! ([`Known`](super::choice::Known)).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    Choice, ChoiceId, ErrorCategory, ErrorDefinition, Event, ExecutionStatus, Ingest, IngestStatus, Job, JobExecution,
    JobStatus, JobType, MAX_ID, MAX_TASKS, Object, Strike, Task, TaskType, named,
};
use crate::time::{TimeError, Timestamp};

/// Something that is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field that is wrong; `None` where the object as a whole is.
    pub field: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

/// What one object of a body turned out to be: valid, or its problems (at least one).
pub type Read = Result<Object, Vec<Problem>>;

/// The body is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// An `application/json` body; the position is in the text.
    #[error("the body is not JSON: {0}")]
    Body(String),
    /// A line of an `application/x-ndjson` body, counted from 1.
    #[error("line {line} is not JSON: {detail}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What the parser says, with the column.
        detail: String,
    },
}

/// Reads an `application/json` body: one object, or an array of them.
pub fn read_json(body: &[u8]) -> Result<Vec<Read>, NotJson> {
    let objects: Body = serde_json::from_slice(body).map_err(|error| NotJson::Body(error.to_string()))?;
    Ok(objects.0)
}

/// Reads an `application/x-ndjson` body: an object a line; blank lines are skipped.
pub fn read_ndjson(body: &[u8]) -> Result<Vec<Read>, NotJson> {
    let mut objects = Vec::new();
    for (place, line) in body.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let object: Line = serde_json::from_slice(line).map_err(|error| {
            // The parser counts lines within what it is given, which is a single one.
            let detail = error.to_string().replace(" at line 1 column ", " at column ");
            NotJson::Line { line: place + 1, detail }
        })?;
        objects.push(object.0);
    }
    Ok(objects)
}

named! {
    /// The kinds of objects.
    Kind {
        /// Defines a choice of `job-types`.
        JobType = "job_type",
        /// Defines a choice of `ingests`.
        Strike = "strike",
        /// Defines an error.
        Error = "error",
        /// An event.
        Job = "job",
        /// An event.
        JobExecution = "job_execution",
        /// An event.
        Ingest = "ingest",
    }
}

named! {
    /// Every name that a field of some kind has.
    Field {
        /// Says what the object is.
        Kind = "kind",
        /// What identifies it within its kind.
        Id = "id",
        /// A choice.
        JobType = "job_type",
        /// A choice.
        Strike = "strike",
        /// A choice.
        Error = "error",
        /// One of the kind's.
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
        /// A text, of an error one of three.
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
        /// Of a task.
        Type = "type",
    }
}

/// A JSON value as far as any field needs it. `null` is the same as absent.
#[derive(Debug, Clone)]
enum Value<'a> {
    Absent,
    Bool(bool),
    Integer(u64),
    Number(f64),
    Text(Cow<'a, str>),
    Array,
    Object,
    Tasks(Result<Vec<Task>, String>),
}

impl Value<'_> {
    /// Ends "must be …" with what was found instead.
    fn found(&self) -> String {
        match self {
            Self::Absent => "not null".to_owned(),
            Self::Bool(value) => format!("not {value}"),
            Self::Integer(value) => format!("not {value}"),
            Self::Number(value) => format!("not {value}"),
            Self::Text(text) if text.chars().count() > 40 => "not another text".to_owned(),
            Self::Text(text) => format!("not {:?}", text.as_ref()),
            Self::Array | Self::Tasks(_) => "not an array".to_owned(),
            Self::Object => "not an object".to_owned(),
        }
    }
}

/// What becomes of a JSON value, whatever its type is. By default arrays and objects are passed over.
trait Shape<'de>: Sized {
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

/// Reads any JSON value into its shape.
struct Any<S>(PhantomData<S>);

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

    #[expect(clippy::cast_precision_loss, reason = "a negative number is wrong everywhere; it is only shown")]
    fn visit_i64<E>(self, value: i64) -> Result<S, E> {
        Ok(S::value(u64::try_from(value).map_or(Value::Number(value as f64), Value::Integer)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<S, E> {
        Ok(S::value(Value::Number(value)))
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

macro_rules! read_as_shape {
    ($($shape:ident $(<$lifetime:lifetime>)?),*) => {$(
        impl<'de> Deserialize<'de> for $shape $(<$lifetime>)? {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Any(PhantomData))
            }
        }
    )*};
}
read_as_shape!(Value<'de>, Body, Line, Tasks, TaskRead);

impl<'de> Shape<'de> for Value<'de> {
    fn value(value: Self) -> Self {
        value
    }
}

/// The value of an `application/json` body.
struct Body(Vec<Read>);

impl<'de> Shape<'de> for Body {
    fn value(value: Value<'de>) -> Self {
        Self(vec![Line::value(value).0])
    }

    fn array<A: SeqAccess<'de>>(mut array: A) -> Result<Self, A::Error> {
        let mut objects = Vec::new();
        while let Some(Line(object)) = array.next_element()? {
            objects.push(object);
        }
        Ok(Self(objects))
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        Ok(Self(vec![Line::object(object)?.0]))
    }
}

/// The value where one object should stand.
struct Line(Read);

impl<'de> Shape<'de> for Line {
    fn value(value: Value<'de>) -> Self {
        Self(Err(vec![Problem { field: None, detail: format!("must be an object, {}", value.found()) }]))
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        Fields::read(object).map(|fields| Self(fields.into_object()))
    }
}

/// The value of `tasks`; the first mistake stands for all of them.
struct Tasks(Value<'static>);

impl<'de> Shape<'de> for Tasks {
    fn value(value: Value<'de>) -> Self {
        if matches!(value, Value::Absent) {
            return Self(Value::Absent);
        }
        Self(Value::Tasks(Err(format!("must be an array of tasks, {}", value.found()))))
    }

    fn array<A: SeqAccess<'de>>(mut array: A) -> Result<Self, A::Error> {
        let mut tasks = Ok(Vec::with_capacity(TaskType::ALL.len()));
        let mut place = 0;
        while let Some(TaskRead(task)) = array.next_element()? {
            match (&mut tasks, task) {
                (Ok(_), Ok(_)) if place == MAX_TASKS => tasks = Err(format!("must be at most {MAX_TASKS} tasks")),
                (Ok(tasks), Ok(task)) => tasks.push(task),
                (Ok(_), Err(detail)) => tasks = Err(format!("[{place}] {detail}")),
                (Err(_), _) => {}
            }
            place += 1;
        }
        Ok(Self(Value::Tasks(tasks)))
    }
}

/// The value where one task should stand, or what is wrong with it.
struct TaskRead(Result<Task, String>);

impl<'de> Shape<'de> for TaskRead {
    fn value(value: Value<'de>) -> Self {
        Self(Err(format!("must be an object with type, started and ended, {}", value.found())))
    }

    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut task_type = None;
        let mut times = [None; 2];
        let mut given = 0;
        let mut problem = None;
        while let Some(key) = object.next_key()? {
            let Key::Field(field @ (Field::Type | Field::Started | Field::Ended)) = key else {
                object.next_value::<IgnoredAny>()?;
                let name = match key {
                    Key::Field(field) => field.name().to_owned(),
                    Key::Unknown(name) => name,
                };
                problem.get_or_insert(format!("{name} is no field of a task"));
                continue;
            };
            let value: Value<'_> = object.next_value()?;
            let slot = usize::from(field == Field::Ended);
            let read = match (field, value) {
                _ if given & bit(field) != 0 => Err("is given twice".to_owned()),
                (_, Value::Absent) => Ok(()),
                (Field::Type, value) => TaskType::from_value(value).map(|value| task_type = Some(value)),
                (_, value) => Timestamp::from_value(value).map(|value| times[slot] = Some(value)),
            };
            given |= bit(field);
            if let Err(detail) = read {
                problem.get_or_insert(format!("{} {detail}", field.name()));
            }
        }
        let [started, ended] = times;
        Ok(Self(match (problem, task_type) {
            (Some(problem), _) => Err(problem),
            (None, None) => Err("type is required".to_owned()),
            (None, Some(task_type)) => Ok(Task { task_type, started, ended }),
        }))
    }
}

/// A key of an object: a field that some kind has, or a name that none has.
enum Key {
    Field(Field),
    Unknown(String),
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
                Ok(Field::from_name(name).map_or_else(|| Key::Unknown(name.to_owned()), Key::Field))
            }
        }

        deserializer.deserialize_str(AnyKey)
    }
}

/// The fields of one object, before its kind has looked at them.
struct Fields<'a> {
    values: [Value<'a>; Field::ALL.len()],
    /// Bit sets over the fields' places: which were given, which the kind has asked for.
    given: u64,
    asked: u64,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    fn read<'de: 'a, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let values = [const { Value::Absent }; Field::ALL.len()];
        let mut fields = Self { values, given: 0, asked: 0, problems: Vec::new() };
        while let Some(key) = object.next_key()? {
            match key {
                Key::Field(field) => {
                    let value =
                        if field == Field::Tasks { object.next_value::<Tasks>()?.0 } else { object.next_value()? };
                    if fields.given & bit(field) != 0 {
                        fields.problem(field, "is given twice");
                    }
                    fields.given |= bit(field);
                    fields.values[field as usize] = value;
                }
                Key::Unknown(name) => {
                    object.next_value::<IgnoredAny>()?;
                    fields.problems.push(Problem { field: Some(name), detail: "is no known field".to_owned() });
                }
            }
        }
        Ok(fields)
    }

    fn problem(&mut self, field: Field, detail: impl Into<String>) {
        self.problems.push(Problem { field: Some(field.name().to_owned()), detail: detail.into() });
    }

    /// The field's value; `None` if it was not given, or is wrong, which then is a problem.
    fn optional<T: FromValue>(&mut self, field: Field) -> Option<T> {
        self.asked |= bit(field);
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

    /// The same, where it is a problem too that the field was not given.
    fn required<T: FromValue>(&mut self, field: Field) -> Option<T> {
        if matches!(self.values[field as usize], Value::Absent) {
            self.asked |= bit(field);
            self.problem(field, "is required");
            return None;
        }
        self.optional(field)
    }

    /// The field's value: required if the status says so.
    fn required_if<T: FromValue>(&mut self, required: bool, field: Field) -> Option<T> {
        if required { self.required(field) } else { self.optional(field) }
    }

    fn flag(&mut self, field: Field, default: bool) -> bool {
        self.optional(field).unwrap_or(default)
    }

    fn into_object(mut self) -> Read {
        let kind = self.required(Field::Kind);
        let object = kind.and_then(|kind| match kind {
            Kind::JobType => self.job_type().map(|job_type| Object::Choice(Choice::JobType(job_type))),
            Kind::Strike => self.strike().map(|strike| Object::Choice(Choice::Strike(strike))),
            Kind::Error => self.error().map(|error| Object::Choice(Choice::Error(error))),
            Kind::Job => self.job().map(|job| Object::Event(Event::Job(job))),
            Kind::JobExecution => self.execution().map(|execution| Object::Event(Event::JobExecution(execution))),
            Kind::Ingest => self.ingest().map(|ingest| Object::Event(Event::Ingest(ingest))),
        });
        let foreign = self.given & !self.asked;
        if let Some(kind) = kind.filter(|_| foreign != 0) {
            for &field in Field::ALL.iter().filter(|&&field| foreign & bit(field) != 0) {
                self.problem(field, format!("is no field of kind {:?}", kind.name()));
            }
        }
        match object {
            Some(object) if self.problems.is_empty() => Ok(object),
            _ => Err(self.problems),
        }
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
        let id = self.required::<EventId>(Field::Id);
        let job_type = self.required(Field::JobType);
        let status = self.required(Field::Status);
        let has_ended = matches!(status, Some(JobStatus::Completed | JobStatus::Failed | JobStatus::Canceled));
        let ended = self.required_if(has_ended, Field::Ended);
        let error = self.optional(Field::Error);
        let last_modified = self.optional(Field::LastModified);
        Some(Job { id: id?.0, job_type: job_type?, status: status?, ended, error, last_modified })
    }

    fn execution(&mut self) -> Option<JobExecution> {
        let id = self.required::<EventId>(Field::Id);
        let job_type = self.required(Field::JobType);
        let status: Option<ExecutionStatus> = self.required(Field::Status);
        let queued = self.optional(Field::Queued);
        let started = self.optional(Field::Started);
        let ended = self.required_if(status.is_some_and(ExecutionStatus::is_final), Field::Ended);
        let error = self.optional(Field::Error);
        let tasks = self.optional(Field::Tasks).unwrap_or_default();
        let last_modified = self.optional(Field::LastModified);
        let (id, job_type, status) = (id?.0, job_type?, status?);
        Some(JobExecution { id, job_type, status, queued, started, ended, error, tasks, last_modified })
    }

    fn ingest(&mut self) -> Option<Ingest> {
        let id = self.required::<EventId>(Field::Id);
        let strike = self.optional(Field::Strike);
        let status = self.required(Field::Status);
        let has_ended = matches!(
            status,
            Some(IngestStatus::Deferred | IngestStatus::Ingested | IngestStatus::Errored | IngestStatus::Duplicate)
        );
        let file_size = self.optional(Field::FileSize);
        let transfer_started = self.optional(Field::TransferStarted);
        let transfer_ended = self.optional(Field::TransferEnded);
        let ingest_started = self.optional(Field::IngestStarted);
        let ingest_ended = self.required_if(has_ended, Field::IngestEnded);
        let last_modified = self.optional(Field::LastModified);
        Some(Ingest {
            id: id?.0,
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

fn bit(field: Field) -> u64 {
    1 << field as u32
}

/// A type that a field may have. The error completes "`field` …".
trait FromValue: Sized {
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

impl FromValue for ChoiceId {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        let id = if let Value::Integer(id) = value { Self::new(id) } else { None };
        id.ok_or_else(|| format!("must be an integer from 1 to {MAX_ID}, {}", value.found()))
    }
}

/// The id of an event.
struct EventId(u64);

impl FromValue for EventId {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        ChoiceId::from_value(value).map(|id| Self(id.get()))
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
one_of!(Kind, JobStatus, ExecutionStatus, IngestStatus, ErrorCategory, TaskType);
