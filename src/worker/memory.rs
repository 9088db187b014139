//! How much memory requests may take together, from the first byte of a body until its events are stored.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Refused;

/// The bytes that all requests share.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: Mutex<usize>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::default() })
    }
}

/// The share of one request. It goes back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Lease {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Holds that many bytes from now on. More than before are refused when there is no room for them, unless nobody else
    /// holds any: a request that is larger than the whole budget gets through alone.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Refused> {
        let mut used = self.budget.used.lock();
        let others = *used - self.bytes;
        if bytes > self.bytes && others > 0 && others + bytes > self.budget.limit {
            return Err(Refused::Full);
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
        let [mut a, mut b] = [Lease::new(&budget), Lease::new(&budget)];
        assert_eq!(a.hold(60), Ok(()));
        assert_eq!(b.hold(41), Err(Refused::Full));
        assert_eq!(b.bytes(), 0);
        assert_eq!(b.hold(40), Ok(()));
        assert_eq!(a.hold(61), Err(Refused::Full));
        assert_eq!(a.hold(10), Ok(()));
        assert_eq!(b.hold(90), Ok(()));
        drop(a);
        assert_eq!(b.hold(100), Ok(()));
    }

    #[test]
    fn a_request_that_is_larger_than_the_budget_gets_through_alone() {
        let budget = Budget::new(100);
        let [mut large, mut small] = [Lease::new(&budget), Lease::new(&budget)];
        assert_eq!(large.hold(1_000), Ok(()));
        assert_eq!(small.hold(1), Err(Refused::Full));
        assert_eq!(large.hold(2_000), Ok(()));
        drop(large);
        assert_eq!(small.hold(1), Ok(()));
        assert_eq!(Lease::new(&budget).hold(100), Err(Refused::Full));
    }
}
