//! What changed events do to the rollups of their partitions.

use std::iter::Peekable;
use std::slice::Iter;
use std::vec::IntoIter;

use crate::events::{Contribution, Event, EventChange, Partition};
use crate::rollup::{LostExtremes, Rollup};

/// What is taken out of a rollup, and what is added to it.
#[derive(Debug, Default)]
pub struct RollupDelta {
    /// The sum of the contributions that are removed.
    pub removed: Rollup,
    /// The sum of the contributions that are added.
    pub added: Rollup,
    /// The id of a removed event. Observations of events with neighbouring ids are likely to have the same extremes.
    pub near: u64,
}

impl RollupDelta {
    fn remove(&mut self, contribution: &Contribution, id: u64) {
        self.removed.hour_mut(contribution.hour).fold(contribution);
        self.near = id;
    }

    fn add(&mut self, contribution: &Contribution) {
        self.added.hour_mut(contribution.hour).fold(contribution);
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// Adds another delta of the same rollup.
    pub fn merge(&mut self, other: &Self) {
        self.removed.merge(&other.removed);
        self.added.merge(&other.added);
        self.near = self.near.max(other.near);
    }

    /// Returns the changed rollup and the hours that may have lost extremes. The caller has to find these again.
    pub fn apply_to(self, stored: Option<Rollup>) -> (Rollup, Vec<(u8, LostExtremes)>) {
        if stored.is_none() && self.removed.is_empty() {
            return (self.added, Vec::new());
        }
        let mut rollup = stored.unwrap_or_default();
        let lost = rollup.apply(&self.removed, &self.added);
        (rollup, lost)
    }

    /// A bit for each hour that changes.
    pub fn hour_bits(&self) -> u32 {
        self.removed.hour_bits() | self.added.hour_bits()
    }
}

/// What changes do to the rollup of each partition. Read once, in the order of [`Self::partitions`].
#[derive(Debug)]
pub struct Deltas<'c> {
    /// Nearly all contributions are to the partition in which their event is kept, and so in order already.
    own: Peekable<Iter<'c, EventChange<'c>>>,
    elsewhere: Peekable<IntoIter<Move>>,
}

impl<'c> Deltas<'c> {
    /// What these changes do, which are in the order of their partitions.
    pub fn new(changes: &'c [EventChange<'c>]) -> Self {
        let mut elsewhere = Vec::new();
        for change in changes {
            let mut add = |contribution: Option<Contribution>, is_added| {
                elsewhere.extend(contribution.map(|contribution| Move { contribution, id: change.key.id, is_added }));
            };
            let removed = change.before.and_then(Event::error_contribution);
            let added = change.after.and_then(Event::error_contribution);
            if removed != added {
                add(removed, false);
                add(added, true);
            }
            if !is_kept_in_place(change) {
                add(change.before.and_then(Event::own_contribution), false);
            }
        }
        elsewhere.sort_by_key(|moved| order(moved.contribution.partition));
        // Events without a partition come first, and count nowhere.
        let own = &changes[changes.partition_point(|change| change.partition.is_none())..];
        Self { own: own.iter().peekable(), elsewhere: elsewhere.into_iter().peekable() }
    }

    /// The partitions of which something may change, in the order of date, choice and metrics type.
    pub fn partitions(&self) -> Vec<Partition> {
        let own = self.own.clone().filter_map(|change| change.partition);
        let elsewhere = self.elsewhere.clone().map(|moved| moved.contribution.partition);
        let mut partitions: Vec<_> = own.chain(elsewhere).collect();
        partitions.dedup();
        partitions.sort_by_key(|partition| order(*partition));
        partitions.dedup();
        partitions
    }

    /// What the changes do to the next partition; empty if that is nothing.
    pub fn next_of(&mut self, partition: Partition) -> RollupDelta {
        let mut delta = RollupDelta::default();
        while let Some(change) = self.own.next_if(|change| change.partition == Some(partition)) {
            let before = change.before.filter(|_| is_kept_in_place(change));
            let own = |event: Option<&Event>| event.and_then(Event::own_contribution);
            let (removed, added) = (own(before), own(change.after));
            if removed != added {
                if let Some(removed) = &removed {
                    delta.remove(removed, change.key.id);
                }
                if let Some(added) = &added {
                    delta.add(added);
                }
            }
        }
        while let Some(moved) = self.elsewhere.next_if(|moved| moved.contribution.partition == partition) {
            if moved.is_added {
                delta.add(&moved.contribution);
            } else {
                delta.remove(&moved.contribution, moved.id);
            }
        }
        delta
    }
}

/// A contribution to another partition than the one that its event is kept in from now on.
#[derive(Debug, Clone, Copy)]
struct Move {
    contribution: Contribution,
    /// The event's id.
    id: u64,
    is_added: bool,
}

/// Whether an event is kept in the same partition as before.
fn is_kept_in_place(change: &EventChange<'_>) -> bool {
    change.before.is_none_or(|before| before.partition() == change.partition)
}

/// A number that orders partitions by date, choice and metrics type.
fn order(Partition { date, metrics, choice }: Partition) -> u128 {
    u128::from(date.days()) << 96 | u128::from(choice.get()) << 32 | u128::from(metrics as u8)
}
