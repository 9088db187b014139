//! Memory that requests share: who gets a part of a budget, and who is refused.

use scale_metrics::memory::{Budget, Full};

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
fn one_lease_at_a_time_may_exceed_the_limit() {
    let budget = Budget::with_overdraft(100);
    let [mut large, mut other, mut third] = [budget.lease(), budget.lease(), budget.lease()];
    assert_eq!(large.hold(40), Ok(()));
    assert_eq!(other.hold(60), Ok(()), "it has the overdraft");
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
    assert_eq!(third.hold(66), Ok(()), "the overdraft went on");
    assert_eq!(other.hold(75), Ok(()));
    assert_eq!(other.hold(76), FULL(76));
    drop((other, third));
    assert_eq!(budget.used(), 0);
    assert_eq!(budget.lease().hold(1_000), Ok(()), "the overdraft is given back, too");
}

#[test]
fn small_leases_find_room_where_large_ones_do_not() {
    let budget = Budget::with_overdraft(6_400);
    let [mut overdrawn, mut large, mut small] = [budget.lease(), budget.lease(), budget.lease()];
    assert_eq!(overdrawn.hold(6_401), Ok(()));
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
