//! Reading what the extremes of a rollup come from, a little at a time: the events of a partition, or the rollups of all
//! choices on a date.
//!
//! Whoever lost an extreme reads from here until it is found, within a write or from a snapshot. Blocks are unpacked one by
//! one, and only those of the kind that brings observations, so that memory does not grow with the day.
//!
//! Not here: what becomes of it (`worker::extremes`).

use std::ops::RangeInclusive;

use redb::ReadableTable;

use super::blocks::decode_events;
use super::rollup_rows::RollupRow;
use super::snapshot::Snapshot;
use super::tables::{self, BlockKey, DayKey};
use super::{Batch, Corrupt, StoreError};
use crate::catalog::MetricsTypeId;
use crate::events::contribution::DISTRIBUTIONS;
use crate::events::{ChoiceId, EventKind, Partition};
use crate::rollup::{Aggregate, Parts, Ranges, RollupKey, Scope, ranges_of};
use crate::time::Date;

/// What reading a row costs, in the unit of [`Read::cost`]: about a microsecond.
const ROW_COST: usize = 1;
/// What unpacking a block of events costs, in the same unit.
const BLOCK_COST: usize = 32;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The last id up to which everything was read: where there is nothing more, that of the range.
    pub last: u64,
    /// What it cost: about so many microseconds.
    pub cost: usize,
}

/// Where observers can be read from.
pub trait Observers {
    /// Visits the observers of a rollup within a range of ids, each with its hour, in the order of ids: those of all events of
    /// a partition, or the rollups of all choices, whose ids are those of the choices. Stops when it has cost so much, but reads
    /// something in any case.
    fn observers(
        &mut self,
        of: RollupKey,
        ids: RangeInclusive<u64>,
        most_cost: usize,
        visit: impl FnMut(u64, u8, &Ranges),
    ) -> Result<Read, StoreError>;
}

impl Observers for Batch<'_> {
    fn observers(
        &mut self,
        of: RollupKey,
        ids: RangeInclusive<u64>,
        most_cost: usize,
        visit: impl FnMut(u64, u8, &Ranges),
    ) -> Result<Read, StoreError> {
        match of.scope {
            Scope::Choice(choice) => {
                let partition = Partition { date: of.date, metrics: of.metrics, choice };
                events(self.events.stored_blocks(), partition, ids, most_cost, visit)
            }
            Scope::All => rows(self.rollups.stored_rows()?, of.metrics, of.date, ids, most_cost, visit),
        }
    }
}

impl Observers for &Snapshot {
    fn observers(
        &mut self,
        of: RollupKey,
        ids: RangeInclusive<u64>,
        most_cost: usize,
        visit: impl FnMut(u64, u8, &Ranges),
    ) -> Result<Read, StoreError> {
        self.guard().run(|| match of.scope {
            Scope::Choice(choice) => {
                let partition = Partition { date: of.date, metrics: of.metrics, choice };
                events(&self.table(tables::BLOCKS)?, partition, ids, most_cost, visit)
            }
            Scope::All => rows(&self.table(tables::ROLLUPS)?, of.metrics, of.date, ids, most_cost, visit),
        })
    }
}

/// The kind of the events that bring observations to partitions of a metrics type. Jobs and errors are only counted.
fn observing_kind(metrics: MetricsTypeId) -> Option<EventKind> {
    match metrics {
        MetricsTypeId::JobTypes => Some(EventKind::JobExecution),
        MetricsTypeId::Ingests => Some(EventKind::Ingest),
        MetricsTypeId::Errors => None,
    }
}

fn events(
    blocks: &impl ReadableTable<BlockKey, &'static [u8]>,
    partition: Partition,
    ids: RangeInclusive<u64>,
    most_cost: usize,
    mut visit: impl FnMut(u64, u8, &Ranges),
) -> Result<Read, StoreError> {
    let (first, last) = ids.into_inner();
    let mut read = Read { last, cost: 0 };
    let Some(kind) = observing_kind(partition.metrics) else { return Ok(read) };
    let key = |lower| BlockKey { days: partition.date.days(), choice: partition.choice.get(), kind: kind as u8, lower };
    // The block that the first id belongs into may begin before it.
    let begins =
        blocks.range(key(0)..=key(first))?.next_back().transpose()?.map_or(first, |(key, _)| key.value().lower);
    let place = Some((partition.date, partition.choice));
    for row in blocks.range(key(begins)..=key(last))? {
        let (key, block) = row?;
        let lower = key.value().lower;
        if read.cost >= most_cost && lower > first {
            read.last = lower - 1;
            return Ok(read);
        }
        for event in decode_events(place, kind, block.value())? {
            let id = event.key().id;
            if (first..=last).contains(&id) {
                let contributions = event.contributions();
                for contribution in contributions.iter().flatten().filter(|it| it.partition == partition) {
                    visit(id, contribution.hour, &ranges_of(contribution));
                }
            }
        }
        read.cost += BLOCK_COST;
    }
    Ok(read)
}

fn rows(
    rollups: &impl ReadableTable<DayKey, &'static [u8]>,
    metrics: MetricsTypeId,
    date: Date,
    ids: RangeInclusive<u64>,
    most_cost: usize,
    mut visit: impl FnMut(u64, u8, &Ranges),
) -> Result<Read, StoreError> {
    let (first, last) = ids.into_inner();
    let mut read = Read { last, cost: 0 };
    let key = |choice, metrics| DayKey { days: date.days(), choice, metrics };
    let distributions = (0..DISTRIBUTIONS).map(Parts::distribution).fold(Parts::NONE, Parts::and);
    let mut aggregate = Aggregate::default();
    for row in rollups.range(key(first, 0)..=key(last, u8::MAX))? {
        let (key, row) = row?;
        let DayKey { choice, metrics: found, .. } = key.value();
        if found != metrics as u8 {
            continue;
        }
        if read.cost >= most_cost {
            read.last = choice - 1;
            return Ok(read);
        }
        ChoiceId::new(choice).ok_or(Corrupt("a rollup has no choice"))?;
        let mut hours = RollupRow::open(row.value())?.hours()?;
        for hour in 0..24 {
            if hours.read(hour, distributions, &mut aggregate)? {
                visit(choice, hour, &aggregate.ranges());
            }
        }
        read.cost += ROW_COST;
    }
    Ok(read)
}
