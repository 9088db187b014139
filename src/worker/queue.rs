//! The queue in which requests wait for the rollup task.
//!
//! Small and large requests have lanes of their own, so that neither delays the other for longer than one commit. The leases of
//! the requests bound the queue.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{Examined, Receipt};
use crate::events::Object;
use crate::memory::{Budget, Lease};
use crate::time::Date;

/// A request that waits to be stored.
#[derive(Debug)]
pub struct Request {
    /// The objects, in order; every choice that they name is known.
    pub objects: Vec<Object>,
    /// The lease of the memory that the request holds.
    pub lease: Lease,
    /// Sends the result to the caller.
    pub reply: oneshot::Sender<Result<Receipt, WriteFailed>>,
}

/// A command to compute the rollups of a day anew.
#[derive(Debug)]
pub struct RebuildCommand {
    /// The day.
    pub date: Date,
    /// Sends the result to the caller.
    pub reply: oneshot::Sender<Result<Examined, WriteFailed>>,
}

/// The queue refused a request because the server is stopping. Nothing of the request is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping")]
pub struct Stopping;

/// Why a queued request could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailed {
    /// The database cannot be written at the moment.
    #[error("the database cannot be written; try again")]
    Unavailable,
    /// Days of its events were forgotten after the request was checked, so they might be counted twice. When the client posts it
    /// again, the answer says which events are too old.
    #[error("the retention has just moved past some of these events; try again")]
    Overtaken,
    /// There is a fault in the program or in the stored data.
    #[error("internal error")]
    Internal,
}

/// The result of [`Queue::take`].
#[derive(Debug)]
pub enum QueueItem {
    /// At least one request.
    Requests(Vec<Request>),
    /// A command to rebuild a day.
    RebuildCommand(RebuildCommand),
    /// Nothing came before the timeout.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

/// A request that holds more bytes than this is large: some 4,000 events.
const SMALL_BYTES: usize = 1 << 20;

/// The queue of requests and rebuild commands.
#[derive(Debug)]
pub struct Queue {
    budget: Budget,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Small requests, then large ones; each in the order in which they came.
    lanes: [VecDeque<Request>; 2],
    commands: VecDeque<RebuildCommand>,
    /// The lane that is served next, if it is not empty. The number after the last lane stands for the commands.
    turn: usize,
    closed: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty) && self.commands.is_empty()
    }

    /// The next lane that is not empty, in turn; `None` if it is the turn of the commands.
    fn next_lane(&mut self) -> Option<&mut VecDeque<Request>> {
        let turns = self.lanes.len() + 1;
        let waits = |turn: &usize| self.lanes.get(*turn).map_or(!self.commands.is_empty(), |lane| !lane.is_empty());
        let turn = (0..turns).map(|step| (self.turn + step) % turns).find(waits)?;
        self.turn = (turn + 1) % turns;
        self.lanes.get_mut(turn)
    }
}

impl Queue {
    /// A queue whose requests may hold `limit_bytes` together.
    pub fn new(limit_bytes: usize) -> Self {
        Self { budget: Budget::with_overdraft(limit_bytes), waiting: Mutex::default(), changed: Condvar::new() }
    }

    /// How many bytes requests hold, both waiting ones and those that still arrive.
    pub fn bytes(&self) -> usize {
        self.budget.used()
    }

    /// How many bytes requests may hold.
    pub fn limit_bytes(&self) -> usize {
        self.budget.limit()
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().lanes.iter().map(VecDeque::len).sum()
    }

    /// The lease of a new request, empty so far.
    pub fn lease(&self) -> Lease {
        self.budget.lease()
    }

    /// Puts a request at the end of its lane, unless the queue is closed.
    pub fn push(&self, request: Request) -> Result<(), Stopping> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Stopping);
        }
        let lane = usize::from(request.lease.bytes() > SMALL_BYTES);
        waiting.lanes[lane].push_back(request);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts a rebuild command behind the others, unless the queue is closed.
    pub fn rebuild(&self, command: RebuildCommand) -> Result<(), Stopping> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Stopping);
        }
        waiting.commands.push_back(command);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for an item, at most for `patience`, and returns it. The item is a rebuild command, or requests from the front of
    /// one lane: all of them, or as many as hold `limit_bytes` together, but at least one. The lanes take turns.
    pub fn take(&self, limit_bytes: usize, patience: Option<Duration>) -> QueueItem {
        let mut waiting = self.waiting.lock();
        while waiting.is_empty() {
            if waiting.closed {
                return QueueItem::Closed;
            }
            match patience {
                None => self.changed.wait(&mut waiting),
                Some(patience) if self.changed.wait_for(&mut waiting, patience).timed_out() => {
                    return QueueItem::Nothing;
                }
                Some(_) => {}
            }
        }
        let Some(lane) = waiting.next_lane() else {
            return waiting.commands.pop_front().map_or(QueueItem::Nothing, QueueItem::RebuildCommand);
        };
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(request) =
            lane.pop_front_if(|next| taken.is_empty() || bytes + next.lease.bytes() <= limit_bytes)
        {
            bytes += request.lease.bytes();
            taken.push(request);
        }
        QueueItem::Requests(taken)
    }

    /// Adds the requests that wait by now to others, as long as all of them hold at most `limit_bytes` together.
    pub fn take_more(&self, requests: &mut Vec<Request>, limit_bytes: usize) {
        let mut bytes: usize = requests.iter().map(|request| request.lease.bytes()).sum();
        for lane in &mut self.waiting.lock().lanes {
            while let Some(request) = lane.pop_front_if(|next| bytes + next.lease.bytes() <= limit_bytes) {
                bytes += request.lease.bytes();
                requests.push(request);
            }
        }
    }

    /// Closes the queue and fails all waiting requests and commands, since no task will take them any more.
    pub fn give_up(&self) {
        let (lanes, commands) = {
            let mut waiting = self.waiting.lock();
            waiting.closed = true;
            (std::mem::take(&mut waiting.lanes), std::mem::take(&mut waiting.commands))
        };
        self.changed.notify_all();
        for request in lanes.into_iter().flatten() {
            // The client may have gone.
            let _ = request.reply.send(Err(WriteFailed::Unavailable));
        }
        for command in commands {
            let _ = command.reply.send(Err(WriteFailed::Unavailable));
        }
    }

    /// Refuses new requests and commands from now on. The task still takes the waiting ones.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;
    const LIMIT_BYTES: usize = 4 << 20;

    fn push(queue: &Queue, bytes: usize) {
        let mut lease = queue.lease();
        lease.hold(bytes).unwrap();
        let (reply, _) = oneshot::channel();
        queue.push(Request { objects: Vec::new(), lease, reply }).unwrap();
    }

    fn take(queue: &Queue) -> Vec<usize> {
        match queue.take(LIMIT_BYTES, Some(Duration::ZERO)) {
            QueueItem::Requests(requests) => requests.iter().map(|request| request.lease.bytes() / KIB).collect(),
            QueueItem::RebuildCommand(_) | QueueItem::Nothing | QueueItem::Closed => Vec::new(),
        }
    }

    #[test]
    fn a_small_request_waits_for_at_most_one_group_of_large_ones() {
        let queue = Queue::new(usize::MAX);
        for kib in [3_000, 1, 3_001, 2, 1_090, 3_002] {
            push(&queue, kib * KIB);
        }
        assert_eq!(take(&queue), [1, 2]);
        assert_eq!(take(&queue), [3_000]);
        push(&queue, 3 * KIB);
        assert_eq!(take(&queue), [3]);
        push(&queue, 4 * KIB);
        // Small requests do not delay large ones either.
        assert_eq!(take(&queue), [3_001, 1_090]);
        assert_eq!(take(&queue), [4]);
        assert_eq!(take(&queue), [3_002]);
        assert!(take(&queue).is_empty());
    }

    #[test]
    fn what_was_taken_in_is_given_out_after_closing() {
        let queue = Queue::new(usize::MAX);
        push(&queue, KIB);
        queue.close();
        let (reply, _) = oneshot::channel();
        let request = Request { objects: Vec::new(), lease: queue.lease(), reply };
        assert_eq!(queue.push(request), Err(Stopping));
        assert_eq!(take(&queue), [1]);
        assert!(matches!(queue.take(LIMIT_BYTES, None), QueueItem::Closed));
    }
}
