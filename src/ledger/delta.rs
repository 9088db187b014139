//! What changed events do to the rollups of their partitions.

use std::iter::Peekable;
use std::vec::IntoIter;

use crate::events::{Contribution, Event, EventChange, Partition};
use crate::rollup::{LostExtremes, Rollup};

/// What is taken out of a rollup, and what is added to it.
#[derive(Debug, Default)]
pub struct RollupDelta {
    /// What the contributions add up to that go.
    pub removed: Rollup,
    /// What those add up to that come.
    pub added: Rollup,
    /// The id of an event that something was taken out with: what remains near it is likely to have the same extremes.
    pub near: u64,
}

impl RollupDelta {
    /// Adds what another delta takes out and adds.
    pub fn merge(&mut self, other: &Self) {
        self.removed.merge(&other.removed);
        self.added.merge(&other.added);
        self.near = self.near.max(other.near);
    }

    /// The rollup after this, and the hours in which extremes may have gone: their aggregates are wrong until these are found again.
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

/// One contribution that goes or comes.
#[derive(Debug, Clone, Copy)]
struct Move {
    /// Orders as the rollups of partitions are stored.
    order: u128,
    /// The place of the change.
    change: usize,
    is_added: bool,
    /// The place of the contribution among those of its event.
    place: usize,
}

/// What changes do to the rollup of each partition, in the order of date, choice and metrics type. The changes are in the
/// order of their partitions.
pub fn deltas<'c>(changes: &'c [EventChange<'c>]) -> impl Iterator<Item = (Partition, RollupDelta)> + 'c {
    // Nearly all moves are in the partition in which their event is kept, and so in order already.
    let (mut own, mut others) = (Vec::with_capacity(changes.len()), Vec::new());
    for (change, &EventChange { before, after, partition }) in changes.iter().enumerate() {
        let removed = before.map_or([None; 2], Event::contributions);
        let added = after.contributions();
        if removed == added {
            continue;
        }
        for (contributions, is_added) in [(&removed, false), (&added, true)] {
            for (place, contribution) in contributions.iter().enumerate() {
                if let Some(contribution) = contribution {
                    let is_own = partition == Some(contribution.partition);
                    let moves = if is_own { &mut own } else { &mut others };
                    moves.push(Move { order: order(contribution.partition), change, is_added, place });
                }
            }
        }
    }
    for moves in [&mut own, &mut others] {
        if !moves.is_sorted_by_key(|next| next.order) {
            moves.sort_by_key(|next| next.order);
        }
    }
    Deltas { changes, own: own.into_iter().peekable(), others: others.into_iter().peekable() }
}

struct Deltas<'c> {
    changes: &'c [EventChange<'c>],
    own: Peekable<IntoIter<Move>>,
    others: Peekable<IntoIter<Move>>,
}

impl Iterator for Deltas<'_> {
    type Item = (Partition, RollupDelta);

    fn next(&mut self) -> Option<Self::Item> {
        let order = [self.own.peek(), self.others.peek()].into_iter().flatten().map(|next| next.order).min()?;
        let (mut delta, mut partition) = (RollupDelta::default(), None);
        for moves in [&mut self.own, &mut self.others] {
            while let Some(next) = moves.next_if(|next| next.order == order) {
                let change = &self.changes[next.change];
                let contribution = next.contribution(change);
                partition = Some(contribution.partition);
                if next.is_added {
                    delta.added.hour_mut(contribution.hour).fold(&contribution);
                } else {
                    delta.removed.hour_mut(contribution.hour).fold(&contribution);
                    delta.near = change.after.key().id;
                }
            }
        }
        Some((partition.expect("there is a move of that order"), delta))
    }
}

impl Move {
    fn contribution(&self, change: &EventChange<'_>) -> Contribution {
        let event = if self.is_added { Some(change.after) } else { change.before };
        let contributions = event.expect("something goes only if something was stored").contributions();
        contributions[self.place].expect("it was there before")
    }
}

/// A number that orders partitions by date, choice and metrics type.
fn order(Partition { date, metrics, choice }: Partition) -> u128 {
    u128::from(date.days()) << 96 | u128::from(choice.get()) << 32 | u128::from(metrics as u8)
}
