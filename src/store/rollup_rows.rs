//! Rollups as rows: the day first, then the hours that exist, nothing for what did not happen.

use super::blocks::choice;
use super::codec::{Corrupt, Reader, Record, open};
use crate::events::contribution::{COUNTERS, DISTRIBUTIONS};
use crate::rollup::{Aggregate, Distribution, Rollup};

const FORM_ROLLUP: u8 = 1;
const WRONG_ERROR: Corrupt = Corrupt("a count by error is wrong");

/// Packs a rollup: which hours exist, the unit of its observations, the day's aggregate, then the hours' unless there is
/// only one. Reading a day stops before the hours.
pub(super) fn encode_rollup<'r>(record: &'r mut Record, rollup: &Rollup) -> &'r [u8] {
    record.start(FORM_ROLLUP);
    record.bytes(&rollup.hour_bits().to_le_bytes()[..3]);
    let day = rollup.day();
    let place = (1..ROLLUP_UNITS.len()).rev().find(|&place| fits(rollup, ROLLUP_UNITS[place])).unwrap_or(0);
    record.varint(place as u64);
    put_aggregate(record, &day, ROLLUP_UNITS[place]);
    if rollup.hours().len() > 1 {
        for (_, aggregate) in rollup.hours() {
            put_aggregate(record, aggregate, ROLLUP_UNITS[place]);
        }
    }
    record.seal()
}

/// Whether all observations of a rollup can be counted in that unit.
fn fits(rollup: &Rollup, unit: u64) -> bool {
    let mut distributions = rollup.hours().flat_map(|(_, aggregate)| &aggregate.distributions);
    distributions.all(|distribution| {
        // Nearly all sums are small, and dividing 128 bits is slow.
        let sum_fits = match u64::try_from(distribution.sum) {
            Ok(sum) => sum % unit == 0,
            Err(_) => distribution.sum % u128::from(unit) == 0,
        };
        sum_fits && distribution.min % unit == 0 && distribution.max % unit == 0
    })
}

/// What the observations of a rollup may be counted in.
const ROLLUP_UNITS: [u64; 3] = [1, 1_000, 1_000_000];

/// Unpacks the day's aggregate of a rollup.
pub(super) fn decode_day(sealed: &[u8]) -> Result<Aggregate, Corrupt> {
    let mut read = RollupReader::open(sealed)?;
    read.aggregate()
}

/// Unpacks a rollup.
pub(super) fn decode_rollup(sealed: &[u8]) -> Result<Rollup, Corrupt> {
    let mut read = RollupReader::open(sealed)?;
    let day = read.aggregate()?;
    let hours = read.hours;
    let mut rollup = Rollup::with_room_for(hours.count_ones() as usize);
    for hour in (0..24).filter(|hour| hours >> hour & 1 == 1) {
        let aggregate = if hours.is_power_of_two() { day.clone() } else { read.aggregate()? };
        rollup.set_hour(hour, aggregate);
    }
    read.read.end()?;
    Ok(rollup)
}

struct RollupReader<'a> {
    read: Reader<'a>,
    hours: u32,
    unit: u64,
}

impl<'a> RollupReader<'a> {
    fn open(sealed: &'a [u8]) -> Result<Self, Corrupt> {
        let mut read = Reader(open(FORM_ROLLUP, sealed)?);
        let hours = u32::from_le_bytes([read.byte()?, read.byte()?, read.byte()?, 0]);
        let unit = ROLLUP_UNITS.get(usize::from(read.byte()?)).copied();
        Ok(Self { read, hours, unit: unit.ok_or(Corrupt("a rollup has an unknown unit"))? })
    }

    fn aggregate(&mut self) -> Result<Aggregate, Corrupt> {
        let read = &mut self.read;
        let parts = read.varint()?;
        let mut aggregate = Aggregate { events: read.varint()?, ..Aggregate::default() };
        for (place, counter) in aggregate.counters.iter_mut().enumerate() {
            if parts >> place & 1 == 1 {
                *counter = read.varint()?;
            }
        }
        for (place, distribution) in aggregate.distributions.iter_mut().enumerate() {
            if parts >> (COUNTERS + place) & 1 == 1 {
                *distribution = take_distribution(read, self.unit)?;
            }
        }
        if parts >> ERRORS_BIT & 1 == 1 {
            let mut id = 0_u64;
            for _ in 0..read.varint()? {
                id = id.checked_add(read.varint()?).ok_or(WRONG_ERROR)?;
                aggregate.errors.insert(choice(Some(id))?.ok_or(WRONG_ERROR)?, read.varint()?);
            }
        }
        Ok(aggregate)
    }
}

/// The parts of an aggregate that are not empty are named by bits: counters, distributions, then the errors.
const ERRORS_BIT: usize = COUNTERS + DISTRIBUTIONS;

fn put_aggregate(record: &mut Record, aggregate: &Aggregate, unit: u64) {
    let counters = aggregate.counters.iter().map(|&counter| counter > 0);
    let distributions = aggregate.distributions.iter().map(|distribution| distribution.n > 0);
    let parts = counters.chain(distributions).chain([!aggregate.errors.is_empty()]);
    let parts = parts.enumerate().fold(0_u64, |parts, (place, there)| parts | u64::from(there) << place);
    record.varint(parts);
    record.varint(aggregate.events);
    for &counter in aggregate.counters.iter().filter(|&&counter| counter > 0) {
        record.varint(counter);
    }
    for distribution in aggregate.distributions.iter().filter(|distribution| distribution.n > 0) {
        put_distribution(record, distribution, unit);
    }
    if !aggregate.errors.is_empty() {
        record.varint(aggregate.errors.len() as u64);
        let mut before = 0;
        for (error, &count) in &aggregate.errors {
            record.varint(error.get() - std::mem::replace(&mut before, error.get()));
            record.varint(count);
        }
    }
}

/// A distribution that is not empty: n, smallest, and unless n is 1 how far the largest and the sum lie above it.
fn put_distribution(record: &mut Record, distribution: &Distribution, unit: u64) {
    let &Distribution { n, sum, min, max } = distribution;
    record.varint(n);
    record.varint(min / unit);
    if n > 1 {
        record.varint((max - min) / unit);
        let above = sum - u128::from(n) * u128::from(min);
        match u64::try_from(above) {
            Ok(above) => record.varint(above / unit),
            Err(_) => record.varint_u128(above / u128::from(unit)),
        }
    }
}

fn take_distribution(read: &mut Reader<'_>, unit: u64) -> Result<Distribution, Corrupt> {
    const WRONG: Corrupt = Corrupt("a distribution is wrong");
    let n = read.varint()?;
    let min = read.varint()?.checked_mul(unit).ok_or(WRONG)?;
    if n == 1 {
        return Ok(Distribution { n, sum: min.into(), min, max: min });
    }
    let spread = read.varint()?.checked_mul(unit).ok_or(WRONG)?;
    let max = min.checked_add(spread).ok_or(WRONG)?;
    let above = read.varint_u128()?.checked_mul(unit.into()).ok_or(WRONG)?;
    let sum = (u128::from(n) * u128::from(min)).checked_add(above).ok_or(WRONG)?;
    Ok(Distribution { n, sum, min, max })
}

#[cfg(test)]
mod tests {
    use proptest::array::uniform;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::events::{ChoiceId, MAX_ID};

    /// With the right checksum, whatever the content is.
    fn record_of(content: &[u8]) -> Vec<u8> {
        let mut record = Record::default();
        record.start(FORM_ROLLUP);
        record.bytes(content);
        record.seal().to_vec()
    }

    fn any_distribution() -> impl Strategy<Value = Distribution> {
        let values =
            prop_oneof![vec(any::<u64>(), 0..4), vec((0..100_000_u64).prop_map(|seconds| seconds * 1_000_000), 0..4)];
        values.prop_map(|values| {
            let mut distribution = Distribution::default();
            for value in values {
                distribution.observe(value);
            }
            distribution
        })
    }

    fn any_aggregate() -> impl Strategy<Value = Aggregate> {
        let error = (1..=MAX_ID).prop_map(|id| ChoiceId::new(id).expect("in range"));
        let counters = uniform(prop_oneof![Just(0), 0..u64::MAX / 32]);
        let errors = btree_map(error, 1..u64::MAX / 32, 0..4);
        (1..u64::MAX / 32, counters, errors, uniform(any_distribution()))
            .prop_map(|(events, counters, errors, distributions)| Aggregate { events, counters, errors, distributions })
    }

    fn any_rollup() -> impl Strategy<Value = Rollup> {
        btree_map(0..24_u8, any_aggregate(), 0..24).prop_map(Rollup::from_iter)
    }

    proptest! {
        #[test]
        fn any_rollup_survives(rollup in any_rollup()) {
            let mut record = Record::default();
            let sealed = encode_rollup(&mut record, &rollup);
            prop_assert_eq!(decode_day(sealed), Ok(rollup.day()));
            prop_assert_eq!(decode_rollup(sealed), Ok(rollup));
        }

        #[test]
        fn any_bytes_are_a_rollup_or_an_error(
            content in vec(any::<u8>(), 0..100),
            rollup in any_rollup(),
            (place, byte) in any::<(prop::sample::Index, u8)>(),
        ) {
            let _ = decode_rollup(&record_of(&content));
            let mut damaged = open(FORM_ROLLUP, encode_rollup(&mut Record::default(), &rollup)).expect("just sealed").to_vec();
            let place = place.index(damaged.len());
            damaged[place] = byte;
            let _ = decode_rollup(&record_of(&damaged));
        }
    }
}
