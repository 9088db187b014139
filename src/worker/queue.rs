//! Where requests wait for the rollup task: bounded in bytes, closed at the end.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::Receipt;
use crate::events::Object;

/// A request that waits to be stored.
#[derive(Debug)]
pub struct Request {
    /// Its objects, in order; every choice that they name is known.
    pub objects: Vec<Object>,
    /// The size of its body, which stands for the memory that it takes.
    pub bytes: usize,
    /// Who waits for the answer.
    pub reply: oneshot::Sender<Result<Receipt, WriteFailed>>,
}

/// Why a request was not taken in. Nothing of it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much waits already.
    #[error("the write queue is full; try again")]
    Full,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// Why a request that was taken in could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailed {
    /// The database cannot be written at the moment.
    #[error("the database cannot be written; try again")]
    Unavailable,
    /// Something is wrong in the program or with what is stored.
    #[error("internal error")]
    Internal,
}

/// What [`Queue::take`] found.
#[derive(Debug)]
pub enum Taken {
    /// At least one request.
    Requests(Vec<Request>),
    /// Nothing came in time.
    Nothing,
    /// Nothing is left, and nothing will come any more.
    Closed,
}

/// The requests that wait.
#[derive(Debug)]
pub struct Queue {
    limit_bytes: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// A queue in which at most `limit_bytes` wait; a request that comes to an empty queue may be larger.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, waiting: Mutex::default(), changed: Condvar::new() }
    }

    /// Puts a request at the end, or refuses it at once.
    pub fn push(&self, request: Request) -> Result<(), Refused> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Refused::Stopping);
        }
        if waiting.bytes + request.bytes > self.limit_bytes && !waiting.requests.is_empty() {
            return Err(Refused::Full);
        }
        waiting.bytes += request.bytes;
        waiting.requests.push_back(request);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until there is something, at most for `patience`, then takes requests from the front: all, or as many as fit
    /// into `limit_bytes`, at least one.
    pub fn take(&self, limit_bytes: usize, patience: Option<Duration>) -> Taken {
        let mut waiting = self.waiting.lock();
        while waiting.requests.is_empty() {
            if waiting.closed {
                return Taken::Closed;
            }
            match patience {
                None => self.changed.wait(&mut waiting),
                Some(patience) if self.changed.wait_for(&mut waiting, patience).timed_out() => return Taken::Nothing,
                Some(_) => {}
            }
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(request) =
            waiting.requests.pop_front_if(|next| taken.is_empty() || bytes + next.bytes <= limit_bytes)
        {
            bytes += request.bytes;
            taken.push(request);
        }
        waiting.bytes -= bytes;
        Taken::Requests(taken)
    }

    /// Refuses what comes from now on; what waits will still be taken.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }
}
