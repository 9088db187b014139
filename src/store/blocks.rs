//! Blocks of events, stored by column.
//!
//! A block holds events of one kind and one location, ordered by id. Most times are stored as a distance from a related time: the
//! end of a task from its start, its start from the previous task, the queue time from the start. So most columns hold durations,
//! which are small. The functions `put_…` and `take_…` name the columns in the order in which they are stored.
//!
//! Not here: which rows these bytes stand in (`keys`), how numbers are packed (`codec`).

use super::codec::{Corrupt, Reader, Record, open, take};
use super::keys;
use super::location::{BlockPrefix, Location};
use crate::events::{Event, Ingest, Job, JobExecution, MAX_TASKS, Task};
use crate::time::Timestamp;
use crate::vocabulary::{ChoiceId, EventKind, ExecutionStatus, IngestStatus, JobStatus, MAX_ID, TaskType};

pub(super) const FORM_BLOCK: u8 = 1;

/// The largest number of events in a block.
pub(super) const MAX_EVENTS: usize = 128;
/// The largest number of events in a tail. A tail is the last block of a location, which is rewritten with every new event.
pub(super) const TAIL_EVENTS: usize = 16;
/// The largest number of tasks in a block with more than one event.
pub(super) const SHARED_TASKS: usize = 1 << 14;

pub(super) const MISSING: Corrupt = Corrupt("a required number is missing");
const WRONG_TIME: Corrupt = Corrupt("a time is wrong");

/// Cuts events into runs that each fit into a block. A run that is too large is halved, so that later events find room in both
/// halves. If all new events came `at_the_end`, as rising ids do, the function fills the blocks instead.
pub(super) fn cut_into_blocks<'a, 'e>(events: &'a [&'e Event], at_the_end: bool) -> Vec<&'a [&'e Event]> {
    if fits_block(events) {
        return vec![events];
    }
    let full = events.len().min(MAX_EVENTS);
    let middle = if at_the_end && full < events.len() && fits_block(&events[..full]) { full } else { events.len() / 2 };
    let (left, right) = events.split_at(middle);
    let mut blocks = cut_into_blocks(left, at_the_end);
    blocks.extend(cut_into_blocks(right, at_the_end));
    blocks
}

fn fits_block(events: &[&Event]) -> bool {
    let tasks = |event: &&Event| if let Event::JobExecution(execution) = event { execution.tasks.len() } else { 0 };
    events.len() <= 1 || (events.len() <= MAX_EVENTS && events.iter().map(tasks).sum::<usize>() <= SHARED_TASKS)
}

/// Packs events of one kind that are stored at `location`. They must be ordered by id.
pub(super) fn encode_events<'r>(record: &'r mut Record, location: Location, events: &[&Event]) -> &'r [u8] {
    record.start(FORM_BLOCK);
    record.varint(events.len() as u64);
    let mut before = 0;
    record.column(events, |event| {
        let id = event.key().id;
        Some(id - std::mem::replace(&mut before, id))
    });
    match events.first().map(|event| event.key().kind) {
        Some(EventKind::Job) => {
            let jobs = all(events, |event| if let Event::Job(job) = event { Some(job) } else { None });
            put_jobs(record, location, &jobs);
        }
        Some(EventKind::JobExecution) => {
            let executions =
                all(events, |event| if let Event::JobExecution(execution) = event { Some(execution) } else { None });
            put_executions(record, location, &executions);
        }
        Some(EventKind::Ingest) => {
            let ingests = all(events, |event| if let Event::Ingest(ingest) = event { Some(ingest) } else { None });
            put_ingests(record, location, &ingests);
        }
        None => {}
    }
    record.seal()
}

/// Returns the events of a block, which are of one kind, as values of the type of that kind.
fn all<'e, T>(events: &[&'e Event], of_kind: impl Fn(&'e Event) -> Option<&'e T>) -> Vec<&'e T> {
    let mut all = Vec::with_capacity(events.len());
    all.extend(events.iter().filter_map(|event| of_kind(event)));
    debug_assert_eq!(all.len(), events.len(), "a block holds one kind");
    all
}

/// Returns the number of events in a block, and the largest of their ids.
pub(super) fn count_and_last_id(sealed: &[u8]) -> Result<(usize, u64), Corrupt> {
    let ids = take_ids(&mut Reader(open(FORM_BLOCK, sealed)?))?;
    Ok((ids.len(), ids.last().copied().unwrap_or(0)))
}

/// Unpacks the events of a block with this prefix.
pub(super) fn decode_events(prefix: BlockPrefix, sealed: &[u8]) -> Result<Vec<Event>, Corrupt> {
    decode_events_within(MAX_TASKS, prefix, sealed)
}

/// Like [`decode_events`], with a limit for the tasks of a single event. Equal tasks take no bytes in the block, but they take
/// memory and time.
pub(super) fn decode_events_within(
    most_tasks: usize,
    BlockPrefix { location, kind }: BlockPrefix,
    sealed: &[u8],
) -> Result<Vec<Event>, Corrupt> {
    let mut read = Reader(open(FORM_BLOCK, sealed)?);
    let ids = take_ids(&mut read)?;
    let events = match kind {
        EventKind::Job => take_jobs(&mut read, location, &ids),
        EventKind::JobExecution => take_executions(&mut read, location, &ids, most_tasks),
        EventKind::Ingest => take_ingests(&mut read, location, &ids),
    }?;
    read.end()?;
    Ok(events)
}

/// Reads the number of events and their ids.
fn take_ids(read: &mut Reader<'_>) -> Result<Vec<u64>, Corrupt> {
    let count = take_event_count(read)?;
    let mut ids = read.full_column(count)?;
    let mut id = 0_u64;
    for step in &mut ids {
        id = next_id(id, *step)?;
        *step = id;
    }
    Ok(ids)
}

/// Reads the number of events.
pub(super) fn take_event_count(read: &mut Reader<'_>) -> Result<usize, Corrupt> {
    let count = usize::try_from(read.varint()?).unwrap_or(usize::MAX);
    if (1..=MAX_EVENTS).contains(&count) { Ok(count) } else { Err(Corrupt("a block holds too many events, or none")) }
}

/// Returns the id that follows another one at this distance.
pub(super) fn next_id(id: u64, step: u64) -> Result<u64, Corrupt> {
    let next = id.checked_add(step).filter(|&next| next > id && next <= MAX_ID);
    next.ok_or(Corrupt("an event id is wrong"))
}

/// Reads how many tasks each of some executions has. Returns their sum.
pub(super) fn sum_of_tasks(tasks: &[Option<u64>], most_tasks: usize) -> Result<usize, Corrupt> {
    let mut sum = 0_usize;
    for count in tasks {
        let count = usize::try_from(count.ok_or(MISSING)?).unwrap_or(usize::MAX);
        sum = sum.checked_add(count).ok_or(MISSING)?;
    }
    let most = if tasks.len() > 1 { SHARED_TASKS } else { most_tasks };
    if sum <= most { Ok(sum) } else { Err(Corrupt("the events of a block have too many tasks")) }
}

fn put_jobs(record: &mut Record, location: Location, jobs: &[&Job]) {
    put_choices(record, location, jobs, |job| Some(job.job_type));
    record.column(jobs, |job| Some(job.status as u64));
    record.column(jobs, |job| distance(start(location), job.ended));
    record.column(jobs, |job| job.error.map(ChoiceId::get));
    record.column(jobs, |job| distance(job.ended, job.last_modified));
}

fn take_jobs(read: &mut Reader<'_>, location: Location, ids: &[u64]) -> Result<Vec<Event>, Corrupt> {
    let job_type = take_choices(read, location, ids.len())?;
    let [status, ended, error, last_modified] = take(read, ids.len())?;
    let day = start(location);
    let job = |place: usize| {
        let ended = time(day, ended[place])?;
        Ok(Event::Job(Job {
            id: ids[place],
            job_type: job_type[place].ok_or(MISSING)?,
            status: named(JobStatus::ALL, status[place])?,
            ended,
            error: choice(error[place])?,
            last_modified: time(ended, last_modified[place])?,
        }))
    };
    (0..ids.len()).map(job).collect()
}

fn put_executions(record: &mut Record, location: Location, executions: &[&JobExecution]) {
    put_choices(record, location, executions, |execution| Some(execution.job_type));
    record.column(executions, |execution| Some(execution.status as u64));
    record.column(executions, |execution| distance(start(location), execution.ended));
    record.column(executions, |execution| distance(execution.ended, execution.started));
    record.column(executions, |execution| distance(execution.started, execution.queued));
    record.column(executions, |execution| execution.error.map(ChoiceId::get));
    record.column(executions, |execution| distance(execution.ended, execution.last_modified));
    record.column(executions, |execution| Some(execution.tasks.len() as u64));
    // All tasks of all executions are in one sequence. The first column of each task is relative to the task before it.
    let mut tasks = Vec::with_capacity(executions.iter().map(|execution| execution.tasks.len()).sum());
    for execution in executions {
        let mut last = execution.started;
        for task in &execution.tasks {
            tasks.push((last, task));
            last = task.ended.or(task.started).or(last);
        }
    }
    record.column(&tasks, |(_, task)| Some(task.task_type as u64));
    record.column(&tasks, |&(before, task)| distance(before, task.started));
    record.column(&tasks, |&(before, task)| distance(task.started.or(before), task.ended));
}

fn take_executions(
    read: &mut Reader<'_>,
    location: Location,
    ids: &[u64],
    most_tasks: usize,
) -> Result<Vec<Event>, Corrupt> {
    let job_type = take_choices(read, location, ids.len())?;
    let [status, ended, started, queued, error, last_modified, tasks] = take(read, ids.len())?;
    let day = start(location);
    let task_count = sum_of_tasks(&tasks, most_tasks)?;
    let [task_type, task_started, task_ended] = take(read, task_count)?;
    let mut next_task = 0..task_count;
    let execution = |place: usize| {
        let ended = time(day, ended[place])?;
        let started = time(ended, started[place])?;
        let mut last = started;
        let task = |place: usize| {
            let task_type = named(TaskType::ALL, task_type[place])?;
            let started = time(last, task_started[place])?;
            let ended = time(started.or(last), task_ended[place])?;
            last = ended.or(started).or(last);
            Ok(Task { task_type, started, ended })
        };
        let own_tasks = usize::try_from(tasks[place].ok_or(MISSING)?).map_err(|_| MISSING)?;
        Ok(Event::JobExecution(JobExecution {
            id: ids[place],
            job_type: job_type[place].ok_or(MISSING)?,
            status: named(ExecutionStatus::ALL, status[place])?,
            queued: time(started, queued[place])?,
            started,
            ended,
            error: choice(error[place])?,
            tasks: next_task.by_ref().take(own_tasks).map(task).collect::<Result<_, Corrupt>>()?,
            last_modified: time(ended, last_modified[place])?,
        }))
    };
    (0..ids.len()).map(execution).collect()
}

fn put_ingests(record: &mut Record, location: Location, ingests: &[&Ingest]) {
    put_choices(record, location, ingests, |ingest| ingest.strike);
    record.column(ingests, |ingest| Some(ingest.status as u64));
    record.column(ingests, |ingest| ingest.file_size);
    record.column(ingests, |ingest| distance(start(location), ingest.ingest_ended));
    record.column(ingests, |ingest| distance(ingest.ingest_ended, ingest.ingest_started));
    record.column(ingests, |ingest| distance(ingest.ingest_started, ingest.transfer_ended));
    record.column(ingests, |ingest| distance(ingest.transfer_ended, ingest.transfer_started));
    record.column(ingests, |ingest| distance(ingest.ingest_ended, ingest.last_modified));
}

fn take_ingests(read: &mut Reader<'_>, location: Location, ids: &[u64]) -> Result<Vec<Event>, Corrupt> {
    let strike = take_choices(read, location, ids.len())?;
    let [status, file_size, ended, started, transfer_ended, transfer_started, last_modified] = take(read, ids.len())?;
    let day = start(location);
    let ingest = |place: usize| {
        let ingest_ended = time(day, ended[place])?;
        let ingest_started = time(ingest_ended, started[place])?;
        let transfer_ended = time(ingest_started, transfer_ended[place])?;
        Ok(Event::Ingest(Ingest {
            id: ids[place],
            strike: strike[place],
            status: named(IngestStatus::ALL, status[place])?,
            file_size: file_size[place],
            transfer_started: time(transfer_ended, transfer_started[place])?,
            transfer_ended,
            ingest_started,
            ingest_ended,
            last_modified: time(ingest_ended, last_modified[place])?,
        }))
    };
    (0..ids.len()).map(ingest).collect()
}

/// Appends the choices of the events, unless the location contains the choice.
fn put_choices<T>(record: &mut Record, location: Location, rows: &[&T], field: impl Fn(&T) -> Option<ChoiceId>) {
    if location.is_none() {
        record.column(rows, |row| field(row).map(ChoiceId::get));
    }
}

/// Reads the choices of the events: the inverse of [`put_choices`].
fn take_choices(read: &mut Reader<'_>, location: Location, count: usize) -> Result<Vec<Option<ChoiceId>>, Corrupt> {
    match location {
        Some((_, choice)) => Ok(vec![Some(choice); count]),
        None => read.column(count)?.into_iter().map(choice).collect(),
    }
}

/// Returns the start of the day on which the events of a location end.
pub(super) fn start(location: Location) -> Option<Timestamp> {
    location.map(|(date, _)| date.start())
}

/// Returns the microseconds from a time that the reader knows already to another time. The distance may be negative.
fn distance(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<u64> {
    Some(to?.micros().wrapping_sub(from.map_or(0, Timestamp::micros)))
}

/// Returns the time at a distance from another one: the inverse of [`distance`].
pub(super) fn time(from: Option<Timestamp>, distance: Option<u64>) -> Result<Option<Timestamp>, Corrupt> {
    let Some(distance) = distance else { return Ok(None) };
    let us = from.map_or(0, Timestamp::micros).wrapping_add(distance);
    Timestamp::from_micros(us).map(Some).ok_or(WRONG_TIME)
}

/// Returns the choice with this number, if there is a number.
pub(super) fn choice(id: Option<u64>) -> Result<Option<ChoiceId>, Corrupt> {
    id.map(keys::choice).transpose()
}

pub(super) fn named<T: Copy>(all: &[T], place: Option<u64>) -> Result<T, Corrupt> {
    let place = place.and_then(|place| usize::try_from(place).ok()).ok_or(MISSING)?;
    all.get(place).copied().ok_or(Corrupt("a status or type is unknown"))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::store::outlines::{Detail, outlines_of};
    use crate::vocabulary::JobTime;

    /// Returns a record of this content, which may be invalid, with the right checksum.
    fn record_of(content: &[u8]) -> Vec<u8> {
        let mut record = Record::default();
        record.start(FORM_BLOCK);
        record.bytes(content);
        record.seal().to_vec()
    }

    fn any_time() -> impl Strategy<Value = Timestamp> {
        let day = 1_420_070_400_000_000_u64;
        let us = prop_oneof![
            0..=Timestamp::MAX.micros(),
            day..day + 86_400_000_000,
            (day / 1_000_000..day / 1_000_000 + 86_400).prop_map(|second| second * 1_000_000),
        ];
        us.prop_map(|us| Timestamp::from_micros(us).expect("in range"))
    }

    fn any_choice() -> impl Strategy<Value = ChoiceId> {
        prop_oneof![1..5_u64, 1..=MAX_ID].prop_map(|id| ChoiceId::new(id).expect("in range"))
    }

    fn any_event(kind: EventKind) -> impl Strategy<Value = Event> {
        let id = prop_oneof![1..500_u64, 1..=MAX_ID];
        let times = [(); 5].map(|()| option::of(any_time()));
        let task = (select(TaskType::ALL), option::of(any_time()), option::of(any_time()))
            .prop_map(|(task_type, started, ended)| Task { task_type, started, ended });
        let others = (option::of(any_choice()), option::of(any::<u64>()), vec(task, 0..6));
        (id, any_choice(), any::<Index>(), times, others).prop_map(
            move |(id, job_type, status, [first, second, started, ended, last_modified], (other, file_size, tasks))| {
                match kind {
                    EventKind::Job => {
                        let status = *status.get(JobStatus::ALL);
                        Event::Job(Job { id, job_type, status, ended, error: other, last_modified })
                    }
                    EventKind::JobExecution => Event::JobExecution(JobExecution {
                        id,
                        job_type,
                        status: *status.get(ExecutionStatus::ALL),
                        queued: first,
                        started,
                        ended,
                        error: other,
                        tasks,
                        last_modified,
                    }),
                    EventKind::Ingest => Event::Ingest(Ingest {
                        id,
                        strike: other,
                        status: *status.get(IngestStatus::ALL),
                        file_size,
                        transfer_started: first,
                        transfer_ended: second,
                        ingest_started: started,
                        ingest_ended: ended,
                        last_modified,
                    }),
                }
            },
        )
    }

    /// Returns events of one kind and location, ordered by id.
    fn any_events() -> impl Strategy<Value = (BlockPrefix, Vec<Event>)> {
        let location = option::of((any_time().prop_map(Timestamp::date), any_choice()));
        (location, select(EventKind::ALL)).prop_flat_map(|(location, kind)| {
            let events = vec(any_event(kind), 1..MAX_EVENTS).prop_map(move |mut events| {
                events.sort_by_key(Event::key);
                events.dedup_by_key(|event| event.key());
                for event in &mut events {
                    settle(event, location);
                }
                events
            });
            (Just(BlockPrefix { location, kind }), events)
        })
    }

    /// Sets the choice of an event to the one of its location.
    fn settle(event: &mut Event, location: Location) {
        let Some((_, choice)) = location else { return };
        match event {
            Event::Job(job) => job.job_type = choice,
            Event::JobExecution(execution) => execution.job_type = choice,
            Event::Ingest(ingest) => ingest.strike = Some(choice),
        }
    }

    proptest! {
        #[test]
        fn any_events_survive((prefix, events) in any_events()) {
            let mut record = Record::default();
            let sealed = encode_events(&mut record, prefix.location, &events.iter().collect::<Vec<_>>());
            let last = events.last().map_or(0, |event| event.key().id);
            prop_assert_eq!(count_and_last_id(sealed), Ok((events.len(), last)));
            prop_assert_eq!(decode_events(prefix, sealed), Ok(events));
        }

        #[test]
        fn outlines_are_read_as_they_are_of_the_events((prefix, events) in any_events()) {
            let mut record = Record::default();
            let sealed = encode_events(&mut record, prefix.location, &events.iter().collect::<Vec<_>>());
            for detail in [Detail::Ends, Detail::Times, Detail::Tasks] {
                let expected = events.iter().filter_map(|event| {
                    let mut outline = event.outline().filter(|_| prefix.location.is_some())?;
                    let is_read = |place: usize| match (detail, prefix.kind) {
                        (Detail::Tasks, _) | (Detail::Times, EventKind::Ingest) => true,
                        (Detail::Times, _) => [JobTime::Queue as usize, JobTime::Run as usize].contains(&place),
                        (Detail::Ends, _) => false,
                    };
                    for (place, observation) in outline.observations.iter_mut().enumerate() {
                        *observation = observation.filter(|_| is_read(place));
                    }
                    Some(outline)
                });
                let expected: Vec<_> = expected.collect();
                prop_assert_eq!(outlines_of(prefix, sealed, detail).expect("just sealed"), expected);
            }
        }

        #[test]
        fn any_bytes_are_events_or_an_error(
            content in vec(any::<u8>(), 0..200),
            changes in btree_map(0..4000_usize, any::<u8>(), 1..4),
            (prefix, events) in any_events(),
        ) {
            let _ = decode_events(prefix, &content);
            // The checksum is right, so that decoding reaches the damage.
            let _ = decode_events(prefix, &record_of(&content));
            let _ = outlines_of(prefix, &record_of(&content), Detail::Tasks);
            let mut record = Record::default();
            let sealed = encode_events(&mut record, prefix.location, &events.iter().collect::<Vec<_>>());
            let mut damaged = open(FORM_BLOCK, sealed).expect("just sealed").to_vec();
            for (place, byte) in changes {
                let place = place % damaged.len();
                damaged[place] = byte;
            }
            let _ = decode_events(prefix, &record_of(&damaged));
            let _ = outlines_of(prefix, &record_of(&damaged), Detail::Tasks);
            let _ = count_and_last_id(&record_of(&damaged));
        }

        #[test]
        fn cutting_keeps_every_event_in_order((_, events) in any_events(), at_the_end: bool, copies in 1..6_usize) {
            // The content of the events does not matter for cutting. The test needs more events than fit into a block.
            let events: Vec<_> = std::iter::repeat_n(&events, copies).flatten().collect();
            let blocks = cut_into_blocks(&events, at_the_end);
            prop_assert!(blocks.iter().all(|block| !block.is_empty() && block.len() <= MAX_EVENTS));
            prop_assert_eq!(blocks.concat(), events);
        }
    }

    #[test]
    fn only_a_single_event_may_have_more_tasks_than_events_share() {
        let execution = |id: u64, tasks: usize| {
            let task = Task { task_type: TaskType::Main, started: None, ended: None };
            Event::JobExecution(JobExecution {
                id,
                job_type: ChoiceId::new(1).expect("in range"),
                status: ExecutionStatus::Queued,
                queued: None,
                started: None,
                ended: None,
                error: None,
                tasks: vec![task; tasks],
                last_modified: None,
            })
        };
        for (events, may) in [
            (vec![execution(1, SHARED_TASKS + 1)], true),
            (vec![execution(1, SHARED_TASKS), execution(2, 0)], true),
            (vec![execution(1, SHARED_TASKS), execution(2, 1)], false),
        ] {
            let mut record = Record::default();
            let sealed = encode_events(&mut record, None, &events.iter().collect::<Vec<_>>());
            let prefix = BlockPrefix { location: None, kind: EventKind::JobExecution };
            assert_eq!(decode_events(prefix, sealed).is_ok(), may);
            assert_eq!(cut_into_blocks(&events.iter().collect::<Vec<_>>(), false).len() == 1, may);
        }
    }

    fn job(id: u64) -> Event {
        let job_type = ChoiceId::new(1).expect("in range");
        Event::Job(Job { id, job_type, status: JobStatus::Queued, ended: None, error: None, last_modified: None })
    }

    #[test]
    fn ids_that_do_not_rise_or_are_too_large_are_corrupt() {
        for (ids, may) in [
            (vec![1, 2], true),
            (vec![1, 1], false),
            (vec![MAX_ID - 1, MAX_ID], true),
            (vec![MAX_ID, MAX_ID], false),
            (vec![MAX_ID, MAX_ID + 1], false),
        ] {
            let events: Vec<_> = ids.iter().map(|&id| job(id)).collect();
            let mut record = Record::default();
            let sealed = encode_events(&mut record, None, &events.iter().collect::<Vec<_>>());
            let prefix = BlockPrefix { location: None, kind: EventKind::Job };
            assert_eq!(decode_events(prefix, sealed).is_ok(), may, "{ids:?}");
            assert_eq!(count_and_last_id(sealed).is_ok(), may, "{ids:?}");
        }
    }

    #[test]
    fn rising_ids_leave_full_blocks_behind() {
        let events: Vec<_> = (1..=300).map(job).collect();
        let events: Vec<_> = events.iter().collect();
        let lengths =
            |at_the_end| cut_into_blocks(&events, at_the_end).iter().map(|block| block.len()).collect::<Vec<_>>();
        assert_eq!(lengths(true), [128, 128, 44]);
        assert_eq!(lengths(false), [75, 75, 75, 75]);
    }

    /// The bytes of a block in the first format. If this test fails, the program can no longer read stored files: the change
    /// needs a new format.
    #[test]
    fn the_stored_form_of_a_block_stays() {
        let time = |second: u64| Timestamp::from_micros(1_420_070_400_000_000 + second * 1_000_000);
        let task = Task { task_type: TaskType::Main, started: time(30), ended: time(90) };
        let execution = |id, second| {
            Event::JobExecution(JobExecution {
                id,
                job_type: ChoiceId::new(3).expect("in range"),
                status: ExecutionStatus::Completed,
                queued: time(second),
                started: time(second + 10),
                ended: time(second + 100),
                error: None,
                tasks: vec![task],
                last_modified: None,
            })
        };
        let events = [execution(7, 0), execution(9, 60)];
        let location = time(0).map(|time| (time.date(), ChoiceId::new(3).expect("in range")));
        let mut record = Record::default();
        let bytes = encode_events(&mut record, location, &events.iter().collect::<Vec<_>>());
        assert_eq!(bytes, GOLDEN_BLOCK, "{bytes:#04x?}");
    }

    const GOLDEN_BLOCK: &[u8] = &[
        0x01, 0x02, 0x13, 0x04, 0x05, 0x01, 0x04, 0x29, 0xc8, 0x01, 0x00, 0x0f, 0x05, 0xb3, 0x01, 0x05, 0x13, 0x00,
        0x00, 0x01, 0x02, 0x01, 0x04, 0x29, 0x4f, 0x3c, 0x00, 0x05, 0x78, 0x4f, 0x9b, 0x8d, 0x85,
    ];
}
