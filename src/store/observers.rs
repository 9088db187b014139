//! Reads the observers of a rollup in small steps.
//!
//! The observers are what its extremes are taken from: the events of a partition, or the rollups of all choices on a date.
//!
//! A commit that lost an extreme reads here, in its transaction, until it finds the next one; for parked requests, the task reads
//! from a snapshot. Blocks are
//! unpacked one by one, and only those of the kind that has observations. So the memory does not grow with the size of the day.
//!
//! Not here: how the observers are used (`worker::extremes`).

use std::ops::{Bound, ControlFlow, RangeInclusive};

use super::blocks::decode_events;
use super::error::StoreError;
use super::keys::{BlockKey, DayKey, choice};
use super::location::BlockPrefix;
use super::reads::{floors, scan_until};
use super::rollup_rows::RollupRow;
use super::rows::Read;
use super::snapshot::Snapshot;
use super::transaction::Transaction;
use crate::events::Partition;
use crate::rollup::{Aggregate, Parts, Ranges, RollupKey, RollupScope, ranges_of};
use crate::time::Date;
use crate::vocabulary::{DISTRIBUTIONS, EventKind, MetricsTypeId};

/// The cost of reading a row, in the unit of [`ObserverRead::cost`]: about a microsecond.
const ROW_COST: usize = 1;
/// The cost of unpacking a block of events, in the same unit.
const BLOCK_COST: usize = 32;

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObserverRead {
    /// The last id up to which everything was read. If there are no more observers, it is the last id of the range.
    pub last: u64,
    /// The cost of the read, in microseconds, approximately.
    pub cost: usize,
}

/// A source of observers.
pub trait Observers {
    /// Visits the observers of a rollup within a range of ids, each with its hour, in the order of ids. The observers are all
    /// events of a partition, or the rollups of all choices; the id of such a rollup is that of its choice. Stops when the cost
    /// reaches `most_cost`, but always reads something.
    fn observers(
        &mut self,
        of: RollupKey,
        ids: RangeInclusive<u64>,
        most_cost: usize,
        visit: impl FnMut(u64, u8, &Ranges),
    ) -> Result<ObserverRead, StoreError>;
}

impl Observers for Transaction<'_> {
    fn observers(
        &mut self,
        of: RollupKey,
        ids: RangeInclusive<u64>,
        most_cost: usize,
        visit: impl FnMut(u64, u8, &Ranges),
    ) -> Result<ObserverRead, StoreError> {
        if of.scope == RollupScope::All {
            self.write_rollups()?;
        }
        read_observers(self.rows(), of, ids, most_cost, visit)
    }
}

impl Observers for &Snapshot {
    fn observers(
        &mut self,
        of: RollupKey,
        ids: RangeInclusive<u64>,
        most_cost: usize,
        visit: impl FnMut(u64, u8, &Ranges),
    ) -> Result<ObserverRead, StoreError> {
        read_observers(self.rows(), of, ids, most_cost, visit)
    }
}

fn read_observers(
    rows: &dyn Read,
    RollupKey { date, metrics, scope }: RollupKey,
    ids: RangeInclusive<u64>,
    most_cost: usize,
    visit: impl FnMut(u64, u8, &Ranges),
) -> Result<ObserverRead, StoreError> {
    match scope {
        RollupScope::Choice(choice) => read_events(rows, Partition { date, metrics, choice }, ids, most_cost, visit),
        RollupScope::All => read_rollups(rows, metrics, date, ids, most_cost, visit),
    }
}

/// Returns the kind of the events that have observations in a metrics type. Jobs and errors are only counted.
fn observing_kind(metrics: MetricsTypeId) -> Option<EventKind> {
    match metrics {
        MetricsTypeId::JobTypes => Some(EventKind::JobExecution),
        MetricsTypeId::Ingests => Some(EventKind::Ingest),
        MetricsTypeId::Errors => None,
    }
}

fn read_events(
    rows: &dyn Read,
    partition: Partition,
    ids: RangeInclusive<u64>,
    most_cost: usize,
    mut visit: impl FnMut(u64, u8, &Ranges),
) -> Result<ObserverRead, StoreError> {
    let (first, last) = ids.into_inner();
    let mut read = ObserverRead { last, cost: 0 };
    let Some(kind) = observing_kind(partition.metrics) else { return Ok(read) };
    let prefix = BlockPrefix { location: Some((partition.date, partition.choice)), kind };
    let mut visit_block = |BlockKey { lower, .. }: BlockKey, block: &[u8]| {
        if read.cost >= most_cost && lower > first {
            read.last = lower - 1;
            return Ok::<_, StoreError>(ControlFlow::Break(()));
        }
        for event in decode_events(prefix, block)? {
            let id = event.key().id;
            if (first..=last).contains(&id) {
                let contributions = event.contributions();
                for contribution in contributions.iter().flatten().filter(|it| it.partition == partition) {
                    visit(id, contribution.hour, &ranges_of(contribution));
                }
            }
        }
        read.cost += BLOCK_COST;
        Ok(ControlFlow::Continue(()))
    };
    // The block of the first id may begin before that id.
    floors(rows, &[prefix.floor(first)], |key, block| visit_block(key, block).map(|_| ()))?;
    scan_until(rows, (Bound::Excluded(prefix.block(first)), Bound::Included(prefix.block(last))), visit_block)?;
    Ok(read)
}

fn read_rollups(
    rows: &dyn Read,
    metrics: MetricsTypeId,
    date: Date,
    ids: RangeInclusive<u64>,
    most_cost: usize,
    mut visit: impl FnMut(u64, u8, &Ranges),
) -> Result<ObserverRead, StoreError> {
    let (first, last) = ids.into_inner();
    let mut read = ObserverRead { last, cost: 0 };
    let key = |choice, metrics| DayKey { days: date.days(), choice, metrics };
    let distributions = (0..DISTRIBUTIONS).map(Parts::distribution).fold(Parts::NONE, Parts::union);
    let mut aggregate = Aggregate::default();
    scan_until(rows, key(first, 0)..=key(last, u8::MAX), |key, row| {
        if key.metrics != metrics as u8 {
            return Ok::<_, StoreError>(ControlFlow::Continue(()));
        }
        let id = key.choice;
        if read.cost >= most_cost {
            read.last = id - 1;
            return Ok(ControlFlow::Break(()));
        }
        choice(id)?;
        let mut hours = RollupRow::open(row)?.hours()?;
        for hour in 0..24 {
            if hours.read(hour, distributions, &mut aggregate)? {
                visit(id, hour, &aggregate.ranges());
            }
        }
        read.cost += ROW_COST;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(read)
}
