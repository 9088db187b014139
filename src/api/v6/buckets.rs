//! Reads the aggregates of buckets of any length: from rollups of days where a day lies in one bucket, otherwise from those of its
//! hours. Where a bucket begins within an hour of UTC, as in zones with half hours, the events of that hour decide.

use std::collections::BTreeMap;
use std::mem;

use crate::api::ApiError;
use crate::api::compute_budget::ComputeBudget;
use crate::events::Contribution;
use crate::rollup::{Aggregate, Parts, RollupScope, Tally};
use crate::store::{Detail, Part, RollupQuery, Snapshot};
use crate::time::{Calendar, Date, Resolution, TimeRange, Timestamp, Zone};
use crate::vocabulary::MetricsTypeId;

/// The buckets to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buckets {
    /// The first point in time.
    from: Timestamp,
    /// The last point in time.
    to: Timestamp,
    /// How the time between is divided; `None` if it is one bucket.
    calendar: Option<Calendar>,
    zone: Zone,
    /// By how much the time that was asked for is later than these buckets, in microseconds.
    later_us: u64,
}

impl Buckets {
    /// The buckets of a calendar in a range, which is in whole buckets of it.
    pub(super) fn of(calendar: Calendar, range: TimeRange) -> Self {
        let to = calendar.next(range.ended).map_or(Timestamp::MAX, Timestamp::before);
        Self { from: range.started, to, calendar: Some(calendar), zone: calendar.zone, later_us: 0 }
    }

    /// One bucket, from its first point in time to its last one, which is so many microseconds before the one that was asked for.
    pub(super) fn one(from: Timestamp, to: Timestamp, zone: Zone, later_us: u64) -> Self {
        Self { from, to, calendar: None, zone, later_us }
    }

    /// The days that they touch.
    pub(super) fn dates(self) -> (Date, Date) {
        (self.from.date(), self.to.date())
    }

    /// Whether it is known, without looking at each day, that buckets begin at full hours of UTC.
    fn have_full_hours(self) -> bool {
        let ends_full = self.to.after().is_none_or(Timestamp::is_full_hour);
        self.from.is_full_hour() && ends_full && self.calendar.is_none_or(|calendar| calendar.zone.is_utc())
    }

    /// Whether a bucket begins or ends within an hour of UTC.
    pub(super) fn need_events(self) -> bool {
        let (first, last) = self.dates();
        [first, last].into_iter().any(|date| self.divides_hours(date))
    }

    /// The start of the bucket that a point in time belongs to.
    fn start_of(self, time: Timestamp) -> Timestamp {
        self.calendar.map_or(self.from, |calendar| calendar.start_of(time))
    }

    /// Whether everything from one point in time to another belongs to one bucket.
    fn hold_together(self, first: Timestamp, last: Timestamp) -> bool {
        self.from <= first && last <= self.to && self.start_of(first) == self.start_of(last)
    }

    /// Whether each bucket has what one part of a day has, so that nothing is to be merged.
    fn are_parts(self) -> bool {
        self.calendar.is_some_and(|Calendar { zone, resolution }| match resolution {
            Resolution::Hour => true,
            Resolution::Day => zone.is_utc(),
            Resolution::Week | Resolution::Month => false,
        })
    }

    /// Whether a bucket may begin or end within an hour of a day.
    fn divides_hours(self, date: Date) -> bool {
        let is_within = |time: Timestamp| time.date() == date && !time.is_full_hour();
        let ends_within = self.to.date() == date && self.to.after().is_some_and(|end| !end.is_full_hour());
        is_within(self.from) || ends_within || self.calendar.is_some_and(|calendar| !calendar.has_full_hours(date))
    }

    /// The events that would tell what belongs to a bucket are forgotten. `last` is the end of the last hour of which that is so.
    fn forgotten(self, last: Timestamp) -> ApiError {
        let calendar = self.calendar.unwrap_or(Calendar { zone: self.zone, resolution: Resolution::Day });
        // A bucket that begins at a full hour of UTC, or in an hour whose events are kept.
        let after = Timestamp::from_micros(last.micros() + self.later_us).unwrap_or(Timestamp::MAX);
        let start = calendar.start_of(after);
        let from = self.zone.local(calendar.next(start).unwrap_or(start)).date();
        let detail = format!(
            "some of its days begin within an hour of UTC, so they need events, and those are forgotten: it can be answered with \
             `started={from}` or later, or in another time zone"
        );
        ApiError::parameter("timezone", self.zone.name(), detail)
    }

    /// A bit for each hour of a day that belongs to more than one bucket, or only in part to any.
    fn divided_hours(self, date: Date) -> u32 {
        let is_divided = |&hour: &u8| {
            let (first, last) = (date.hour_start(hour), date.hour_end(hour));
            last >= self.from && first <= self.to && !self.hold_together(first, last)
        };
        if !self.divides_hours(date) {
            return 0;
        }
        (0..24).filter(is_divided).fold(0, |bits, hour| bits | 1 << hour)
    }
}

/// What is read of each bucket.
pub(super) struct Wanted<'a> {
    pub(super) metrics: MetricsTypeId,
    /// All choices together, or some choices in ascending order.
    pub(super) scopes: &'a [RollupScope],
    pub(super) parts: Parts,
}

/// Reads the aggregates of buckets, oldest first, and those of one bucket in the order of their scopes. `add` gets each, with the
/// memory that is held here, in bytes; `held` is that of other data in the budget.
pub(super) fn read(
    snapshot: &Snapshot,
    buckets: Buckets,
    wanted: &Wanted<'_>,
    held: usize,
    budget: &mut ComputeBudget,
    mut add: impl FnMut(&mut ComputeBudget, usize, (Timestamp, RollupScope), &Aggregate) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let dates = buckets.dates();
    let bounds = budget.bounds();
    let go_on = || bounds.check();
    let mut open = Open { buckets: BTreeMap::new(), bytes: held, spare: Aggregate::default() };
    let mut divided: BTreeMap<Date, u32> = BTreeMap::new();
    if !buckets.have_full_hours() {
        let days = snapshot.days(wanted.metrics, dates)?;
        let hours = days.into_iter().map(|date| (date, buckets.divided_hours(date)));
        divided.extend(hours.filter(|(_, hours)| *hours > 0));
    }
    let events_from = snapshot.kept().events_from;
    let detail = if wanted.parts.has_distributions() { Detail::Tasks } else { Detail::Ends };
    for (&date, &hours) in divided.range(events_from..) {
        snapshot.contributions(date, wanted.metrics, wanted.scopes, detail, go_on, |time, scope, contribution| {
            if hours >> contribution.hour & 1 == 1 && (buckets.from..=buckets.to).contains(&time) {
                open.fold((buckets.start_of(time), scope), contribution);
                budget.hold(open.bytes)?;
            }
            Ok::<_, ApiError>(())
        })?;
    }
    let query = RollupQuery { metrics: wanted.metrics, scopes: wanted.scopes, dates, parts: wanted.parts };
    let is_whole = |date: Date| buckets.hold_together(date.start(), date.end());
    let last_forgotten = || {
        let last = divided.range(..events_from).next_back();
        last.map_or(Timestamp::MIN, |(date, hours)| date.hour_end(u8::try_from(hours.ilog2()).unwrap_or(23)))
    };
    let place_of = |date: Date, part| {
        let (first, hour) = match part {
            Part::Day => (date.start(), None),
            Part::Hour(hour) => (date.hour_start(hour), Some(hour)),
        };
        let is_divided = hour.is_some_and(|hour| divided.get(&date).is_some_and(|hours| hours >> hour & 1 == 1));
        match is_divided {
            true if date < events_from => Err(buckets.forgotten(last_forgotten())),
            true => Ok(Place::Events),
            false if (buckets.from..=buckets.to).contains(&first) => Ok(Place::Bucket(buckets.start_of(first))),
            false => Ok(Place::Outside),
        }
    };
    let mut at = None;
    let mut tally = Tally::default();
    snapshot.rollups(&query, is_whole, go_on, |date, part, scope, aggregate| {
        let place = match at {
            Some((same, place)) if same == (date, part) => place,
            _ => {
                let place = place_of(date, part)?;
                at = Some(((date, part), place));
                place
            }
        };
        let Place::Bucket(start) = place else { return Ok(()) };
        while let Some((bucket, mut aggregate)) = open.take_before(start) {
            aggregate.sort(&mut tally);
            add(budget, open.bytes, bucket, &aggregate)?;
            aggregate.clear();
            open.spare = aggregate;
        }
        if buckets.are_parts() {
            return add(budget, open.bytes, (start, scope), aggregate);
        }
        open.merge((start, scope), aggregate);
        budget.hold(open.bytes)
    })?;
    for (bucket, mut aggregate) in open.buckets {
        aggregate.sort(&mut tally);
        add(budget, open.bytes, bucket, &aggregate)?;
    }
    Ok(())
}

/// Where a part of a day counts.
#[derive(Clone, Copy)]
enum Place {
    /// In the bucket that starts then.
    Bucket(Timestamp),
    /// In several buckets, to which its events were added already.
    Events,
    /// Nowhere.
    Outside,
}

/// The buckets that are not complete yet.
struct Open {
    buckets: BTreeMap<(Timestamp, RollupScope), Aggregate>,
    /// The memory that they take, and what else is held.
    bytes: usize,
    /// An empty one, with memory for the next bucket.
    spare: Aggregate,
}

impl Open {
    fn change(&mut self, bucket: (Timestamp, RollupScope), change: impl FnOnce(&mut Aggregate)) {
        let Self { buckets, bytes, spare } = self;
        let aggregate = buckets.entry(bucket).or_insert_with(|| {
            let aggregate = mem::take(spare);
            *bytes += size_of::<((Timestamp, RollupScope), Aggregate)>() + aggregate.memory();
            aggregate
        });
        *bytes -= aggregate.memory();
        change(aggregate);
        *bytes += aggregate.memory();
    }

    fn merge(&mut self, bucket: (Timestamp, RollupScope), aggregate: &Aggregate) {
        self.change(bucket, |whole| whole.merge(aggregate));
    }

    fn fold(&mut self, bucket: (Timestamp, RollupScope), contribution: &Contribution) {
        self.change(bucket, |whole| whole.fold(contribution));
    }

    /// Takes the first bucket out if it starts before a point in time.
    fn take_before(&mut self, time: Timestamp) -> Option<((Timestamp, RollupScope), Aggregate)> {
        let first = self.buckets.first_entry().filter(|first| first.key().0 < time)?;
        let (bucket, aggregate) = first.remove_entry();
        self.bytes -= size_of::<((Timestamp, RollupScope), Aggregate)>() + aggregate.memory();
        Some((bucket, aggregate))
    }
}
