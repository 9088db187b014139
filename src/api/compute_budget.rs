//! What an answer may take while it is computed: memory, and time.

use super::ApiError;
use super::answer::{Answer, Content};
use super::jobs::Bounds;
use crate::memory::{Budget, Lease};

/// The memory that an answer takes while it is computed, and the deadline of the computation.
pub(crate) struct ComputeBudget {
    lease: Lease,
    /// The most memory that it may take, in bytes.
    limit: usize,
    bounds: Bounds,
    /// How often memory was asked for.
    requests: u32,
}

/// After how many requests for memory the deadline is checked: some microseconds later.
const CHECK_EVERY: u32 = 256;

impl ComputeBudget {
    /// At most `limit` bytes, leased by `lease`, within these bounds.
    pub(crate) fn new(lease: Lease, limit: usize, bounds: Bounds) -> Self {
        Self { lease, limit, bounds, requests: 0 }
    }

    /// As much as it takes: nobody else shares the memory, and nobody waits in a queue.
    pub(crate) fn unlimited() -> Self {
        Self::new(Budget::new(usize::MAX).lease(), usize::MAX, Bounds::unlimited())
    }

    /// The deadline and whether the client is there, for loops that ask for no memory.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds.clone()
    }

    /// Makes sure that the computation may hold so many bytes in all, and that there is time left. Loops call it for each item.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.requests = self.requests.wrapping_add(1);
        if self.requests.is_multiple_of(CHECK_EVERY) {
            self.bounds.check()?;
        }
        if bytes > self.limit {
            return Err(ApiError::AnswerTooLarge(self.limit));
        }
        Ok(self.lease.hold(bytes)?)
    }

    /// The finished answer, which holds what its body takes from now on.
    pub(crate) fn keep(mut self, content: Content) -> Result<Answer, ApiError> {
        self.hold(content.body.len())?;
        self.lease.shrink(content.body.len());
        Ok(Answer::new(content, Some(self.lease)))
    }
}
