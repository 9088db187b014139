//! Memory that many requests share.
//!
//! A [`Budget`] bounds it; a [`Lease`] is the part that one request holds. A request asks before it takes memory, and waits or is
//! refused if there is none. So configuration bounds the memory of all requests together.
//!
//! If two requests each hold a part of what they need, both could wait for ever. The overdraft prevents that. Where a budget has
//! one ([`Budget::with_overdraft`]), one lease at a time may exceed the limit: it gets everything that it
//! asks for, is counted apart from the others, and returns what it held when it is dropped. Requests get the overdraft in the
//! order in which they wait. A part of the budget is reserved for small leases, so that these never wait for large ones.
//!
//! The rejected alternative is to reserve the largest possible body for every request: a handful of requests would fill the
//! budget.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a request waits for room, in all: as long as a body may take to arrive by default, so that the request with the
/// overdraft is done by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// A lease is small up to 1/`SMALL_PART` of its budget.
const SMALL_PART: usize = 64;
/// How often a waiting request looks for room.
const LOOK: Duration = Duration::from_millis(10);

/// Other requests hold too much memory already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all requests together hold as much memory as they may; try again")]
pub struct Full {
    /// How many bytes were to be held.
    pub wanted: usize,
}

/// The bytes that leases share. A clone is the same budget.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: usize,
    /// How much of it is reserved for small leases.
    for_small: usize,
    used: Arc<Mutex<Used>>,
    /// One permit, or none if the budget has no overdraft.
    overdraft: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Used {
    /// By all leases without the overdraft, in bytes.
    shared: usize,
    /// By the lease with the overdraft, in bytes.
    overdrawn: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, for_small: 0, used: Arc::default(), overdraft: Arc::new(Semaphore::new(0)) }
    }

    /// A budget of so many bytes, a quarter of them reserved for small leases, with an overdraft for one lease at a time.
    pub fn with_overdraft(limit: usize) -> Self {
        Self { limit, for_small: limit / 4, used: Arc::default(), overdraft: Arc::new(Semaphore::new(1)) }
    }

    /// How many bytes there are, without the overdraft.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes are held, the overdraft included.
    pub fn used(&self) -> usize {
        let used = self.used.lock();
        used.shared + used.overdrawn
    }

    /// Whether there is room for a lease of so many bytes beside those that are used.
    fn has_room(&self, used: &Used, bytes: usize) -> bool {
        let is_small = bytes <= self.limit / SMALL_PART;
        used.shared + bytes <= self.limit - if is_small { 0 } else { self.for_small }
    }

    /// A new lease, empty so far.
    pub fn lease(&self) -> Lease {
        Lease { budget: self.clone(), bytes: 0, overdraft: None, patience: PATIENCE }
    }
}

/// What one request holds of a budget. It is given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    bytes: usize,
    /// The right to exceed the limit, while this lease has it.
    overdraft: Option<OwnedSemaphorePermit>,
    /// How long it may still wait for room.
    patience: Duration,
}

impl Lease {
    /// Holds at least that many bytes from now on. Refused if there is neither room for them nor an overdraft.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        self.hold_with(bytes, None)
    }

    /// Like [`hold`](Self::hold), with an overdraft permit that was acquired earlier, if given.
    fn hold_with(&mut self, bytes: usize, overdraft: Option<OwnedSemaphorePermit>) -> Result<(), Full> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let mut used = self.budget.used.lock();
        used.give_back(self);
        self.overdraft = self.overdraft.take().or(overdraft);
        let has_room = self.budget.has_room(&used, bytes);
        if !has_room && self.overdraft.is_none() {
            self.overdraft = Arc::clone(&self.budget.overdraft).try_acquire_owned().ok();
        }
        let is_held = has_room || self.overdraft.is_some();
        if is_held {
            self.bytes = bytes;
        }
        used.take(self);
        if is_held { Ok(()) } else { Err(Full { wanted: bytes }) }
    }

    /// Holds no more than that many bytes from now on, and gives the overdraft back if it is not needed for them.
    pub fn shrink(&mut self, bytes: usize) {
        let mut used = self.budget.used.lock();
        used.give_back(self);
        self.bytes = self.bytes.min(bytes);
        if self.budget.has_room(&used, self.bytes) {
            self.overdraft = None;
        }
        used.take(self);
    }

    /// Like [`hold`](Self::hold), but waits for room or for the overdraft; thirty seconds at most, over all calls together.
    pub async fn hold_patiently(&mut self, bytes: usize) -> Result<(), Full> {
        if self.hold(bytes).is_ok() {
            return Ok(());
        }
        let began = Instant::now();
        // One future for all attempts: it keeps the place in the queue for the overdraft.
        let mut overdraft = pin!(Arc::clone(&self.budget.overdraft).acquire_owned());
        let held = loop {
            let overdraft = timeout(LOOK, overdraft.as_mut()).await.ok().and_then(Result::ok);
            let held = self.hold_with(bytes, overdraft);
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
        if lease.overdraft.is_some() { &mut self.overdrawn } else { &mut self.shared }
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

    #[tokio::test(start_paused = true)]
    async fn waiting_requests_get_the_overdraft_in_order_or_room_as_soon_as_there_is_any() {
        let budget = Budget::with_overdraft(100);
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
        assert_eq!(other.hold(76), FULL(76), "no lease overtakes the waiting ones");
        wait.await.unwrap();
        assert_eq!([ended.recv().await, ended.recv().await], [Some("second"), Some("third")]);
    }

    #[tokio::test]
    async fn no_request_waits_for_ever() {
        let budget = Budget::with_overdraft(100);
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
