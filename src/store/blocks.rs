//! Packed forms: blocks of events, pages of the index, rollups.
//!
//! A block holds events of one kind and one home, ordered by id, column by column. Times lean on each other: a task's
//! end on its start, its start on the task before, the queue on the start, so that most columns hold durations, which are
//! small. The names of the columns are the fields of the events.
//!
//! Not here: which rows these bytes stand in (`tables`), how numbers are packed (`codec`).

use std::collections::BTreeMap;

use super::codec::{Corrupt, Reader, open, put_column, put_varint, seal};
use crate::events::contribution::{COUNTERS, DISTRIBUTIONS};
use crate::events::{
    ChoiceId, Event, EventKind, ExecutionStatus, Ingest, IngestStatus, Job, JobExecution, JobStatus, MAX_ID, MAX_TASKS,
    Task, TaskType,
};
use crate::rollup::{Aggregate, Distribution, Rollup};
use crate::time::{Date, Timestamp};

const FORM_BLOCK: u8 = 1;
const FORM_INDEX_PAGE: u8 = 1;
const FORM_ROLLUP: u8 = 1;

/// The most events that a block holds.
const MAX_EVENTS: usize = 128;
/// The most tasks that the events of a block have together, unless it holds a single event.
const SHARED_TASKS: usize = 1 << 14;

const MISSING: Corrupt = Corrupt("a required number is missing");
const WRONG_TIME: Corrupt = Corrupt("a time is wrong");

/// Cuts events into runs that each fit into a block. A run that is too large for one is halved, so that later events find
/// room in both; if all that is new came `at_the_end`, as rising ids do, full blocks are left behind instead.
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

/// Packs events of one kind and home, which must be ordered by id.
pub(super) fn encode_events(events: &[&Event]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, events.len() as u128);
    let mut before = 0;
    let mut step = |event: &&Event| {
        let id = event.key().id;
        Some(id - std::mem::replace(&mut before, id))
    };
    put_column(&mut out, &events.iter().map(&mut step).collect::<Vec<_>>());
    let (mut jobs, mut executions, mut ingests) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Job(job) => jobs.push(job),
            Event::JobExecution(execution) => executions.push(execution),
            Event::Ingest(ingest) => ingests.push(ingest),
        }
    }
    debug_assert!([jobs.len(), executions.len(), ingests.len()].contains(&events.len()), "a block holds one kind");
    if !jobs.is_empty() {
        put_jobs(&mut out, &jobs);
    } else if !executions.is_empty() {
        put_executions(&mut out, &executions);
    } else if !ingests.is_empty() {
        put_ingests(&mut out, &ingests);
    }
    seal(FORM_BLOCK, &out)
}

/// Unpacks events of one kind.
pub(super) fn decode_events(kind: EventKind, sealed: &[u8]) -> Result<Vec<Event>, Corrupt> {
    let mut read = Reader(open(FORM_BLOCK, sealed)?);
    let count = usize::try_from(read.varint()?).unwrap_or(usize::MAX);
    if !(1..=MAX_EVENTS).contains(&count) {
        return Err(Corrupt("a block holds too many events, or none"));
    }
    let mut ids = read.full_column(count)?;
    let mut id = 0_u64;
    for step in &mut ids {
        let next = id.checked_add(*step).filter(|&next| next > id && next <= MAX_ID);
        id = next.ok_or(Corrupt("an event id is wrong"))?;
        *step = id;
    }
    let events = match kind {
        EventKind::Job => take_jobs(&mut read, &ids),
        EventKind::JobExecution => take_executions(&mut read, &ids),
        EventKind::Ingest => take_ingests(&mut read, &ids),
    }?;
    read.end()?;
    Ok(events)
}

fn put_jobs(out: &mut Vec<u8>, jobs: &[&Job]) {
    put(out, jobs, |job| Some(job.job_type.get()));
    put(out, jobs, |job| Some(job.status as u64));
    put(out, jobs, |job| distance(None, job.ended));
    put(out, jobs, |job| job.error.map(ChoiceId::get));
    put(out, jobs, |job| distance(job.ended, job.last_modified));
}

fn take_jobs(read: &mut Reader<'_>, ids: &[u64]) -> Result<Vec<Event>, Corrupt> {
    let [job_type, status, ended, error, last_modified] = take(read, ids.len())?;
    let job = |place: usize| {
        let ended = time(None, ended[place])?;
        Ok(Event::Job(Job {
            id: ids[place],
            job_type: choice(job_type[place])?.ok_or(MISSING)?,
            status: named(JobStatus::ALL, status[place])?,
            ended,
            error: choice(error[place])?,
            last_modified: time(ended, last_modified[place])?,
        }))
    };
    (0..ids.len()).map(job).collect()
}

fn put_executions(out: &mut Vec<u8>, executions: &[&JobExecution]) {
    put(out, executions, |execution| Some(execution.job_type.get()));
    put(out, executions, |execution| Some(execution.status as u64));
    put(out, executions, |execution| distance(None, execution.ended));
    put(out, executions, |execution| distance(execution.ended, execution.started));
    put(out, executions, |execution| distance(execution.started, execution.queued));
    put(out, executions, |execution| execution.error.map(ChoiceId::get));
    put(out, executions, |execution| distance(execution.ended, execution.last_modified));
    put(out, executions, |execution| Some(execution.tasks.len() as u64));
    // The tasks of all executions in one row, each leaning on the one before it.
    let mut before = Vec::new();
    for execution in executions {
        let mut last = execution.started;
        for task in &execution.tasks {
            before.push((last, task));
            last = task.ended.or(task.started).or(last);
        }
    }
    let tasks: Vec<_> = before.iter().collect();
    put(out, &tasks, |(_, task)| Some(task.task_type as u64));
    put(out, &tasks, |&(before, task)| distance(before, task.started));
    put(out, &tasks, |&(before, task)| distance(task.started.or(before), task.ended));
}

fn take_executions(read: &mut Reader<'_>, ids: &[u64]) -> Result<Vec<Event>, Corrupt> {
    let [job_type, status, ended, started, queued, error, last_modified, tasks] = take(read, ids.len())?;
    let mut task_count = 0_usize;
    for count in &tasks {
        let count = usize::try_from(count.ok_or(MISSING)?).unwrap_or(usize::MAX);
        task_count = task_count.checked_add(count).ok_or(MISSING)?;
    }
    if task_count > MAX_TASKS {
        return Err(Corrupt("an event has too many tasks"));
    }
    let [task_type, task_started, task_ended] = take(read, task_count)?;
    let mut next_task = 0..task_count;
    let execution = |place: usize| {
        let ended = time(None, ended[place])?;
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
            job_type: choice(job_type[place])?.ok_or(MISSING)?,
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

fn put_ingests(out: &mut Vec<u8>, ingests: &[&Ingest]) {
    put(out, ingests, |ingest| ingest.strike.map(ChoiceId::get));
    put(out, ingests, |ingest| Some(ingest.status as u64));
    put(out, ingests, |ingest| ingest.file_size);
    put(out, ingests, |ingest| distance(None, ingest.ingest_ended));
    put(out, ingests, |ingest| distance(ingest.ingest_ended, ingest.ingest_started));
    put(out, ingests, |ingest| distance(ingest.ingest_started, ingest.transfer_ended));
    put(out, ingests, |ingest| distance(ingest.transfer_ended, ingest.transfer_started));
    put(out, ingests, |ingest| distance(ingest.ingest_ended, ingest.last_modified));
}

fn take_ingests(read: &mut Reader<'_>, ids: &[u64]) -> Result<Vec<Event>, Corrupt> {
    let [strike, status, file_size, ended, started, transfer_ended, transfer_started, last_modified] =
        take(read, ids.len())?;
    let ingest = |place: usize| {
        let ingest_ended = time(None, ended[place])?;
        let ingest_started = time(ingest_ended, started[place])?;
        let transfer_ended = time(ingest_started, transfer_ended[place])?;
        Ok(Event::Ingest(Ingest {
            id: ids[place],
            strike: choice(strike[place])?,
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

/// Appends the column of one field.
fn put<T>(out: &mut Vec<u8>, rows: &[&T], field: impl Fn(&T) -> Option<u64>) {
    let column: Vec<_> = rows.iter().map(|row| field(row)).collect();
    put_column(out, &column);
}

/// Reads `N` columns of `count` numbers.
fn take<const N: usize>(read: &mut Reader<'_>, count: usize) -> Result<[Vec<Option<u64>>; N], Corrupt> {
    let mut columns = [const { Vec::new() }; N];
    for column in &mut columns {
        *column = read.column(count)?;
    }
    Ok(columns)
}

/// Microseconds from a time that is known before to this one, either way round.
fn distance(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<u64> {
    Some(to?.micros().wrapping_sub(from.map_or(0, Timestamp::micros)))
}

/// The time at that distance: the inverse of [`distance`].
fn time(from: Option<Timestamp>, distance: Option<u64>) -> Result<Option<Timestamp>, Corrupt> {
    let Some(distance) = distance else { return Ok(None) };
    let us = from.map_or(0, Timestamp::micros).wrapping_add(distance);
    Timestamp::from_micros(us).map(Some).ok_or(WRONG_TIME)
}

fn choice(id: Option<u64>) -> Result<Option<ChoiceId>, Corrupt> {
    id.map(|id| ChoiceId::new(id).ok_or(Corrupt("a choice id is wrong"))).transpose()
}

fn named<T: Copy>(all: &[T], place: Option<u64>) -> Result<T, Corrupt> {
    let place = place.and_then(|place| usize::try_from(place).ok()).ok_or(MISSING)?;
    all.get(place).copied().ok_or(Corrupt("a status or type is unknown"))
}

/// Where an event is kept: choice and date of its home, or `None` for the events that have none.
pub(super) type Place = Option<(ChoiceId, Date)>;

/// The events of one page of the index: the places of up to 256 neighbouring ids, by the id's lowest byte.
pub(super) type IndexPage = BTreeMap<u8, Place>;

/// Packs a page of the index.
pub(super) fn encode_index_page(page: &IndexPage) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, page.len() as u128);
    let rows: Vec<_> = page.iter().collect();
    let rows: Vec<_> = rows.iter().collect();
    put(&mut out, &rows, |&(&low, _)| Some(low.into()));
    put(&mut out, &rows, |&(_, place)| place.map(|(choice, _)| choice.get()));
    put(&mut out, &rows, |&(_, place)| place.map(|(_, date)| date.days().into()));
    seal(FORM_INDEX_PAGE, &out)
}

/// Unpacks a page of the index.
pub(super) fn decode_index_page(sealed: &[u8]) -> Result<IndexPage, Corrupt> {
    const WRONG: Corrupt = Corrupt("a page of the index is wrong");
    let mut read = Reader(open(FORM_INDEX_PAGE, sealed)?);
    let count = usize::try_from(read.varint()?).ok().filter(|&count| count <= 256).ok_or(WRONG)?;
    let low = read.full_column(count)?;
    let [choices, dates] = take(&mut read, count)?;
    read.end()?;
    let mut page = IndexPage::new();
    for place in 0..count {
        let low = u8::try_from(low[place]).map_err(|_| WRONG)?;
        let home = match (choice(choices[place])?, dates[place]) {
            (None, None) => None,
            (Some(choice), Some(days)) => {
                let date = u32::try_from(days).ok().and_then(Date::from_days).ok_or(WRONG_TIME)?;
                Some((choice, date))
            }
            _ => return Err(WRONG),
        };
        page.insert(low, home);
    }
    if page.len() == count { Ok(page) } else { Err(WRONG) }
}

/// Packs a rollup: which hours exist, the unit of its observations, the day's aggregate, then the hours' unless there is
/// only one. Reading a day stops before the hours.
pub(super) fn encode_rollup(rollup: &Rollup) -> Vec<u8> {
    let mut out = Vec::new();
    let hours = rollup.hours().fold(0_u32, |hours, (hour, _)| hours | 1 << hour);
    out.extend_from_slice(&hours.to_le_bytes()[..3]);
    let day = rollup.day();
    let fits = |unit: u64| {
        let distributions = rollup.hours().flat_map(|(_, aggregate)| &aggregate.distributions);
        distributions.into_iter().all(|distribution| {
            distribution.sum % u128::from(unit) == 0 && distribution.min % unit == 0 && distribution.max % unit == 0
        })
    };
    let place = (1..ROLLUP_UNITS.len()).rev().find(|&place| fits(ROLLUP_UNITS[place])).unwrap_or(0);
    out.push(u8::try_from(place).expect("there are three units"));
    put_aggregate(&mut out, &day, ROLLUP_UNITS[place]);
    if rollup.hours().len() > 1 {
        for (_, aggregate) in rollup.hours() {
            put_aggregate(&mut out, aggregate, ROLLUP_UNITS[place]);
        }
    }
    seal(FORM_ROLLUP, &out)
}

/// What the observations of a rollup may be counted in.
const ROLLUP_UNITS: [u64; 3] = [1, 1_000, 1_000_000];

/// Unpacks the day's aggregate of a rollup.
pub(super) fn decode_day(sealed: &[u8]) -> Result<Aggregate, Corrupt> {
    let mut read = RollupReader::open(sealed)?;
    read.aggregate()
}

/// Unpacks a rollup.
pub(super) fn decode_rollup(sealed: &[u8]) -> Result<Rollup, Corrupt> {
    let mut read = RollupReader::open(sealed)?;
    let day = read.aggregate()?;
    let hours: Vec<u8> = (0..24).filter(|hour| read.hours >> hour & 1 == 1).collect();
    let rollup = if let [hour] = hours[..] {
        Rollup::from_iter([(hour, day)])
    } else {
        hours.into_iter().map(|hour| Ok((hour, read.aggregate()?))).collect::<Result<_, Corrupt>>()?
    };
    read.read.end()?;
    Ok(rollup)
}

struct RollupReader<'a> {
    read: Reader<'a>,
    hours: u32,
    unit: u64,
}

impl<'a> RollupReader<'a> {
    fn open(sealed: &'a [u8]) -> Result<Self, Corrupt> {
        let mut read = Reader(open(FORM_ROLLUP, sealed)?);
        let hours = u32::from_le_bytes([read.byte()?, read.byte()?, read.byte()?, 0]);
        let unit = ROLLUP_UNITS.get(usize::from(read.byte()?)).copied();
        Ok(Self { read, hours, unit: unit.ok_or(Corrupt("a rollup has an unknown unit"))? })
    }

    fn aggregate(&mut self) -> Result<Aggregate, Corrupt> {
        let read = &mut self.read;
        let parts = read.varint()?;
        let mut aggregate = Aggregate { events: read.varint()?, ..Aggregate::default() };
        for (place, counter) in aggregate.counters.iter_mut().enumerate() {
            if parts >> place & 1 == 1 {
                *counter = read.varint()?;
            }
        }
        for (place, distribution) in aggregate.distributions.iter_mut().enumerate() {
            if parts >> (COUNTERS + place) & 1 == 1 {
                *distribution = take_distribution(read, self.unit)?;
            }
        }
        if parts >> ERRORS_BIT & 1 == 1 {
            let mut id = 0_u64;
            for _ in 0..read.varint()? {
                id = id.checked_add(read.varint()?).ok_or(MISSING)?;
                aggregate.errors.insert(choice(Some(id))?.ok_or(MISSING)?, read.varint()?);
            }
        }
        Ok(aggregate)
    }
}

/// The parts of an aggregate that are not empty are named by bits: counters, distributions, then the errors.
const ERRORS_BIT: usize = COUNTERS + DISTRIBUTIONS;

fn put_aggregate(out: &mut Vec<u8>, aggregate: &Aggregate, unit: u64) {
    let counters = aggregate.counters.iter().map(|&counter| counter > 0);
    let distributions = aggregate.distributions.iter().map(|distribution| distribution.n > 0);
    let parts = counters.chain(distributions).chain([!aggregate.errors.is_empty()]);
    let parts = parts.enumerate().fold(0_u128, |parts, (place, there)| parts | u128::from(there) << place);
    put_varint(out, parts);
    put_varint(out, aggregate.events.into());
    for &counter in aggregate.counters.iter().filter(|&&counter| counter > 0) {
        put_varint(out, counter.into());
    }
    for distribution in aggregate.distributions.iter().filter(|distribution| distribution.n > 0) {
        put_distribution(out, distribution, unit);
    }
    if !aggregate.errors.is_empty() {
        put_varint(out, aggregate.errors.len() as u128);
        let mut before = 0;
        for (error, &count) in &aggregate.errors {
            put_varint(out, (error.get() - std::mem::replace(&mut before, error.get())).into());
            put_varint(out, count.into());
        }
    }
}

/// A distribution that is not empty: n, smallest, and unless n is 1 how far the largest and the sum lie above it.
fn put_distribution(out: &mut Vec<u8>, distribution: &Distribution, unit: u64) {
    let &Distribution { n, sum, min, max } = distribution;
    put_varint(out, n.into());
    put_varint(out, (min / unit).into());
    if n > 1 {
        put_varint(out, ((max - min) / unit).into());
        put_varint(out, (sum - u128::from(n) * u128::from(min)) / u128::from(unit));
    }
}

fn take_distribution(read: &mut Reader<'_>, unit: u64) -> Result<Distribution, Corrupt> {
    const WRONG: Corrupt = Corrupt("a distribution is wrong");
    let n = read.varint()?;
    let min = read.varint()?.checked_mul(unit).ok_or(WRONG)?;
    if n == 1 {
        return Ok(Distribution { n, sum: min.into(), min, max: min });
    }
    let spread = read.varint()?.checked_mul(unit).ok_or(WRONG)?;
    let max = min.checked_add(spread).ok_or(WRONG)?;
    let above = read.varint_u128()?.checked_mul(unit.into()).ok_or(WRONG)?;
    let sum = (u128::from(n) * u128::from(min)).checked_add(above).ok_or(WRONG)?;
    Ok(Distribution { n, sum, min, max })
}
