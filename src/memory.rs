//! Memory that many requests share: who needs some asks before taking it, and waits or is refused where there is none.
//!
//! A [`Budget`] is what they share, a [`Lease`] the share of one of them. So memory is bounded by configuration, whatever
//! clients send or ask for.
//!
//! Two that hold a part of what they need and wait for each other would wait for ever. So where a budget has a turn
//! ([`Budget::with_turn`]), one at a time has it, in the order that they wait: it is counted apart from the others, gets all
//! that it asks for, and makes room in the end. The last of the room is for those that need little, so that they never wait
//! for large ones.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a request waits for room, in all: as long as a body may take to arrive by default, so that whoever has the turn is
/// done by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// A share that is no larger than this part of its budget is small.
const SMALL_PART: usize = 64;
/// How often who waits looks whether there is room.
const LOOK: Duration = Duration::from_millis(10);

/// Others hold too much memory already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all requests together hold as much memory as they may; try again")]
pub struct Full {
    /// How many bytes were to be held.
    pub wanted: usize,
}

/// The bytes that are shared. A clone is the same budget.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: usize,
    /// How much of it is for small shares only.
    for_small: usize,
    used: Arc<Mutex<Used>>,
    turn: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Used {
    /// By all that have no turn, in bytes.
    shared: usize,
    /// By the one that has it, in bytes.
    apart: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, for_small: 0, used: Arc::default(), turn: Arc::new(Semaphore::new(0)) }
    }

    /// A budget of so many bytes, a quarter of them for small shares only, and of what one more share needs.
    pub fn with_turn(limit: usize) -> Self {
        Self { limit, for_small: limit / 4, used: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// How many bytes there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many are held, by the one that has the turn as well.
    pub fn used(&self) -> usize {
        let used = self.used.lock();
        used.shared + used.apart
    }

    /// Whether there is room for a share of so many bytes beside those that are used.
    fn has_room(&self, used: &Used, bytes: usize) -> bool {
        let is_small = bytes <= self.limit / SMALL_PART;
        used.shared + bytes <= self.limit - if is_small { 0 } else { self.for_small }
    }

    /// A new share, empty so far.
    pub fn lease(&self) -> Lease {
        Lease { budget: self.clone(), bytes: 0, turn: None, patience: PATIENCE }
    }
}

/// The share of one request. It goes back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    bytes: usize,
    /// It is counted apart.
    turn: Option<OwnedSemaphorePermit>,
    /// How long it may still wait for room.
    patience: Duration,
}

impl Lease {
    /// Holds at least that many bytes from now on. Refused when there is neither room for them nor a turn.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        self.hold_with(bytes, None)
    }

    /// The same for who has waited for the turn, or not.
    fn hold_with(&mut self, bytes: usize, turn: Option<OwnedSemaphorePermit>) -> Result<(), Full> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let mut used = self.budget.used.lock();
        used.give_back(self);
        self.turn = self.turn.take().or(turn);
        let has_room = self.budget.has_room(&used, bytes);
        if !has_room && self.turn.is_none() {
            self.turn = Arc::clone(&self.budget.turn).try_acquire_owned().ok();
        }
        let is_held = has_room || self.turn.is_some();
        if is_held {
            self.bytes = bytes;
        }
        used.take(self);
        if is_held { Ok(()) } else { Err(Full { wanted: bytes }) }
    }

    /// Holds no more than that many bytes from now on. A turn is given back with what it was needed for.
    pub fn shrink(&mut self, bytes: usize) {
        let mut used = self.budget.used.lock();
        used.give_back(self);
        self.bytes = self.bytes.min(bytes);
        if self.budget.has_room(&used, self.bytes) {
            self.turn = None;
        }
        used.take(self);
    }

    /// As [`hold`](Self::hold), but waits for room, or for the turn; thirty seconds at most, all waits together.
    pub async fn hold_patiently(&mut self, bytes: usize) -> Result<(), Full> {
        if self.hold(bytes).is_ok() {
            return Ok(());
        }
        let began = Instant::now();
        // Who waits for the turn keeps its place.
        let mut turn = pin!(Arc::clone(&self.budget.turn).acquire_owned());
        let held = loop {
            let turn = timeout(LOOK, turn.as_mut()).await.ok().and_then(Result::ok);
            let held = self.hold_with(bytes, turn);
            if held.is_ok() || began.elapsed() >= self.patience {
                break held;
            }
        };
        self.patience = self.patience.saturating_sub(began.elapsed());
        held
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Used {
    /// Where a lease is counted.
    fn side(&mut self, lease: &Lease) -> &mut usize {
        if lease.turn.is_some() { &mut self.apart } else { &mut self.shared }
    }

    fn take(&mut self, lease: &Lease) {
        *self.side(lease) += lease.bytes;
    }

    fn give_back(&mut self, lease: &Lease) {
        *self.side(lease) -= lease.bytes;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.used.lock().give_back(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: fn(usize) -> Result<(), Full> = |wanted| Err(Full { wanted });

    #[test]
    fn requests_share_the_budget_and_give_it_back() {
        let budget = Budget::new(100);
        let [mut a, mut b] = [budget.lease(), budget.lease()];
        assert_eq!(a.hold(101), FULL(101));
        assert_eq!(a.hold(60), Ok(()));
        assert_eq!(b.hold(41), FULL(41));
        assert_eq!(b.bytes(), 0);
        assert_eq!(b.hold(40), Ok(()));
        assert_eq!(a.hold(61), FULL(61));
        assert_eq!((a.bytes(), budget.used()), (60, 100));
        assert_eq!(a.hold(10), Ok(()));
        assert_eq!(b.hold(41), FULL(41));
        a.shrink(10);
        assert_eq!(b.hold(90), Ok(()));
        a.shrink(20);
        assert_eq!((a.bytes(), budget.used()), (10, 100));
        drop(a);
        assert_eq!(b.hold(100), Ok(()));
        drop(b);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_at_a_time_is_counted_apart_from_the_others() {
        let budget = Budget::with_turn(100);
        let [mut large, mut other, mut third] = [budget.lease(), budget.lease(), budget.lease()];
        assert_eq!(large.hold(40), Ok(()));
        assert_eq!(other.hold(60), Ok(()), "it has the turn");
        assert_eq!(large.hold(76), FULL(76));
        assert_eq!(other.hold(1_000), Ok(()));
        assert_eq!(third.hold(35), Ok(()));
        assert_eq!(third.hold(36), FULL(36));
        assert_eq!(budget.used(), 1_075);
        // It still finds no room among the others, and then it does.
        other.shrink(10);
        assert_eq!(third.hold(36), FULL(36));
        drop(large);
        other.shrink(10);
        assert_eq!(third.hold(66), Ok(()), "the turn went on");
        assert_eq!(other.hold(75), Ok(()));
        assert_eq!(other.hold(76), FULL(76));
        drop((other, third));
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.lease().hold(1_000), Ok(()), "the turn is given back, too");
    }

    #[test]
    fn small_ones_find_room_where_large_ones_do_not() {
        let budget = Budget::with_turn(6_400);
        let [mut apart, mut large, mut small] = [budget.lease(), budget.lease(), budget.lease()];
        assert_eq!(apart.hold(6_401), Ok(()));
        assert_eq!(large.hold(4_800), Ok(()));
        assert_eq!(large.hold(4_801), FULL(4_801));
        let mut many: Vec<_> = (0..15).map(|_| budget.lease()).collect();
        for lease in &mut many {
            lease.hold(100).unwrap();
        }
        assert_eq!(small.hold(101), FULL(101));
        assert_eq!(small.hold(100), Ok(()));
        assert_eq!(budget.lease().hold(1), FULL(1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_turn_in_order_or_room_as_soon_as_there_is_any() {
        let budget = Budget::with_turn(100);
        let [mut first, mut second, mut third, mut other] = std::array::from_fn(|_| budget.lease());
        first.hold(1_000).unwrap();
        let (order, mut ended) = tokio::sync::mpsc::unbounded_channel();
        let said = order.clone();
        let wait = tokio::spawn(async move {
            second.hold_patiently(2_000).await.unwrap();
            said.send("second").unwrap();
            tokio::time::sleep(LOOK).await;
            drop(second);
        });
        tokio::time::sleep(LOOK).await;
        let said = order.clone();
        tokio::spawn(async move {
            third.hold_patiently(3_000).await.unwrap();
            said.send("third").unwrap();
        });
        tokio::time::sleep(LOOK).await;
        other.hold_patiently(75).await.unwrap();
        drop(first);
        assert_eq!(other.hold(76), FULL(76), "nobody overtakes those who wait");
        wait.await.unwrap();
        assert_eq!([ended.recv().await, ended.recv().await], [Some("second"), Some("third")]);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let budget = Budget::with_turn(100);
        let [mut first, mut second, mut third] = std::array::from_fn(|_| budget.lease());
        second.patience = LOOK;
        first.hold(1_000).unwrap();
        third.hold(75).unwrap();
        assert_eq!(second.hold_patiently(2).await, FULL(2));
        assert_eq!(second.patience, Duration::ZERO);
        drop(third);
        assert_eq!(second.hold_patiently(2).await, Ok(()));
    }
}
