//! Groups of events: how many there are, and what was measured of them.

use std::collections::HashMap;

use crate::events::outline::Observations;
use crate::events::{Choices, Outline};
use crate::rollup::{Distribution, Tally};
use crate::time::Zone;
use crate::vocabulary::{ChoiceId, DISTRIBUTIONS, ErrorCategory, FinalStatus, MetricsTypeId};

/// What events are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The choice of the metrics type.
    Choice,
    /// How they ended.
    Status,
    /// Their error, if any.
    Error,
    /// The category of their error, if any.
    ErrorCategory,
    /// Their job type, where that is not the choice.
    JobType,
    /// The local hour in which they ended, from 0 to 23.
    Hour,
    /// The local day of the week on which they ended, from 1 for Monday to 7.
    Weekday,
}

/// What the events of a group have in common, in one respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// A choice of a metrics type.
    Choice(MetricsTypeId, ChoiceId),
    /// An error.
    Error(ChoiceId),
    /// A word.
    Word(&'static str),
    /// An hour or a day of the week.
    Number(u64),
    /// Nothing: the events have no error.
    Nothing,
}

/// The statuses in the order of their names.
const STATUSES: [FinalStatus; FinalStatus::ALL.len()] = [
    FinalStatus::Canceled,
    FinalStatus::Completed,
    FinalStatus::Deferred,
    FinalStatus::Duplicate,
    FinalStatus::Errored,
    FinalStatus::Failed,
    FinalStatus::Ingested,
];

/// The categories in the order of their names.
const CATEGORIES: [ErrorCategory; ErrorCategory::ALL.len()] =
    [ErrorCategory::Algorithm, ErrorCategory::Data, ErrorCategory::System];

/// Stands for nothing, and so comes last.
const NOTHING: u64 = u64::MAX;

/// How events are grouped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grouping {
    /// The metrics type that counts the events.
    pub metrics: MetricsTypeId,
    /// One or two respects.
    pub by: Vec<By>,
    /// Whose clocks tell hours and days.
    pub zone: Zone,
}

/// A group in one or two respects, as numbers that have the order of the groups.
type Key = [u64; 2];

impl Grouping {
    fn key(&self, outline: &Outline, choices: &Choices) -> Key {
        let mut key = [0; 2];
        // To ask a zone takes longer than all else.
        let mut clock = None;
        let mut clock = || *clock.get_or_insert_with(|| self.zone.clock(outline.ended));
        for (part, by) in key.iter_mut().zip(&self.by) {
            *part = self.part(*by, outline, choices, &mut clock);
        }
        key
    }

    fn part(&self, by: By, outline: &Outline, choices: &Choices, clock: &mut impl FnMut() -> (u8, u8)) -> u64 {
        let place = |place: Option<usize>| place.map_or(NOTHING, |place| place as u64);
        let error = outline.error;
        match by {
            By::Choice if self.metrics == MetricsTypeId::Errors => error.map_or(NOTHING, ChoiceId::get),
            By::Choice | By::JobType => outline.choice.get(),
            By::Status => place(STATUSES.iter().position(|status| *status == outline.status)),
            By::Error => error.map_or(NOTHING, ChoiceId::get),
            By::ErrorCategory => {
                let category = error.and_then(|error| choices.error(error)).map(|error| error.category);
                place(category.and_then(|category| CATEGORIES.iter().position(|other| *other == category)))
            }
            By::Hour => clock().0.into(),
            By::Weekday => clock().1.into(),
        }
    }

    /// What the events of a group have in common, in each respect.
    pub fn common(&self, group: &Group) -> impl Iterator<Item = (By, Common)> {
        self.by.iter().zip(group.key).map(|(&by, part)| (by, self.common_part(by, part)))
    }

    fn common_part(&self, by: By, part: u64) -> Common {
        let id = ChoiceId::new(part);
        let place = usize::try_from(part).unwrap_or(usize::MAX);
        let common = match by {
            By::Choice => id.map(|id| Common::Choice(self.metrics, id)),
            By::JobType => id.map(|id| Common::Choice(MetricsTypeId::JobTypes, id)),
            By::Error => id.map(Common::Error),
            By::Status => STATUSES.get(place).map(|status| Common::Word(status.name())),
            By::ErrorCategory => CATEGORIES.get(place).map(|category| Common::Word(category.name())),
            By::Hour | By::Weekday => Some(Common::Number(part)),
        };
        common.unwrap_or(Common::Nothing)
    }
}

/// Events that have something in common.
#[derive(Debug)]
pub struct Group {
    key: Key,
    /// How many there are.
    pub count: u64,
    /// What was measured of them; `None` while nothing was.
    measured: Option<Box<[Distribution; DISTRIBUTIONS]>>,
}

impl Group {
    /// The distribution at an index.
    pub fn distribution(&self, place: usize) -> Option<&Distribution> {
        self.measured.as_ref().map(|measured| &measured[place])
    }

    fn observe(&mut self, observations: &Observations) {
        if observations.iter().all(Option::is_none) {
            return;
        }
        let measured = self.measured.get_or_insert_default();
        for (distribution, observation) in measured.iter_mut().zip(observations) {
            if let Some(value) = observation {
                distribution.observe(*value);
            }
        }
    }

    fn memory(&self) -> usize {
        let histograms = |measured: &[Distribution; DISTRIBUTIONS]| -> usize {
            size_of_val(measured) + measured.iter().map(|it| it.histogram.memory()).sum::<usize>()
        };
        self.measured.as_ref().map_or(0, |measured| histograms(measured))
    }
}

/// Groups of events, while they are read.
#[derive(Debug)]
pub struct Groups {
    grouping: Grouping,
    all: Vec<Group>,
    by_key: HashMap<Key, usize>,
    /// The group of the last event: neighbours often belong together.
    last: Option<(Key, usize)>,
}

/// There are more groups than a request may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManyGroups;

impl Groups {
    /// The most groups that there may be.
    pub const MOST: usize = 10_000;

    /// No groups so far.
    pub fn new(grouping: Grouping) -> Self {
        Self { grouping, all: Vec::new(), by_key: HashMap::new(), last: None }
    }

    /// Adds an event. Fails if it would make too many groups.
    pub fn add(&mut self, outline: &Outline, choices: &Choices) -> Result<(), ManyGroups> {
        let key = self.grouping.key(outline, choices);
        let place = match self.last {
            Some((last, place)) if last == key => place,
            _ => self.place(key)?,
        };
        self.last = Some((key, place));
        let group = &mut self.all[place];
        group.count += 1;
        group.observe(&outline.observations);
        Ok(())
    }

    fn place(&mut self, key: Key) -> Result<usize, ManyGroups> {
        if let Some(&place) = self.by_key.get(&key) {
            return Ok(place);
        }
        if self.all.len() == Self::MOST {
            return Err(ManyGroups);
        }
        self.by_key.insert(key, self.all.len());
        self.all.push(Group { key, count: 0, measured: None });
        Ok(self.all.len() - 1)
    }

    /// The approximate memory that they take, in bytes. Looks at all groups.
    pub fn memory(&self) -> usize {
        let keys = self.by_key.capacity() * size_of::<(Key, usize)>();
        keys + self.all.iter().map(|group| size_of::<Group>() + group.memory()).sum::<usize>()
    }

    /// The groups, the largest first; those of equal size in the order of what they have in common.
    pub fn into_ordered(self) -> Vec<Group> {
        let mut groups = self.all;
        groups.sort_unstable_by_key(|group| (u64::MAX - group.count, group.key));
        let mut tally = Tally::default();
        for distribution in groups.iter_mut().filter_map(|group| group.measured.as_mut()).flat_map(|it| it.iter_mut()) {
            distribution.histogram.sort(&mut tally);
        }
        groups
    }
}
