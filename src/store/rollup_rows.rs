//! The rows of rollups: first the day's aggregate, then those of the hours that exist. Empty parts take no space.

use std::slice;

use super::codec::{Corrupt, Reader, Record, open_front, open_rest};
use super::histograms::{WRONG_HISTOGRAM, put_counts, take_counts};
use super::keys::choice;
use crate::rollup::{Aggregate, Cell, Distribution, Parts, Rollup, Tally};
use crate::vocabulary::{COUNTERS, DISTRIBUTIONS, MAX_ID};

/// The form of format 2.
pub(super) const FORM_ROLLUP: u8 = 2;
/// The form of format 1, which has no histograms: rows of days whose events were forgotten before format 2.
const FORM_WITHOUT_HISTOGRAMS: u8 = 1;
/// The bit beside those of the [`Parts`] that says that the histograms of all distributions with more than two observations follow.
const HISTOGRAMS: u64 = 1 << (COUNTERS + DISTRIBUTIONS + 1);
const WRONG_ERROR: Corrupt = Corrupt("a count by error is wrong");
/// The largest count of a day: every possible job and every possible execution.
const MOST: u64 = 2 * MAX_ID;
/// The largest count of an hour, if the day has more than one. No file has as many events, and all hours add up.
const MOST_OF_HOUR: u64 = MOST / 24;

/// Packs a rollup. The front can be read alone: it has the hours that exist, the unit of the observations and the day's
/// aggregate. Behind it are the aggregates of the hours, unless there is only one hour.
pub(super) fn encode_rollup<'p>(packer: &'p mut Packer, rollup: &Rollup) -> &'p [u8] {
    let record = &mut packer.record;
    record.start(FORM_ROLLUP);
    record.bytes(&rollup.hour_bits().to_le_bytes()[..3]);
    let day = rollup.numbers_of_day();
    let place = (1..ROLLUP_UNITS.len()).rev().find(|&place| fits(rollup, ROLLUP_UNITS[place])).unwrap_or(0);
    record.varint(place as u64);
    let hours = rollup.aggregates();
    put_aggregate(packer, &day, hours, ROLLUP_UNITS[place]);
    packer.record.seal_front();
    if hours.len() > 1 {
        for hour in hours {
            put_aggregate(packer, hour, slice::from_ref(hour), ROLLUP_UNITS[place]);
        }
    }
    packer.record.seal()
}

/// What packing rollups needs, for use again and again.
#[derive(Default)]
pub(super) struct Packer {
    record: Record,
    tally: Tally,
}

/// Whether a unit divides all observations of a rollup.
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

/// The possible units of a rollup's observations.
const ROLLUP_UNITS: [u64; 3] = [1, 1_000, 1_000_000];

/// Unpacks a rollup.
pub(super) fn decode_rollup(sealed: &[u8]) -> Result<Rollup, Corrupt> {
    let mut hours = RollupRow::open(sealed)?.hours()?;
    let mut rollup = Rollup::with_room_for(hours.bits.count_ones() as usize);
    for hour in 0..24 {
        let mut aggregate = Aggregate::default();
        if hours.read(hour, Parts::ALL, &mut aggregate)? {
            rollup.set_hour(hour, aggregate);
        }
    }
    hours.aggregates.reader.end()?;
    Ok(rollup)
}

/// A row with an opened front. The caller reads either its day or its hours.
pub(super) struct RollupRow<'a> {
    hour_bits: u32,
    front: Aggregates<'a>,
    /// The aggregates of the hours, still sealed.
    rest: &'a [u8],
}

impl<'a> RollupRow<'a> {
    pub(super) fn open(sealed: &'a [u8]) -> Result<Self, Corrupt> {
        let form = if sealed.first() == Some(&FORM_WITHOUT_HISTOGRAMS) { FORM_WITHOUT_HISTOGRAMS } else { FORM_ROLLUP };
        let (front, rest) = open_front(form, sealed)?;
        let mut read = Reader(front);
        let hour_bits = u32::from_le_bytes([read.byte()?, read.byte()?, read.byte()?, 0]);
        let unit = ROLLUP_UNITS.get(usize::from(read.byte()?)).copied();
        let unit = unit.ok_or(Corrupt("a rollup has an unknown unit"))?;
        Ok(Self {
            hour_bits,
            front: Aggregates { reader: read, is_early: form == FORM_WITHOUT_HISTOGRAMS, unit, most: MOST },
            rest,
        })
    }

    /// Reads the `wanted` parts of the day's aggregate. The others are left empty.
    pub(super) fn day(mut self, wanted: Parts, into: &mut Aggregate) -> Result<(), Corrupt> {
        self.front.read(wanted, wanted, into)
    }

    /// Returns a reader of the hours. The aggregate of a single hour equals that of the day, and the row contains it once.
    pub(super) fn hours(self) -> Result<Hours<'a>, Corrupt> {
        let mut aggregates = self.front;
        if !self.hour_bits.is_power_of_two() {
            aggregates.reader = Reader(open_rest(self.rest)?);
            aggregates.most = MOST_OF_HOUR;
        }
        Ok(Hours { bits: self.hour_bits, aggregates })
    }
}

/// Reads the hours of a row in their order.
pub(super) struct Hours<'a> {
    /// One bit for each hour that exists.
    bits: u32,
    aggregates: Aggregates<'a>,
}

impl Hours<'_> {
    /// Returns whether an hour exists; if so, reads the `wanted` parts of its aggregate. Hours must be read in ascending order.
    pub(super) fn read(&mut self, hour: u8, wanted: Parts, into: &mut Aggregate) -> Result<bool, Corrupt> {
        let exists = self.bits >> hour & 1 == 1;
        if exists {
            self.aggregates.read(wanted, Parts::ALL, into)?;
            if into.is_empty() {
                return Err(Corrupt("an hour without events"));
            }
        }
        Ok(exists)
    }
}

/// Reads aggregates one after the other.
struct Aggregates<'a> {
    reader: Reader<'a>,
    /// Whether the histograms are unknown.
    is_early: bool,
    unit: u64,
    /// The limit of each count.
    most: u64,
}

impl Aggregates<'_> {
    /// Reads the `wanted` parts of the next aggregate, and stops after the last of the `needed` parts. The aggregate behind it can
    /// be read only if all parts are needed.
    fn read(&mut self, wanted: Parts, needed: Parts, into: &mut Aggregate) -> Result<(), Corrupt> {
        let (read, most) = (&mut self.reader, self.most);
        let bits = read.varint()?;
        let there = Parts::from_bits(bits);
        into.clear();
        into.events = take_count(read, most)?;
        for (place, counter) in into.counters.iter_mut().enumerate() {
            let part = Parts::counter(place);
            match (there.contains(part), wanted.contains(part)) {
                (true, true) => *counter = take_count(read, most)?,
                (true, false) => read.skip_varints(1)?,
                (false, _) => {}
            }
        }
        let are_histograms_wanted = wanted.reaches(Parts::HISTOGRAMS);
        // The numbers that the histograms are based on.
        let mut bases = [None; DISTRIBUTIONS];
        for (place, distribution) in into.distributions.iter_mut().enumerate() {
            let part = Parts::distribution(place);
            if !needed.reaches(part) {
                return Ok(());
            }
            match (there.contains(part), wanted.contains(part)) {
                (true, true) => take_distribution(read, self.unit, most, distribution)?,
                (true, false) if !are_histograms_wanted => skip_distribution(read)?,
                (true, false) => {
                    let mut passed = Distribution::default();
                    take_distribution(read, self.unit, most, &mut passed)?;
                    bases[place] = Some((passed.n, passed.min, passed.max));
                }
                (false, _) => {}
            }
            if self.is_early && distribution.n > 0 {
                distribution.histogram.forget();
            }
            if distribution.n > 0 {
                bases[place] = Some((distribution.n, distribution.min, distribution.max));
            }
        }
        if there.contains(Parts::ERRORS) && needed.reaches(Parts::ERRORS) {
            let count = read.varint()?;
            if wanted.contains(Parts::ERRORS) {
                let mut id = 0_u64;
                for _ in 0..count {
                    id = id.checked_add(read.varint()?).filter(|&next| next > id).ok_or(WRONG_ERROR)?;
                    into.errors.insert(choice(id)?, take_count(read, most)?);
                }
            } else {
                read.skip_varints(count.checked_mul(2).ok_or(WRONG_ERROR)?)?;
            }
        }
        if bits & HISTOGRAMS != 0 && needed.reaches(Parts::HISTOGRAMS) {
            let length = usize::try_from(read.varint()?).map_err(|_| WRONG_HISTOGRAM)?;
            let mut histograms = Reader(read.bytes(length)?);
            if are_histograms_wanted {
                for (place, base) in bases.into_iter().enumerate() {
                    let Some((n, min, max)) = base.filter(|(n, ..)| *n > 2) else { continue };
                    let histogram = &mut into.distributions[place].histogram;
                    histogram.set(|counts| take_counts(&mut histograms, n, (min, max), counts))?;
                    if !wanted.contains(Parts::histogram(place)) {
                        histogram.clear();
                    }
                }
                histograms.end()?;
            }
        }
        Ok(())
    }
}

/// Packs the parts of an aggregate that are not empty. A bit set of these parts precedes them. The histograms are those of the
/// `hours` that the aggregate consists of.
fn put_aggregate(Packer { record, tally }: &mut Packer, aggregate: &Aggregate, hours: &[Aggregate], unit: u64) {
    let mut parts = hours.iter().flat_map(|hour| &hour.distributions);
    let has_histograms = aggregate.distributions.iter().any(|it| it.n > 2) && parts.all(Distribution::knows_counts);
    record.varint(aggregate.parts().bits() | if has_histograms { HISTOGRAMS } else { 0 });
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
    if has_histograms {
        record.with_length(|record| {
            for (place, distribution) in aggregate.distributions.iter().enumerate().filter(|(_, it)| it.n > 2) {
                for hour in hours {
                    hour.distributions[place].add_counts_to(tally);
                }
                put_counts(record, tally, Cell::of(distribution.min), Cell::of(distribution.max));
            }
        });
    }
}

/// Packs a distribution that is not empty: n and the smallest observation. If n is not 1, the largest and the sum follow, as
/// distances from the smallest.
fn put_distribution(record: &mut Record, distribution: &Distribution, unit: u64) {
    let &Distribution { n, sum, min, max, .. } = distribution;
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

fn skip_distribution(read: &mut Reader<'_>) -> Result<(), Corrupt> {
    let n = read.varint()?;
    read.skip_varints(if n == 1 { 1 } else { 3 })
}

/// Reads a count of events, contributions or observations.
fn take_count(read: &mut Reader<'_>, most: u64) -> Result<u64, Corrupt> {
    let count = read.varint()?;
    if count <= most { Ok(count) } else { Err(Corrupt("a count is too large")) }
}

/// Reads a distribution without its histogram, into an empty one.
fn take_distribution(read: &mut Reader<'_>, unit: u64, most: u64, into: &mut Distribution) -> Result<(), Corrupt> {
    const WRONG: Corrupt = Corrupt("a distribution is wrong");
    let n = take_count(read, most)?;
    let min = read.varint()?.checked_mul(unit).ok_or(WRONG)?;
    if n == 0 {
        return Err(WRONG);
    }
    if n == 1 {
        (into.n, into.sum, into.min, into.max) = (n, min.into(), min, min);
        return Ok(());
    }
    let spread = read.varint()?.checked_mul(unit).ok_or(WRONG)?;
    let max = min.checked_add(spread).ok_or(WRONG)?;
    let above = read.varint_u128()?.checked_mul(unit.into()).ok_or(WRONG)?;
    // The mean lies between the smallest and the largest observation.
    if above > u128::from(n) * u128::from(spread) {
        return Err(WRONG);
    }
    (into.n, into.sum, into.min, into.max) = (n, u128::from(n) * u128::from(min) + above, min, max);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::array::uniform;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::ChoiceId;

    /// Returns a record of this content, which may be invalid, with the right checksums.
    fn record_of(front: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut record = Record::default();
        record.start(FORM_ROLLUP);
        record.bytes(front);
        record.seal_front();
        record.bytes(rest);
        record.seal().to_vec()
    }

    fn any_distribution() -> impl Strategy<Value = Distribution> {
        let values = prop_oneof![
            vec(any::<u64>(), 0..9),
            vec((0..100_000_u64).prop_map(|seconds| seconds * 1_000_000), 0..9),
            vec(900..1_000_u64, 0..200),
            (any::<u64>(), 0..99_usize).prop_map(|(value, n)| vec![value; n]),
        ];
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
        let counters = uniform(prop_oneof![Just(0), 0..=MOST_OF_HOUR]);
        let errors = btree_map(error, 1..=MOST_OF_HOUR, 0..4);
        (1..=MOST_OF_HOUR, counters, errors, uniform(any_distribution()))
            .prop_map(|(events, counters, errors, distributions)| Aggregate { events, counters, errors, distributions })
    }

    /// Returns the aggregate with only the wanted parts.
    fn only(aggregate: &Aggregate, wanted: Parts) -> Aggregate {
        let mut only = Aggregate { events: aggregate.events, ..Aggregate::default() };
        for (place, &counter) in aggregate.counters.iter().enumerate() {
            only.counters[place] = if wanted.contains(Parts::counter(place)) { counter } else { 0 };
        }
        for (place, distribution) in aggregate.distributions.iter().enumerate() {
            if wanted.contains(Parts::distribution(place)) {
                only.distributions[place] = distribution.clone();
            }
            if !wanted.contains(Parts::histogram(place)) {
                only.distributions[place].histogram.clear();
            }
        }
        if wanted.contains(Parts::ERRORS) {
            only.errors = aggregate.errors.clone();
        }
        only
    }

    fn any_rollup() -> impl Strategy<Value = Rollup> {
        btree_map(0..24_u8, any_aggregate(), 0..24).prop_map(|hours| {
            let mut rollup = Rollup::default();
            for (hour, aggregate) in hours {
                rollup.set_hour(hour, aggregate);
            }
            rollup
        })
    }

    proptest! {
        #[test]
        fn any_rollup_survives(rollup in any_rollup()) {
            let mut packer = Packer::default();
            let sealed = encode_rollup(&mut packer, &rollup);
            let mut day = Aggregate::default();
            prop_assert_eq!(RollupRow::open(sealed).and_then(|row| row.day(Parts::ALL, &mut day)), Ok(()));
            prop_assert_eq!(day, rollup.day());
            prop_assert_eq!(decode_rollup(sealed), Ok(rollup));
        }

        #[test]
        fn some_parts_are_read_as_among_all(rollup in any_rollup(), wanted in 0..1_u64 << 17) {
            let wanted = Parts::from_bits(wanted);
            let mut packer = Packer::default();
            let sealed = encode_rollup(&mut packer, &rollup);
            let mut read = Aggregate::default();
            let mut hours = RollupRow::open(sealed).and_then(RollupRow::hours).expect("just sealed");
            for (hour, aggregate) in rollup.hours() {
                prop_assert_eq!(hours.read(hour, wanted, &mut read), Ok(true));
                prop_assert_eq!(&read, &only(aggregate, wanted));
            }
            prop_assert_eq!(hours.aggregates.reader.end(), Ok(()));
            prop_assert_eq!(RollupRow::open(sealed).and_then(|row| row.day(wanted, &mut read)), Ok(()));
            prop_assert_eq!(&read, &only(&rollup.day(), wanted));
        }

        #[test]
        fn histograms_that_are_unknown_stay_so(mut rollup in any_rollup(), hour in 0..24_u8) {
            rollup.hour_mut(hour).events += 1;
            for distribution in &mut rollup.hour_mut(hour).distributions {
                distribution.histogram.clear();
            }
            let mut packer = Packer::default();
            let sealed = encode_rollup(&mut packer, &rollup);
            prop_assert_eq!(decode_rollup(sealed), Ok(rollup.clone()));
            let mut day = Aggregate::default();
            prop_assert_eq!(RollupRow::open(sealed).and_then(|row| row.day(Parts::ALL, &mut day)), Ok(()));
            prop_assert!(day.agrees_with(&rollup.day()));
        }

        #[test]
        fn any_bytes_are_a_rollup_or_an_error(
            contents in any::<[Vec<u8>; 2]>(),
            rollup in any_rollup(),
            (place, byte) in any::<(prop::sample::Index, u8)>(),
        ) {
            let _ = decode_rollup(&record_of(&contents[0], &contents[1]));
            let mut packer = Packer::default();
            let (front, rest) = open_front(FORM_ROLLUP, encode_rollup(&mut packer, &rollup)).expect("just sealed");
            let mut damaged = [front.to_vec(), open_rest(rest).expect("just sealed").to_vec()];
            let place = place.index(front.len() + damaged[1].len());
            *damaged.iter_mut().flatten().nth(place).expect("it is in one of them") = byte;
            let damaged = record_of(&damaged[0], &damaged[1]);
            let _ = decode_rollup(&damaged);
            let _ = RollupRow::open(&damaged).and_then(|row| row.day(Parts::ERRORS, &mut Aggregate::default()));
        }

        #[test]
        fn a_row_that_is_damaged_or_cut_off_is_found(
            rollup in any_rollup(),
            (place, bit) in (any::<prop::sample::Index>(), 0..8_u8),
        ) {
            let mut packer = Packer::default();
            let sealed = encode_rollup(&mut packer, &rollup);
            let place = place.index(sealed.len());
            prop_assert!(decode_rollup(&sealed[..place]).is_err());
            let mut damaged = sealed.to_vec();
            damaged[place] ^= 1 << bit;
            prop_assert!(decode_rollup(&damaged).is_err());
        }
    }

    #[test]
    fn observations_are_counted_in_the_largest_unit_that_keeps_them_exact() {
        const LARGE: u64 = 18_446_744_073_000_000_000;
        for (observed, unit) in [
            (&[][..], 1_000_000),
            (&[3_000_000], 1_000_000),
            (&[1_000_000, 2_000_000, 5_000_000], 1_000_000),
            (&[1_000_000, 1_001_000, 2_000_000], 1_000),
            (&[500_000, 500_000, 1_000_000], 1_000),
            (&[0, 500_000, 500_000], 1_000),
            (&[1_000, 1_500, 2_000], 1),
            (&[500, 500, 1_000], 1),
            (&[0, 500, 500], 1),
            (&[7], 1),
            // The sums of these have more than 64 bits.
            (&[1_000_000, LARGE, LARGE], 1_000_000),
            (&[1_000_000, 1_001_000, LARGE, LARGE], 1_000),
            (&[1_000, 1_500, LARGE, LARGE], 1),
        ] {
            let mut aggregate = Aggregate { events: 1, ..Aggregate::default() };
            for &value in observed {
                aggregate.distributions[2].observe(value);
            }
            let mut rollup = Rollup::default();
            rollup.set_hour(3, aggregate);
            let mut packer = Packer::default();
            let sealed = encode_rollup(&mut packer, &rollup);
            assert_eq!(RollupRow::open(sealed).map(|row| row.front.unit), Ok(unit), "{observed:?}");
            assert_eq!(decode_rollup(sealed), Ok(rollup), "{observed:?}");
        }
    }

    /// Decodes a row of a day with one hour. The numbers are the content of its aggregate.
    fn decode(numbers: &[u64]) -> Result<Rollup, Corrupt> {
        decode_form(FORM_ROLLUP, numbers)
    }

    fn decode_form(form: u8, numbers: &[u64]) -> Result<Rollup, Corrupt> {
        let mut record = Record::default();
        record.start(form);
        record.bytes(&[1, 0, 0, 0]);
        for &number in numbers {
            record.varint(number);
        }
        record.seal_front();
        decode_rollup(record.seal())
    }

    #[test]
    fn what_no_events_add_up_to_is_corrupt_in_spite_of_its_checksum() {
        let [counter, distribution, errors] =
            [Parts::counter(0), Parts::distribution(0), Parts::ERRORS].map(Parts::bits);
        // Three observations: 1, 1 or 2, and 2.
        let three = distribution | HISTOGRAMS;
        let pairs: [(&[u64], &[u64]); 11] = [
            (&[0, 1], &[0, 0]),
            (&[0, MOST], &[0, MOST + 1]),
            (&[counter, 1, MOST], &[counter, 1, MOST + 1]),
            (&[distribution, 1, 1, 5], &[distribution, 1, 0, 5, 0, 0]),
            (&[distribution, 2, 2, 5, 1, 2], &[distribution, 2, 2, 5, 1, 3]),
            (&[errors, 1, 2, 7, 1, 1, 1], &[errors, 1, 2, 7, 1, 0, 1]),
            (&[three, 3, 3, 1, 1, 1, 1, 0], &[three, 3, 3, 1, 1, 1, 1, 2]),
            (&[three, 3, 3, 1, 1, 1, 1, 1], &[three, 3, 3, 1, 1, 1, 0]),
            (&[three, 3, 3, 1, 1, 1, 1, 1], &[three, 3, 3, 1, 1, 1, 2, 1, 1]),
            (&[three, 4, 4, 1, 1, 1, 2, 0, 0], &[three, 4, 4, 1, 1, 1, 2, 1, 0]),
            (&[three, 4, 4, 1, 1, 1, 2, 0, 0], &[three, 4, 4, 1, 1, 1, 1, 0]),
        ];
        for (right, wrong) in pairs {
            assert!(decode(right).is_ok(), "{right:?}");
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
    }

    /// The bytes of a rollup in the present format. If this test fails, the program can no longer read stored databases: the
    /// change needs a new format.
    #[test]
    fn the_stored_form_of_a_rollup_stays() {
        let rollup = golden(&[5_000_000, 6_000_000, 6_000_000, 7_000_000, 21_000_000, 36_000_000, 9_000_000_000]);
        let mut packer = Packer::default();
        let bytes = encode_rollup(&mut packer, &rollup);
        assert_eq!(bytes, GOLDEN_ROLLUP, "{bytes:#04x?}");
    }

    #[test]
    fn a_rollup_of_format_1_is_read_without_histograms() {
        let early = decode_rollup(GOLDEN_WITHOUT_HISTOGRAMS).expect("it is whole");
        let known = golden(&[5_000_000, 9_000_000]);
        assert!(early.agrees_with(&known) && early != known);
        assert!(early.aggregates().iter().all(|hour| !hour.distributions[4].knows_counts()));
        let three = [Parts::distribution(0).bits(), 3, 3, 5, 2, 4];
        let read = decode_form(FORM_WITHOUT_HISTOGRAMS, &three).expect("three observations");
        let distribution = &read.hour(0).expect("an hour").distributions[0];
        assert_eq!((distribution.n, distribution.sum, distribution.knows_counts()), (3, 19, false));
    }

    /// A day with these observations in its third hour, and one more in another.
    fn golden(observations: &[u64]) -> Rollup {
        let mut rollup = Rollup::default();
        for (hour, values) in [(3, observations), (22, &[0])] {
            let mut aggregate = Aggregate { events: 1 + values.len() as u64, ..Aggregate::default() };
            aggregate.counters[1] = 1;
            aggregate.errors.insert(ChoiceId::new(300).expect("an id"), 1);
            for &value in values {
                aggregate.distributions[4].observe(value);
            }
            rollup.set_hour(hour, aggregate);
        }
        rollup
    }

    const GOLDEN_ROLLUP: &[u8] = &[
        0x02, 0x1b, 0x08, 0x00, 0x40, 0x02, 0x82, 0x1a, 0x0a, 0x02, 0x08, 0x00, 0xa8, 0x46, 0xf9, 0x46, 0x01, 0xac,
        0x02, 0x02, 0x08, 0xc8, 0x18, 0xfe, 0x00, 0x1d, 0xc0, 0xca, 0x68, 0x59, 0x9e, 0x80, 0x33, 0x82, 0x1a, 0x08,
        0x01, 0x07, 0x05, 0xa3, 0x46, 0xd6, 0x46, 0x01, 0xac, 0x02, 0x01, 0x07, 0xff, 0x1f, 0x00, 0x1d, 0xc0, 0xca,
        0x68, 0x82, 0x0a, 0x02, 0x01, 0x01, 0x00, 0x01, 0xac, 0x02, 0x01, 0x79, 0x40, 0x0b, 0x80,
    ];
    /// Written by the program of format 1.
    const GOLDEN_WITHOUT_HISTOGRAMS: &[u8] = &[
        0x01, 0x10, 0x08, 0x00, 0x40, 0x02, 0x82, 0x0a, 0x05, 0x02, 0x03, 0x00, 0x09, 0x0e, 0x01, 0xac, 0x02, 0x02,
        0xea, 0x7f, 0xc0, 0x9b, 0x82, 0x0a, 0x03, 0x01, 0x02, 0x05, 0x04, 0x04, 0x01, 0xac, 0x02, 0x01, 0x82, 0x0a,
        0x02, 0x01, 0x01, 0x00, 0x01, 0xac, 0x02, 0x01, 0x77, 0x61, 0xd1, 0x13,
    ];
}
