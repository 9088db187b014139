//! Memory that many requests share: who needs some asks before taking it, and is refused where there is none.
//!
//! A [`Budget`] is what they share, a [`Lease`] the share of one of them. So memory is bounded by configuration, whatever
//! clients send or ask for.

use std::sync::Arc;

use parking_lot::Mutex;

/// Others hold too much memory already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all requests together hold as much memory as they may; try again")]
pub struct Full;

/// The bytes that are shared. A clone is the same budget.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: usize,
    used: Arc<Mutex<usize>>,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, used: Arc::default() }
    }

    /// How many bytes there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many of them are held.
    pub fn used(&self) -> usize {
        *self.used.lock()
    }

    /// A new share, empty so far.
    pub fn lease(&self) -> Lease {
        Lease { budget: self.clone(), bytes: 0 }
    }
}

/// The share of one request. It goes back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    bytes: usize,
}

impl Lease {
    /// Holds that many bytes from now on. More than before are refused when there is no room for them, unless nobody else
    /// holds any: a request that is larger than the whole budget gets through alone.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        let mut used = self.budget.used.lock();
        let others = *used - self.bytes;
        if bytes > self.bytes && others > 0 && others + bytes > self.budget.limit {
            return Err(Full);
        }
        *used = others + bytes;
        self.bytes = bytes;
        Ok(())
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.budget.used.lock() -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_share_the_budget_and_give_it_back() {
        let budget = Budget::new(100);
        let [mut a, mut b] = [budget.lease(), budget.lease()];
        assert_eq!(a.hold(60), Ok(()));
        assert_eq!(b.hold(41), Err(Full));
        assert_eq!(b.bytes(), 0);
        assert_eq!(b.hold(40), Ok(()));
        assert_eq!(a.hold(61), Err(Full));
        assert_eq!(a.hold(10), Ok(()));
        assert_eq!(b.hold(90), Ok(()));
        drop(a);
        assert_eq!(b.hold(100), Ok(()));
    }

    #[test]
    fn a_request_that_is_larger_than_the_budget_gets_through_alone() {
        let budget = Budget::new(100);
        let [mut large, mut small] = [budget.lease(), budget.lease()];
        assert_eq!(large.hold(1_000), Ok(()));
        assert_eq!(small.hold(1), Err(Full));
        assert_eq!(large.hold(2_000), Ok(()));
        drop(large);
        assert_eq!(small.hold(1), Ok(()));
        assert_eq!(budget.lease().hold(100), Err(Full));
    }
}
