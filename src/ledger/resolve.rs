//! Resolution: which content of an event or a choice is stored when several were posted, and what the client is told of each
//! (created, updated, unchanged; of events also stale, deleted, missing). docs/reference.md, Posting events, has the rules.

use crate::events::{Choice, Choices, Event, EventChange, EventKey, Object};
use crate::vocabulary::Kind;

/// The outcomes of the objects of one request, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipt {
    /// New.
    pub created: u64,
    /// In the place of another content.
    pub updated: u64,
    /// The same as before.
    pub unchanged: u64,
    /// Older than what was there, and ignored.
    pub stale: u64,
    /// Deleted.
    pub deleted: u64,
    /// To be deleted, but not there.
    pub missing: u64,
}

impl Receipt {
    /// The number of objects that were posted.
    pub fn accepted(self) -> u64 {
        self.created + self.updated + self.unchanged + self.stale
    }

    /// Adds what became of other objects.
    pub fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
        self.deleted += other.deleted;
        self.missing += other.missing;
    }

    /// Counts an object.
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Stale => self.stale += 1,
            Outcome::Deleted => self.deleted += 1,
            Outcome::Missing => self.missing += 1,
        }
    }
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Created,
    Updated,
    Unchanged,
    Stale,
    Deleted,
    Missing,
}

/// What became of the objects of some requests.
#[derive(Debug)]
pub struct Outcomes {
    /// For each request.
    pub receipts: Vec<Receipt>,
    /// For each kind of objects.
    by_kind: [Receipt; Kind::ALL.len()],
}

impl Outcomes {
    /// Nothing so far, for so many requests.
    pub fn new(requests: usize) -> Self {
        Self { receipts: vec![Receipt::default(); requests], by_kind: Default::default() }
    }

    fn count(&mut self, request: usize, kind: Kind, outcome: Outcome) {
        self.receipts[request].count(outcome);
        self.by_kind[kind as usize].count(outcome);
    }

    /// How many objects of each kind had each outcome, without zeros.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, &'static str, u64)> {
        Kind::ALL.iter().zip(&self.by_kind).flat_map(|(&kind, receipt)| {
            let &Receipt { created, updated, unchanged, stale, deleted, missing } = receipt;
            let posted = [("created", created), ("updated", updated), ("unchanged", unchanged), ("stale", stale)];
            let numbers = posted.into_iter().chain([("deleted", deleted), ("missing", missing)]);
            let numbers = numbers.filter(|(_, number)| *number > 0);
            numbers.map(move |(outcome, number)| (kind, outcome, number))
        })
    }
}

/// The objects of some requests: definitions as they came, events by key.
pub struct Posted<'a> {
    definitions: Vec<(usize, &'a Choice)>,
    /// Ordered by key, then by arrival.
    events: Vec<PostedEvent<'a>>,
}

/// An event, and the place of the request that it came with.
struct PostedEvent<'a> {
    key: EventKey,
    request: usize,
    /// `None` if the event is to be deleted.
    event: Option<&'a Event>,
}

impl<'a> Posted<'a> {
    /// The objects of these requests.
    pub fn new(requests: &'a [Vec<Object>]) -> Self {
        let mut definitions = Vec::new();
        let mut events = Vec::with_capacity(requests.iter().map(Vec::len).sum());
        for (request, objects) in requests.iter().enumerate() {
            for object in objects {
                match object {
                    Object::Choice(choice) => definitions.push((request, choice)),
                    Object::Event(event) => events.push(PostedEvent { key: event.key(), request, event: Some(event) }),
                    Object::Deletion(key) => events.push(PostedEvent { key: *key, request, event: None }),
                }
            }
        }
        // Events of different keys have nothing to do with each other; those of one key stay in their order.
        radsort::sort_by_key(&mut events, |posted| posted.key.order());
        Self { definitions, events }
    }

    /// The keys of the events, ascending.
    pub fn keys(&self) -> Vec<EventKey> {
        self.events.chunk_by(|a, b| a.key == b.key).map(|events| events[0].key).collect()
    }

    /// Returns the posted definitions that change something, in order.
    pub fn resolve_definitions(&self, stored: &Choices, outcomes: &mut Outcomes) -> Vec<&'a Choice> {
        let (mut changed, mut latest) = (Vec::new(), Choices::default());
        for &(request, choice) in &self.definitions {
            let (metrics, id) = choice.key();
            let outcome = match latest.get(metrics, id).or_else(|| stored.get(metrics, id)) {
                Some(present) if present == choice => Outcome::Unchanged,
                Some(_) => Outcome::Updated,
                None => Outcome::Created,
            };
            outcomes.count(request, choice.kind(), outcome);
            if !matches!(outcome, Outcome::Unchanged) {
                latest.define(choice.clone());
                changed.push(choice);
            }
        }
        changed
    }

    /// Returns the changes from the stored events, ordered by key, to the state after all posted events.
    pub fn resolve_events<'s: 'a>(&self, stored: &'s [Event], outcomes: &mut Outcomes) -> Vec<EventChange<'a>> {
        let mut stored = stored.iter().peekable();
        let mut changes = Vec::with_capacity(self.events.len());
        for events in self.events.chunk_by(|a, b| a.key == b.key) {
            let before = stored.next_if(|stored| stored.key() == events[0].key);
            let mut present = before;
            for posted in events {
                let outcome = Outcome::of(posted.event, present);
                outcomes.count(posted.request, posted.key.kind.into(), outcome);
                if matches!(outcome, Outcome::Created | Outcome::Updated | Outcome::Deleted) {
                    present = posted.event;
                }
            }
            if present != before {
                changes.push(EventChange::new(events[0].key, before, present));
            }
        }
        changes
    }

    /// The places of the requests that posted an event of this key.
    pub fn requests_of(&self, key: EventKey) -> impl Iterator<Item = usize> {
        let first = self.events.partition_point(|posted| posted.key < key);
        self.events[first..].iter().take_while(move |posted| posted.key == key).map(|posted| posted.request)
    }
}

impl Outcome {
    /// Returns the outcome of posting an event over the stored one, or of deleting that, if there is one.
    fn of(event: Option<&Event>, present: Option<&Event>) -> Self {
        match (event, present) {
            (Some(_), None) => Self::Created,
            (Some(event), Some(present)) if present == event => Self::Unchanged,
            (Some(event), Some(present)) if is_stale(event, present) => Self::Stale,
            (Some(_), Some(_)) => Self::Updated,
            (None, Some(_)) => Self::Deleted,
            (None, None) => Self::Missing,
        }
    }
}

/// Whether both have `last_modified` and that of the new event is earlier.
fn is_stale(new: &Event, present: &Event) -> bool {
    matches!((new.last_modified(), present.last_modified()), (Some(new), Some(present)) if new < present)
}
