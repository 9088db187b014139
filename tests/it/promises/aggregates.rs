//! Contributions of 12 bytes each: any split of the same contributions merges to the same rollup, and merged parts can be removed
//! again.

use scale_metrics::events::{Contribution, Partition};
use scale_metrics::fuzz::check_rollup;
use scale_metrics::rollup::{Aggregate, Distribution, LostExtremes, Rollup};
use scale_metrics::time::Date;
use scale_metrics::vocabulary::{COUNTERS, ChoiceId, DISTRIBUTIONS, MetricsTypeId};

pub(crate) fn check(bytes: &[u8]) {
    let mut lots = [const { Vec::new() }; 3];
    for chunk in bytes.as_chunks().0 {
        let (lot, contribution) = contribution(chunk);
        lots[lot].push(contribution);
    }
    let [a, b, c] = lots.each_ref().map(|lot| rollup(lot));
    assert_eq!(merged(&[&a, &b]), merged(&[&b, &a]));
    assert_eq!(merged(&[&merged(&[&a, &b]), &c]), merged(&[&a, &merged(&[&b, &c])]));
    let all = merged(&[&a, &b, &c]);
    assert_eq!(rollup(&lots.concat()), all);
    check_replaced(&a, &b, &c);
    check_rollup(&all);
}

/// Reads a contribution, and the index of the lot that it belongs to.
fn contribution(&[when, counter, error, observed, value @ ..]: &[u8; 12]) -> (usize, Contribution) {
    let value = u64::from_le_bytes(value);
    let mut observations = [None; DISTRIBUTIONS];
    for (place, observation) in observations.iter_mut().enumerate() {
        *observation = (observed >> place & 1 == 1).then_some(value >> place);
    }
    let choice = ChoiceId::new(1).expect("it is in range");
    let contribution = Contribution {
        partition: Partition { date: Date::MIN, metrics: MetricsTypeId::JobTypes, choice },
        hour: when / 3 % 24,
        counter: Some(usize::from(counter)).filter(|&place| place < COUNTERS),
        error: ChoiceId::new(error.into()),
        observations,
    };
    (usize::from(when % 3), contribution)
}

fn rollup(contributions: &[Contribution]) -> Rollup {
    let mut rollup = Rollup::default();
    for contribution in contributions {
        rollup.hour_mut(contribution.hour).fold(contribution);
    }
    rollup
}

fn merged(parts: &[&Rollup]) -> Rollup {
    let mut merged = Rollup::default();
    for part in parts {
        merged.merge(part);
    }
    merged
}

/// Removes `b` from the merge of `a` and `b`, and adds `c`. The result must equal the merge of `a` and `c`, except for extremes
/// that are reported as lost.
fn check_replaced(a: &Rollup, b: &Rollup, c: &Rollup) {
    let mut replaced = merged(&[a, b]);
    let lost = replaced.apply(b, c);
    let expected = merged(&[a, c]);
    assert_eq!(replaced.hour_bits(), expected.hour_bits());
    for ((hour, replaced), (_, expected)) in replaced.hours().zip(expected.hours()) {
        let lost =
            lost.iter().find(|(lost, _)| *lost == hour).map_or(LostExtremes::default(), |&(_, extremes)| extremes);
        assert_eq!(without_extremes(replaced, lost), without_extremes(expected, lost), "hour {hour}");
    }
}

fn without_extremes(aggregate: &Aggregate, lost: LostExtremes) -> Aggregate {
    let mut aggregate = aggregate.clone();
    for (place, Distribution { min, max, .. }) in aggregate.distributions.iter_mut().enumerate() {
        let (min_lost, max_lost) = lost.of(place);
        *min = if min_lost { 0 } else { *min };
        *max = if max_lost { 0 } else { *max };
    }
    aggregate
}
