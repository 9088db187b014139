//! Parked requests: they wait until enough is read to commit them quickly.
//!
//! A request that removes an extreme from a heavy day needs many observers (the events or rollups that an extreme is taken
//! from) to be read before its commit. The task parks it, reads in slices between the commits of other requests, and then tries
//! it again. The request is not acknowledged yet, so it may take effect after requests that came later. The rejected
//! alternative is a thread that reads a snapshot meanwhile: it would have to catch up with all later commits. Here, every
//! commit updates the data that was read, so that it stays exact.
//!
//! No stream of other requests can keep a parked request waiting for ever. A rollup whose observers were read for it costs
//! nothing at its next attempt, so no rollup parks it twice. After it was parked [`MOST_ATTEMPTS`] times, it is committed at
//! any cost.
//!
//! Not here: reading and caching (`extremes`), the needs of each request (`commit`).

use std::collections::{BTreeSet, VecDeque};

use super::Request;
use super::extremes::{ExtremesCache, ReadAllowance};
use crate::rollup::RollupKey;
use crate::store::{Observers, StoreError};

/// How often a request is parked. Once is enough unless other requests change what it needs: another rollup may have lost its
/// extreme since.
pub(super) const MOST_ATTEMPTS: u32 = 3;

/// A request on its way to a commit.
#[derive(Debug)]
pub(super) struct Pending {
    /// The request.
    pub(super) request: Request,
    /// The position in the order in which requests came.
    number: u64,
    /// The rollups whose observers were read for this request.
    read: BTreeSet<RollupKey>,
    /// How often this request was parked.
    attempts: u32,
}

/// The parked requests, in the order in which the task reads for them.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: VecDeque<Waiting>,
    /// The number of the next request.
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    pending: Pending,
    /// The rollups whose observers are yet to be read for this request. Reading takes the last one first, from the id `from` on.
    wanted: Vec<RollupKey>,
    from: u64,
}

impl Parked {
    /// Gives a new request its number.
    pub(super) fn admit(&mut self, request: Request) -> Pending {
        self.next += 1;
        Pending { request, number: self.next, read: BTreeSet::new(), attempts: 0 }
    }

    /// Parks a request until the observers of these rollups are read.
    pub(super) fn park(&mut self, mut pending: Pending, wanted: BTreeSet<RollupKey>) {
        pending.attempts += 1;
        self.waiting.push_back(Waiting { pending, wanted: wanted.into_iter().collect(), from: 0 });
    }

    /// Whether no request is parked.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Reads for the first request, up to a cost. Returns the requests that can be tried again, in the order in which they came:
    /// the first one, once all its observers are read, and all others that need nothing else.
    pub(super) fn read(
        &mut self,
        extremes: &mut ExtremesCache,
        observers: &mut impl Observers,
        most_cost: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        let Some(first) = self.waiting.front_mut() else { return Ok(Vec::new()) };
        let mut left = most_cost;
        while let Some(&key) = first.wanted.last() {
            if left == 0 {
                return Ok(Vec::new());
            }
            if let Some(next) = extremes.read(observers, key, first.from, &mut left)? {
                first.from = next;
            } else {
                first.wanted.pop();
                first.from = 0;
                first.pending.read.insert(key);
            }
        }
        let read = first.pending.read.clone();
        let is_ready = |waiting: &Waiting| waiting.wanted.iter().all(|key| read.contains(key));
        let (ready, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(is_ready);
        self.waiting = waiting.into();
        let mut ready: Vec<_> = ready
            .into_iter()
            .map(|Waiting { mut pending, wanted, .. }| {
                pending.read.extend(wanted);
                pending
            })
            .collect();
        ready.sort_unstable_by_key(|pending| pending.number);
        Ok(ready)
    }

    /// Removes the first request and returns it.
    pub(super) fn take_first(&mut self) -> Option<Pending> {
        self.waiting.pop_front().map(|waiting| waiting.pending)
    }
}

/// The read allowance of a commit of these requests: a base cost, and an addition for each event that the commit replaces.
pub(super) fn allowance(pending: &[Pending], commit_cost: usize, replace_cost: usize) -> ReadAllowance {
    if pending.iter().any(|pending| pending.attempts >= MOST_ATTEMPTS) {
        return ReadAllowance::unlimited();
    }
    ReadAllowance::new(
        commit_cost,
        replace_cost,
        pending.iter().flat_map(|pending| pending.read.iter().copied()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use tokio::sync::oneshot;

    use super::*;
    use crate::memory::Budget as Memory;
    use crate::rollup::{Ranges, RollupScope};
    use crate::store::ObserverRead;
    use crate::time::Date;
    use crate::vocabulary::MetricsTypeId;
    use crate::worker::extremes::Limits;

    /// Observers of any rollup: that many, each with a cost of 1 and without observations.
    struct Many(u64);

    impl Observers for Many {
        fn observers(
            &mut self,
            _: RollupKey,
            ids: RangeInclusive<u64>,
            most_cost: usize,
            _: impl FnMut(u64, u8, &Ranges),
        ) -> Result<ObserverRead, StoreError> {
            let (first, last) = ids.into_inner();
            let end = first.saturating_add(most_cost as u64);
            if end < self.0 {
                Ok(ObserverRead { last: end - 1, cost: most_cost })
            } else {
                Ok(ObserverRead { last, cost: usize::try_from(self.0.saturating_sub(first)).unwrap() })
            }
        }
    }

    fn key(days: u32) -> RollupKey {
        RollupKey { date: Date::from_days(days).unwrap(), metrics: MetricsTypeId::JobTypes, scope: RollupScope::All }
    }

    fn request() -> Request {
        let (reply, _) = oneshot::channel();
        Request { objects: Vec::new(), lease: Memory::with_overdraft(0).lease(), reply }
    }

    #[test]
    fn a_request_is_read_for_in_slices_and_then_tried_with_all_that_need_the_same() {
        let mut extremes = ExtremesCache::new(Limits { zone_cost: 5, ..Limits::default() });
        let mut parked = Parked::default();
        let [first, second, third] = [(); 3].map(|()| parked.admit(request()));
        parked.park(second, [key(1), key(2)].into());
        parked.park(third, [key(3)].into());
        parked.park(first, [key(2)].into());
        let mut slices = 0;
        let ready = loop {
            slices += 1;
            let ready = parked.read(&mut extremes, &mut Many(100), 20).unwrap();
            if !ready.is_empty() {
                break ready;
            }
        };
        assert_eq!(slices, 10, "twice 100, 20 at a time");
        assert_eq!(ready.iter().map(|pending| pending.number).collect::<Vec<_>>(), [1, 2]);
        assert!(!parked.is_empty());
        let third = parked.take_first().expect("it was not ready");
        assert_eq!((third.number, parked.is_empty()), (3, true));
    }

    #[test]
    fn a_request_is_not_set_aside_for_ever() {
        let mut parked = Parked::default();
        let mut extremes = ExtremesCache::default();
        let mut pending = parked.admit(request());
        let is_unlimited = |pending: &Pending| {
            let allowance = allowance(std::slice::from_ref(pending), 0, 0);
            allowance.allows(key(77))
        };
        for attempt in 0..MOST_ATTEMPTS {
            assert!(!is_unlimited(&pending), "attempt {attempt}");
            parked.park(pending, [key(attempt)].into());
            pending = parked.read(&mut extremes, &mut Many(1), 100).unwrap().pop().expect("it is ready");
            let allowance = allowance(std::slice::from_ref(&pending), 0, 0);
            assert!((0..=attempt).all(|read| allowance.allows(key(read))), "what was read once is free");
        }
        assert!(is_unlimited(&pending));
    }
}
