//! Writes objects for exports: each as one line of NDJSON, which reads back as the same object.
//!
//! Fields of an event that have no value are omitted.

use serde::{Serialize, Serializer};

use crate::events::choice::{Choices, ErrorDefinition, JobType, Strike};
use crate::events::{Event, Ingest, Job, JobExecution, Task};
use crate::time::Timestamp;
use crate::vocabulary::ChoiceId;

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    JobType(&'a JobType),
    Strike(&'a Strike),
    Error(&'a ErrorDefinition),
    Job(JobView),
    JobExecution(ExecutionView<'a>),
    Ingest(IngestView),
}

#[derive(Serialize)]
struct JobView {
    id: u64,
    job_type: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<Time>,
}

#[derive(Serialize)]
struct ExecutionView<'a> {
    id: u64,
    job_type: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<u64>,
    #[serde(skip_serializing_if = "<[Task]>::is_empty", serialize_with = "tasks")]
    tasks: &'a [Task],
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<Time>,
}

#[derive(Serialize)]
struct TaskView {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Time>,
}

#[derive(Serialize)]
struct IngestView {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    strike: Option<u64>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_started: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_ended: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_started: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_ended: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<Time>,
}

/// A time that is written as text.
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn tasks<S: Serializer>(tasks: &&[Task], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tasks.iter().map(|task| TaskView {
        r#type: task.task_type.name(),
        started: task.started.map(Time),
        ended: task.ended.map(Time),
    }))
}

/// Appends a line for each definition, and returns the number of lines.
pub fn write_choices(out: &mut Vec<u8>, choices: &Choices) -> u64 {
    let Choices { job_types, strikes, errors, .. } = choices;
    let job_types_out = job_types.values().map(|job_type| Line::JobType(job_type));
    let strikes_out = strikes.values().map(|strike| Line::Strike(strike));
    for line in job_types_out.chain(strikes_out).chain(errors.values().map(|error| Line::Error(error))) {
        write(out, &line);
    }
    (job_types.len() + strikes.len() + errors.len()) as u64
}

/// Appends the line of an event.
pub fn write_event(out: &mut Vec<u8>, event: &Event) {
    let line = match event {
        Event::Job(Job { id, job_type, status, ended, error, last_modified }) => Line::Job(JobView {
            id: *id,
            job_type: job_type.get(),
            status: status.name(),
            ended: ended.map(Time),
            error: error.map(ChoiceId::get),
            last_modified: last_modified.map(Time),
        }),
        Event::JobExecution(it) => {
            let JobExecution { id, job_type, status, queued, started, ended, error, tasks, last_modified } = it;
            Line::JobExecution(ExecutionView {
                id: *id,
                job_type: job_type.get(),
                status: status.name(),
                queued: queued.map(Time),
                started: started.map(Time),
                ended: ended.map(Time),
                error: error.map(ChoiceId::get),
                tasks,
                last_modified: last_modified.map(Time),
            })
        }
        Event::Ingest(it) => {
            let Ingest { id, strike, status, file_size, transfer_started, transfer_ended, .. } = it;
            Line::Ingest(IngestView {
                id: *id,
                strike: strike.map(ChoiceId::get),
                status: status.name(),
                file_size: *file_size,
                transfer_started: transfer_started.map(Time),
                transfer_ended: transfer_ended.map(Time),
                ingest_started: it.ingest_started.map(Time),
                ingest_ended: it.ingest_ended.map(Time),
                last_modified: it.last_modified.map(Time),
            })
        }
    };
    write(out, &line);
}

fn write(out: &mut Vec<u8>, line: &Line<'_>) {
    serde_json::to_writer(&mut *out, line).expect("lines have texts for keys, and a vector takes all that is written");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::request::Draft;
    use crate::events::{Choices, Object};

    const FULL: &str = r#"
{"kind":"job_type","id":1,"name":"a \"quoted\" name\n","version":"1","title":"ü","description":null,"category":"c","author_name":"d","author_url":"e","is_system":true,"is_long_running":true,"is_active":false,"is_operational":false,"is_paused":true,"icon_code":"f"}
{"kind":"strike","id":9007199254740991,"name":"a","title":"b","description":"c"}
{"kind":"error","id":2,"name":"a","title":"b","description":"c","job_type_name":"d","category":"ALGORITHM","is_builtin":true,"should_be_retried":true}
{"kind":"job","id":1,"job_type":1,"status":"PENDING"}
{"kind":"job","id":2,"job_type":1,"status":"FAILED","ended":"1970-01-01T00:00:00Z","error":2,"last_modified":"9999-12-31T23:59:59.999999Z"}
{"kind":"job_execution","id":1,"job_type":1,"status":"QUEUED"}
{"kind":"job_execution","id":2,"job_type":1,"status":"COMPLETED","queued":"2015-01-01T00:00:00Z","started":"2015-01-01T00:00:00.000001Z","ended":"2016-02-29T12:34:56.789Z","error":2,"tasks":[{"type":"pull"},{"type":"main","started":"2015-01-01T00:00:00Z","ended":"2015-01-01T00:00:01Z"}],"last_modified":"2015-01-01T00:00:00Z"}
{"kind":"ingest","id":1,"status":"TRANSFERRING"}
{"kind":"ingest","id":2,"strike":9007199254740991,"status":"INGESTED","file_size":18446744073709551615,"transfer_started":"2015-01-01T00:00:00Z","transfer_ended":"2015-01-01T00:00:01Z","ingest_started":"2015-01-01T00:00:02Z","ingest_ended":"2015-01-01T00:00:03Z","last_modified":"2015-01-01T00:00:04Z"}
"#;

    fn read(lines: &[u8]) -> Vec<Object> {
        let mut draft = Draft::default();
        draft.read_ndjson(lines).unwrap();
        draft.finish().unwrap()
    }

    #[test]
    fn every_field_of_every_kind_is_written_as_it_is_read() {
        let objects = read(FULL.as_bytes());
        let (mut choices, mut events) = (Choices::default(), Vec::new());
        for object in &objects {
            match object {
                Object::Choice(choice) => choices.define(choice.as_ref().clone()),
                Object::Event(event) => write_event(&mut events, event),
            }
        }
        let mut written = Vec::new();
        assert_eq!(write_choices(&mut written, &choices), 3);
        written.extend(events);
        assert_eq!(read(&written), objects);
        let written = String::from_utf8(written).unwrap();
        let as_written = FULL.trim_start().replace("56.789Z", "56.789000Z");
        assert_eq!(written, as_written);
    }
}
