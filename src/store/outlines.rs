//! Reads the outlines of stored events: of each block only the columns that they need, date by date.
//!
//! `blocks` has the order of the columns, and reads whole events.

use std::ops::{Range, RangeInclusive};

use super::blocks::{FORM_BLOCK, MISSING, choice, named, next_id, start, sum_of_tasks, take_event_count, time};
use super::codec::{Corrupt, Reader, open};
use super::error::StoreError;
use super::keys::{BlockKey, date};
use super::location::BlockPrefix;
use super::reads::{first_key, scan, span};
use super::rows::Order;
use super::snapshot::Snapshot;
use crate::events::outline::{IngestTimes, Phases};
use crate::events::{EventKey, MAX_TASKS, Outline};
use crate::time::{Date, Timestamp};
use crate::vocabulary::{
    ChoiceId, DISTRIBUTIONS, EventKind, ExecutionStatus, IngestStatus, JobStatus, JobTime, TaskType,
};

/// How much of an outline is read. What is not read is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// All but observations.
    Ends,
    /// Also the observations of ingests, and those of executions that need no tasks.
    Times,
    /// All of it.
    Tasks,
}

/// Selects the events whose outlines are read.
#[derive(Debug, Clone)]
pub struct OutlineQuery<'a> {
    /// The UTC days on which they ended.
    pub dates: RangeInclusive<Date>,
    /// The first and the last of their kinds.
    pub kinds: RangeInclusive<EventKind>,
    /// Their job types or strikes, ascending; `None` for all.
    pub choices: Option<&'a [ChoiceId]>,
    /// How much of each is read.
    pub detail: Detail,
}

impl Snapshot {
    /// Returns those of some days that may have events, from the first to the last: of a few days all.
    pub fn days_with_events(&self, dates: RangeInclusive<Date>) -> Result<Option<RangeInclusive<Date>>, StoreError> {
        let (first, last) = dates.into_inner();
        let first = first.max(self.kept().events_from);
        if last < first || last.days() - first.days() < FEW_DAYS {
            return Ok((first <= last).then_some(first..=last));
        }
        let span = span(self.rows(), BlockKey::first_of(first.days())..BlockKey::first_of(last.days() + 1))?;
        let dates = span.map(|(first, last)| Ok(date(first.days)?..=date(last.days)?));
        dates.transpose()
    }

    /// Visits the outlines of some events by date, choice, kind and id. Calls `begin` with the number of events of a block before it is
    /// read, and stops when that fails.
    pub fn outlines<E: From<StoreError>>(
        &self,
        query: &OutlineQuery<'_>,
        mut begin: impl FnMut(usize) -> Result<(), E>,
        mut visit: impl FnMut(&Outline) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = OutlineReader::default();
        let mut read = |range: Range<BlockKey>| {
            scan(self.rows(), range, |key: BlockKey, block| {
                let prefix = BlockPrefix::of_block(key).map_err(StoreError::from)?;
                if query.kinds.contains(&prefix.kind) {
                    reader.read(prefix, block, query.detail, &mut begin, &mut visit)?;
                }
                Ok(())
            })
        };
        let (first, last) = (query.dates.start().days(), query.dates.end().days());
        let Some(choices) = query.choices else {
            return read(BlockKey::first_of(first)..BlockKey::first_of(last + 1));
        };
        let mut next = first;
        while let Some(days) = self.next_day(next, last)? {
            for choice in choices.iter().map(|choice| choice.get()) {
                let key = |kind| BlockKey { days, choice, kind, lower: 0 };
                read(key(*query.kinds.start() as u8)..key(*query.kinds.end() as u8 + 1))?;
            }
            next = days + 1;
        }
        Ok(())
    }

    /// Returns the next of some days that may have blocks. To find it takes as long as to look for the blocks of a choice, so of a few
    /// days, none is passed over.
    fn next_day(&self, next: u32, last: u32) -> Result<Option<u32>, StoreError> {
        if next > last || last - next < FEW_DAYS {
            return Ok((next <= last).then_some(next));
        }
        let blocks = BlockKey::first_of(next)..BlockKey::first_of(last + 1);
        Ok(first_key(self.rows(), blocks, Order::Ascending)?.map(|key| key.days))
    }
}

/// So many days are looked at one by one.
const FEW_DAYS: u32 = 62;

/// Reads the outlines of blocks one after the other, in the same memory.
#[derive(Default)]
struct OutlineReader {
    ids: Vec<Option<u64>>,
    status: Vec<Option<u64>>,
    ended: Vec<Option<u64>>,
    error: Vec<Option<u64>>,
    started: Vec<Option<u64>>,
    queued: Vec<Option<u64>>,
    tasks: Vec<Option<u64>>,
    task_type: Vec<Option<u64>>,
    task_started: Vec<Option<u64>>,
    task_ended: Vec<Option<u64>>,
    file_size: Vec<Option<u64>>,
    transfer_started: Vec<Option<u64>>,
    transfer_ended: Vec<Option<u64>>,
}

impl OutlineReader {
    /// Visits the outlines of a block, by id. Events without a partition have none.
    fn read<E: From<StoreError>>(
        &mut self,
        prefix: BlockPrefix,
        sealed: &[u8],
        detail: Detail,
        begin: &mut impl FnMut(usize) -> Result<(), E>,
        visit: &mut impl FnMut(&Outline) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((_, choice)) = prefix.location else { return Ok(()) };
        let corrupt = |error: Corrupt| E::from(StoreError::from(error));
        let mut read = Reader(open(FORM_BLOCK, sealed).map_err(corrupt)?);
        let count = take_event_count(&mut read).map_err(corrupt)?;
        begin(count)?;
        self.columns(&mut read, prefix.kind, count, detail).map_err(corrupt)?;
        let day = start(prefix.location);
        let (mut id, mut next_task) = (0, 0);
        for place in 0..count {
            let step = self.ids[place].ok_or_else(|| corrupt(MISSING))?;
            id = next_id(id, step).map_err(corrupt)?;
            let key = EventKey { kind: prefix.kind, id };
            let ended = time(day, self.ended[place]).map_err(corrupt)?;
            let outline = self.outline(place, key, choice, ended, detail, &mut next_task).map_err(corrupt)?;
            if let Some(outline) = outline {
                visit(&outline)?;
            }
        }
        Ok(())
    }

    /// Reads the columns of a block.
    fn columns(&mut self, read: &mut Reader<'_>, kind: EventKind, count: usize, detail: Detail) -> Result<(), Corrupt> {
        read.column_into(count, &mut self.ids)?;
        read.column_into(count, &mut self.status)?;
        match kind {
            EventKind::Job => {
                read.column_into(count, &mut self.ended)?;
                read.column_into(count, &mut self.error)
            }
            EventKind::JobExecution => {
                read.column_into(count, &mut self.ended)?;
                if detail == Detail::Ends {
                    read.skip_column(count)?;
                    read.skip_column(count)?;
                    return read.column_into(count, &mut self.error);
                }
                read.column_into(count, &mut self.started)?;
                read.column_into(count, &mut self.queued)?;
                read.column_into(count, &mut self.error)?;
                if detail == Detail::Times {
                    return Ok(());
                }
                // The time of the last change.
                read.skip_column(count)?;
                read.column_into(count, &mut self.tasks)?;
                let tasks = sum_of_tasks(&self.tasks, MAX_TASKS)?;
                read.column_into(tasks, &mut self.task_type)?;
                read.column_into(tasks, &mut self.task_started)?;
                read.column_into(tasks, &mut self.task_ended)
            }
            EventKind::Ingest => {
                read.column_into(count, &mut self.file_size)?;
                read.column_into(count, &mut self.ended)?;
                if detail == Detail::Ends {
                    return Ok(());
                }
                read.column_into(count, &mut self.started)?;
                read.column_into(count, &mut self.transfer_ended)?;
                read.column_into(count, &mut self.transfer_started)
            }
        }
    }

    /// The outline of the event at a place of the columns; `None` if it has not ended. `next_task` is the place of its first task, and
    /// then that of the next event's.
    fn outline(
        &self,
        place: usize,
        key: EventKey,
        choice_id: ChoiceId,
        ended: Option<Timestamp>,
        detail: Detail,
        next_task: &mut usize,
    ) -> Result<Option<Outline>, Corrupt> {
        let nothing = [None; DISTRIBUTIONS];
        let (status, error, observations) = match key.kind {
            EventKind::Job => {
                (named(JobStatus::ALL, self.status[place])?.final_status(), choice(self.error[place])?, nothing)
            }
            EventKind::JobExecution => {
                let mut observations = nothing;
                if detail > Detail::Ends {
                    observations = self.phases(place, ended, detail, next_task)?.observations();
                }
                if detail < Detail::Tasks {
                    observations[JobTime::Stage as usize] = None;
                }
                let status = named(ExecutionStatus::ALL, self.status[place])?.final_status();
                (status, choice(self.error[place])?, observations)
            }
            EventKind::Ingest => {
                let status = named(IngestStatus::ALL, self.status[place])?;
                let observations = if detail == Detail::Ends {
                    nothing
                } else {
                    self.ingest_times(place, ended)?.observations(status, self.file_size[place])
                };
                (status.final_status(), None, observations)
            }
        };
        let ends = status.zip(ended);
        Ok(ends.map(|(status, ended)| Outline { key, choice: choice_id, status, ended, error, observations }))
    }

    fn phases(
        &self,
        place: usize,
        ended: Option<Timestamp>,
        detail: Detail,
        next_task: &mut usize,
    ) -> Result<Phases, Corrupt> {
        let started = time(ended, self.started[place])?;
        let queued = time(started, self.queued[place])?;
        let mut phases = Phases { queued, started, ended, ..Phases::default() };
        if detail == Detail::Times {
            return Ok(phases);
        }
        let mut last = started;
        for _ in 0..self.tasks[place].ok_or(MISSING)? {
            let started = time(last, self.task_started[*next_task])?;
            let ended = time(started.or(last), self.task_ended[*next_task])?;
            phases.add(named(TaskType::ALL, self.task_type[*next_task])?, started, ended);
            last = ended.or(started).or(last);
            *next_task += 1;
        }
        Ok(phases)
    }

    fn ingest_times(&self, place: usize, ended: Option<Timestamp>) -> Result<IngestTimes, Corrupt> {
        let started = time(ended, self.started[place])?;
        let transfer_ended = time(started, self.transfer_ended[place])?;
        let transfer_started = time(transfer_ended, self.transfer_started[place])?;
        Ok(IngestTimes { transfer_started, transfer_ended, started, ended })
    }
}

/// The outlines of a block, for tests.
#[cfg(test)]
pub(super) fn outlines_of(prefix: BlockPrefix, sealed: &[u8], detail: Detail) -> Result<Vec<Outline>, StoreError> {
    let mut outlines = Vec::new();
    let mut visit = |outline: &Outline| {
        outlines.push(*outline);
        Ok::<_, StoreError>(())
    };
    OutlineReader::default().read(prefix, sealed, detail, &mut |_| Ok(()), &mut visit)?;
    Ok(outlines)
}
