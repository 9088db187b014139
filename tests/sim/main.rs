//! The store and the rollup task on a disk that crashes, fails and runs full, on a database across such a network, and on one that
//! another server writes, too.
//!
//! A seed decides everything: the requests, the groups that they are committed in, what goes wrong and when.
//! After every step everything that is stored is read, and must be what was acknowledged, with every rollup computed anew.
//! After a failed commit there are two states that may hold, with the group and without it; once the database is open again,
//! what is there tells which, and from then on it has to stay. In the end every column is compared with what the oracle of
//! `tests/it` makes of the events. All runs on one thread and by a clock of its own.
//!
//! Not here: HTTP (`tests/it`, `tests/faults`).

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod columns;
mod disk;
mod faults;
mod model;
#[path = "../it/oracle.rs"]
#[allow(dead_code, reason = "choices and totals are asked for over HTTP only")]
mod oracle;
mod remote;
mod requests;

use std::any::Any;
use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use scale_metrics::commands::check;
use scale_metrics::events::Object;
use scale_metrics::store::{OpenOptions, RowsError, Store, StoreError};
use scale_metrics::telemetry::server_metrics::ServerMetrics;
use scale_metrics::time::{Clock, Date};
use scale_metrics::worker::commit;
use scale_metrics::worker::extremes::Limits;
use scale_metrics::worker::retention::{Expiry, RetentionGuard};
use scale_metrics::worker::{
    Examined, Progress, Queue, QueueItem, Readiness, RebuildCommand, Receipt, Request, Retention, RollupTask,
    WriteFailed,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use disk::Disk;
use faults::{Fault, Faults, Op};
use model::{Model, Stored};
use remote::Remote;

/// 2015-01-01, in days since 1970.
const FIRST_DAY: u32 = 16_436;
/// How many seeds run if nobody says otherwise.
const SEEDS: u64 = 250;
const DAY: Duration = Duration::from_hours(24);
/// How far a clock may be ahead and still be believed.
const LEEWAY_DAYS: u32 = 2;

type Answer<T> = oneshot::Receiver<Result<T, WriteFailed>>;

/// The open store, with its task.
struct Server {
    store: Arc<Store>,
    queue: Arc<Queue>,
    readiness: Arc<Readiness>,
    guard: Arc<RetentionGuard>,
    task: RollupTask,
}

/// How often things happened.
type Counts = BTreeMap<&'static str, u64>;

/// Where the database is.
#[derive(Debug, Clone, Copy)]
enum On {
    Disk,
    Remote,
    /// Another server uses the remote database, too.
    Shared,
}

/// What the database stands on.
enum Host {
    Disk(Disk),
    Remote(Remote),
}

impl Host {
    /// A store on it, not opened yet.
    fn store(&self, options: OpenOptions) -> Store {
        let nowhere = Path::new("nowhere");
        match self {
            Self::Disk(disk) => {
                let disk = disk.clone();
                Store::with_backend(nowhere, options, move || Ok(disk.clone()))
            }
            Self::Remote(remote) => Store::with_rows(nowhere, Box::new(remote.database())),
        }
    }

    /// Starts again after a crash, with what it left.
    fn restart(&self, faults: &Faults) {
        if let Self::Disk(disk) = self {
            disk.restart();
        }
        faults.restart();
    }
}

/// What the other server has stored, and its receipts.
type Stories = Arc<Mutex<Vec<(Vec<Object>, Receipt)>>>;

/// The other server on the same database, which has no faults.
struct Other {
    store: Arc<Store>,
    stored: Stories,
}

struct Simulation {
    rng: Rng,
    host: Host,
    other: Option<Other>,
    faults: Faults,
    /// What day it is, whatever the clock says.
    day: u32,
    clock: Clock,
    /// The periods that are meant.
    retention: Retention,
    /// The periods that the settings say.
    settings: Retention,
    grace: Duration,
    options: OpenOptions,
    server: Option<Server>,
    /// Whether requests delete events now and then.
    has_deletions: bool,
    /// The database could be read when the disk was broken last.
    was_usable: bool,
    /// What may be stored: one state, unless it is unknown whether some commits took effect.
    candidates: Vec<Model>,
    /// Nothing may have been stored at some moment while the settings were wrong. They take effect at once then, since nothing can be lost.
    is_mistake_agreed: bool,
    /// What finding extremes may cost: often so little that requests are set aside.
    limits: Limits,
    /// Requests that are set aside, in the order in which they were posted.
    parked: Vec<(Vec<Object>, Answer<Receipt>)>,
    /// Rebuilds that are under way.
    rebuilds: Vec<Answer<Examined>>,
    /// Requests from before, to be posted again.
    posted: Vec<Vec<Value>>,
    log: Vec<String>,
    counts: Counts,
}

impl Simulation {
    fn new(on: On, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let retention = match rng.u8(..3) {
            0 => Retention::default(),
            1 => Retention { events_days: 3, rollups_days: 0 },
            _ => Retention { events_days: 3, rollups_days: 5 },
        };
        let faults = Faults::default();
        let mut simulation = Self {
            host: match on {
                On::Disk => Host::Disk(Disk::new(rng.u64(..), faults.clone())),
                On::Remote | On::Shared => Host::Remote(Remote::new(rng.u64(..), faults.clone())),
            },
            other: None,
            faults,
            day: FIRST_DAY,
            settings: retention,
            // One that is over now and then, and one that never is.
            grace: DAY * [3, 10_000][rng.usize(..2)],
            clock: Clock::fixed(Date::from_days(FIRST_DAY).unwrap().hour_start(12)),
            retention,
            options: OpenOptions { cache_bytes: [0, 32 << 10, 1 << 20][rng.usize(..3)], verify: rng.bool() },
            server: None,
            has_deletions: false,
            was_usable: false,
            candidates: vec![Model::empty()],
            is_mistake_agreed: false,
            limits: Limits {
                zone_cost: [1, 64, 512][rng.usize(..3)],
                commit_cost: [0, 0, 1, 40, 2_048][rng.usize(..5)],
                replace_cost: [0, 4][rng.usize(..2)],
                slice_cost: [1, 33, 2_048][rng.usize(..3)],
                cached_bytes: [0, 4_096, 32 << 20][rng.usize(..3)],
            },
            parked: Vec::new(),
            rebuilds: Vec::new(),
            posted: Vec::new(),
            log: Vec::new(),
            counts: Counts::new(),
            rng,
        };
        simulation.open();
        let first = requests::definitions(&mut simulation.rng);
        simulation.post(vec![first]);
        if let (On::Shared, Host::Remote(remote)) = (on, &simulation.host) {
            let store = Store::with_rows(Path::new("nowhere"), Box::new(remote.without_faults().database()));
            store.open_first().unwrap();
            simulation.other = Some(Other { store: Arc::new(store), stored: Stories::default() });
        }
        simulation
    }

    fn count(&mut self, name: &'static str, number: u64) {
        *self.counts.entry(name).or_default() += number;
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("it is open between steps")
    }

    /// Some steps, then everything is put right and looked at closely.
    fn run(&mut self) {
        self.has_deletions = true;
        for _ in 0..self.rng.u32(15..40) {
            self.step();
            if self.rng.bool() {
                let most = self.rng.usize(1..20);
                self.slices(most);
            }
            if self.faults.has_crashed() {
                self.restart();
            }
            self.check();
        }
        self.faults.heal();
        self.recover();
        self.slices(usize::MAX);
        self.recover();
        self.check();
        self.audit();
    }

    fn step(&mut self) {
        if self.rng.u8(..4) == 0 {
            self.post_to_other();
        }
        match self.rng.u8(..100) {
            0..45 => {
                let day = self.day;
                let requests = (0..self.rng.usize(1..5)).map(|_| requests::request(&mut self.rng, day)).collect();
                self.post(requests);
            }
            45..55 => {
                let again = (0..self.rng.usize(1..4)).map(|_| self.rng.choice(&self.posted).unwrap().clone()).collect();
                self.post(again);
            }
            55..60 => {
                self.log.push("pause".to_owned());
                self.server().task.work(QueueItem::Nothing);
            }
            60..64 => self.expire(),
            64..66 => self.set_clock(),
            66..72 => self.rebuild(),
            72..74 => self.reopen_in_order(),
            74..77 => {
                self.log.push("crash".to_owned());
                self.faults.crash();
            }
            77..95 => self.break_disk(),
            _ => {
                self.log.push("heal".to_owned());
                self.faults.heal();
            }
        }
    }

    fn break_disk(&mut self) {
        let rng = &mut self.rng;
        let fault = match rng.u8(..10) {
            0..4 => Fault::Crash { after: rng.u64(..150) },
            4..8 => {
                let (op, most) = [(Op::Read, 20), (Op::Write, 40), (Op::SetLen, 1), (Op::Sync, 4)][rng.usize(..4)];
                Fault::Fail { op, after: rng.u64(..most), for_ever: rng.bool(), done: rng.bool() }
            }
            _ => Fault::Full { every_write: rng.bool() },
        };
        self.log.push(format!("{fault:?}"));
        self.faults.fail(fault);
        self.was_usable = self.server().store.is_usable();
    }

    /// Posts requests that wait together, some of them with an object that is refused.
    fn post(&mut self, requests: Vec<Vec<Value>>) {
        let mut waiting: Vec<(Vec<Object>, Answer<Receipt>)> = Vec::new();
        for mut objects in requests {
            let is_bad = !self.posted.is_empty() && self.rng.u8(..8) == 0;
            if is_bad {
                let place = self.rng.usize(..=objects.len());
                objects.insert(place, requests::invalid(&mut self.rng, self.day));
            }
            let Ok(drafted) = self.draft(&objects) else {
                self.count("requests that could not be checked", 1);
                continue;
            };
            let Some(mut valid) = drafted else {
                self.count("requests refused", 1);
                continue;
            };
            assert!(!is_bad, "a bad request was accepted");
            self.posted.push(objects);
            if self.has_deletions {
                requests::add_deletions(&mut self.rng, &mut valid);
            }
            let queue = Arc::clone(&self.server().queue);
            let mut lease = queue.lease();
            lease.hold(valid.iter().map(Object::memory).sum()).unwrap();
            let (reply, answer) = oneshot::channel();
            queue.push(Request { objects: valid.clone(), lease, reply }).unwrap();
            waiting.push((valid, answer));
        }
        self.log.push(format!("post {:?}", waiting.iter().map(|(objects, _)| objects.len()).collect::<Vec<_>>()));
        self.drain(waiting);
    }

    /// Posts to the other server, which stores it now, or right before the next transaction of this one.
    fn post_to_other(&mut self) {
        let Some(other) = &self.other else { return };
        let objects = if self.rng.bool() || self.posted.is_empty() {
            requests::request(&mut self.rng, self.day)
        } else {
            self.rng.choice(&self.posted).unwrap().clone()
        };
        let first_day = self.server.as_ref().unwrap().guard.first_day();
        let (store, stored) = (Arc::clone(&other.store), Arc::clone(&other.stored));
        let mut deletions = Vec::new();
        requests::add_deletions(&mut self.rng, &mut deletions);
        let act = move || {
            let mut draft = store.snapshot().unwrap().draft().keeping_from(first_day);
            draft.read_json(json!(objects).to_string().as_bytes()).unwrap();
            let Ok(mut objects) = draft.finish() else { return };
            objects.extend(deletions);
            let objects = [objects];
            let applied = store.write(|transaction| commit::apply(transaction, &objects)).unwrap();
            let [objects] = objects;
            stored.lock().push((objects, applied.outcomes.receipts[0]));
        };
        if self.rng.bool() {
            self.log.push("the other server stores something".to_owned());
            act();
            self.learn_of_other();
        } else if let Host::Remote(remote) = &self.host {
            self.log.push("the other server is about to store something".to_owned());
            remote.interject(Box::new(act));
        }
    }

    /// Adds to the model what the other server has stored, before anything that this server has stored since then.
    fn learn_of_other(&mut self) {
        let Some(other) = &self.other else { return };
        let stored = std::mem::take(&mut *other.stored.lock());
        for (objects, receipt) in stored {
            self.count("requests of another server", 1);
            self.candidates.retain_mut(|state| state.apply(&objects) == receipt);
            assert!(!self.candidates.is_empty(), "the receipt of the other server is of no state that may hold");
            self.note_emptiness();
        }
    }

    fn is_perhaps_empty(&self) -> bool {
        self.candidates.iter().any(|state| state.events.is_empty())
    }

    /// Notes that wrong settings may have taken effect.
    fn note_emptiness(&mut self) {
        self.is_mistake_agreed |= self.settings != self.retention && self.is_perhaps_empty();
    }

    /// Reads and checks a request as the server does: its objects, or `None` if it is refused.
    fn draft(&mut self, objects: &[Value]) -> Result<Option<Vec<Object>>, StoreError> {
        let server = self.server();
        let mut draft = server.store.snapshot()?.draft().keeping_from(server.guard.first_day());
        draft.read_json(json!(objects).to_string().as_bytes()).unwrap();
        Ok(draft.finish().ok())
    }

    /// Lets the task work until nothing waits, and takes in what it answered.
    fn drain(&mut self, waiting: Vec<(Vec<Object>, Answer<Receipt>)>) {
        let group_bytes = [1, 4 << 10, 8 << 20][self.rng.usize(..3)];
        let mut waiting = waiting.into_iter();
        let queue = Arc::clone(&self.server().queue);
        loop {
            let server = self.server();
            let taken = server.queue.take(group_bytes, Some(Duration::ZERO));
            let size = match &taken {
                QueueItem::Requests(requests) => requests.len(),
                QueueItem::Nothing => break,
                QueueItem::RebuildCommand(_) | QueueItem::Closed => unreachable!("neither is asked for"),
            };
            let left = server.queue.waiting();
            server.task.work(taken);
            // A task that waits for its turn takes along what came meanwhile.
            let taken_along = left - server.queue.waiting();
            let group = waiting.by_ref().take(size + taken_along).collect();
            let parked = self.learn_answered(group);
            self.count("requests set aside", parked.len() as u64);
            if Arc::ptr_eq(&queue, &self.server().queue) {
                self.parked.extend(parked);
            }
            if !Arc::ptr_eq(&queue, &self.server().queue) {
                // It had to be started again, and what waited is gone.
                return;
            }
        }
        assert!(waiting.next().is_none(), "every request is answered");
    }

    /// Lets the task do slices until it has nothing to do in slices, at most so many.
    fn slices(&mut self, most: usize) {
        let mut done = 0;
        while self.server().task.is_busy() && done < most {
            if self.rng.u8(..8) == 0 {
                self.post_to_other();
            }
            let is_ready = self.server().readiness.reasons().is_empty();
            self.server().task.slice();
            self.learn_of_other();
            done += 1;
            assert!(done < 10_000, "slices get nowhere");
            let queue = Arc::clone(&self.server().queue);
            let mut parked = std::mem::take(&mut self.parked);
            if is_ready {
                parked = self.learn_answered(parked);
            } else {
                // Where nothing can be written, nobody tries.
                parked.retain_mut(|(_, answer)| match answer.try_recv() {
                    Ok(result) => {
                        assert_eq!(result, Err(WriteFailed::Unavailable));
                        false
                    }
                    Err(empty) => {
                        assert_eq!(empty, TryRecvError::Empty);
                        true
                    }
                });
            }
            if Arc::ptr_eq(&queue, &self.server().queue) {
                self.parked = parked;
            }
            self.learn_rebuilt();
        }
        self.count("slices", done as u64);
    }

    /// Takes in what those of some requests say that are answered, which were committed together; returns the others.
    fn learn_answered(&mut self, requests: Vec<(Vec<Object>, Answer<Receipt>)>) -> Vec<(Vec<Object>, Answer<Receipt>)> {
        let (mut group, mut answers, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (objects, mut answer) in requests {
            match answer.try_recv() {
                Ok(result) => {
                    group.push(objects);
                    answers.push(result);
                }
                Err(TryRecvError::Empty) => others.push((objects, answer)),
                Err(TryRecvError::Closed) => panic!("a request is dropped without an answer"),
            }
        }
        if !group.is_empty() {
            self.learn(&group, &answers);
        }
        others
    }

    /// What the answers to a group say about what is stored.
    fn learn(&mut self, group: &[Vec<Object>], answers: &[Result<Receipt, WriteFailed>]) {
        self.learn_of_other();
        assert!(!answers.contains(&Err(WriteFailed::Internal)), "internal error");
        self.log.push(format!("  answers {answers:?}"));
        let applied = |before: &Model| {
            let mut after = before.clone();
            let receipts: Vec<_> = group.iter().map(|objects| Ok(after.apply(objects))).collect();
            (after, receipts)
        };
        if answers.iter().all(Result::is_ok) {
            self.count("commits", 1);
            self.count("requests stored", answers.len() as u64);
            let matching = self.candidates.iter().map(applied).filter(|(_, receipts)| receipts == answers);
            self.candidates = matching.map(|(after, _)| after).collect();
            assert!(!self.candidates.is_empty(), "the receipts are of no state that may hold");
            self.note_emptiness();
        } else {
            assert!(answers.iter().all(Result::is_err), "a group is stored whole or not at all");
            self.count("commits failed", 1);
            let after: Vec<_> = self.candidates.iter().map(|before| applied(before).0).collect();
            self.may_be(after);
        }
    }

    /// These may be stored as well.
    fn may_be(&mut self, states: Vec<Model>) {
        for state in states {
            if !self.candidates.contains(&state) {
                self.candidates.push(state);
            }
        }
        self.note_emptiness();
        if self.candidates.len() > 16 {
            if self.faults.has_crashed() {
                self.restart();
            }
            self.faults.heal();
            self.recover();
            self.check();
        }
    }

    /// Lets time pass, and the task forget a little.
    fn expire(&mut self) {
        // Nothing is set aside for a day.
        self.slices(usize::MAX);
        if self.rng.bool() {
            let days = self.rng.u32(1..3);
            self.day += days;
            self.clock.pass(DAY * days);
        }
        self.log.push(format!("expire on day {}", self.day));
        for _ in 0..self.rng.u8(1..4) {
            self.server().task.expire();
            self.forget();
        }
        self.count("steps of expiry", 1);
    }

    /// What the task's decision may have done to what is stored. It must be one that neither a wrong clock nor settings that
    /// were wrong for a while can bring about.
    fn forget(&mut self) {
        self.learn_of_other();
        let guard = &self.server().guard;
        let (cut_offs, now) = (guard.cut_offs(), guard.now());
        if self.grace > DAY * 1_000 && !self.is_mistake_agreed {
            let latest = Date::from_days(self.day + LEEWAY_DAYS).unwrap().hour_start(12);
            assert!(now <= latest, "on day {} it was believed to be {now}", self.day);
            let most = self.retention.cut_offs(latest);
            assert!(cut_offs.events_from <= most.events_from, "{cut_offs:?} on day {}", self.day);
            assert!(cut_offs.rollups_from <= most.rollups_from, "{cut_offs:?} on day {}", self.day);
        }
        let states = self.candidates.iter().map(|before| {
            let mut after = before.clone();
            after.forget(cut_offs);
            after
        });
        let states = states.collect();
        self.may_be(states);
    }

    /// Sets the clock wrong, or right again.
    fn set_clock(&mut self) {
        let day = match self.rng.u8(..5) {
            0 => self.day + 30_000,
            1 => self.day + 45,
            2 => self.day - 20,
            _ => self.day,
        };
        self.log.push(format!("the clock is set to day {day}"));
        self.clock.set(Date::from_days(day).unwrap().hour_start(12));
        self.count("the clock was set", 1);
    }

    /// Has the rollups of a day computed anew, while other steps go on.
    fn rebuild(&mut self) {
        let date = Date::from_days(self.day - self.rng.u32(..6)).unwrap();
        self.rebuild_day(date);
    }

    fn rebuild_day(&mut self, date: Date) {
        self.log.push(format!("rebuild {}", date.days()));
        let (reply, answer) = oneshot::channel();
        let server = self.server();
        server.queue.rebuild(RebuildCommand { date, reply }).unwrap();
        let taken = server.queue.take(1, Some(Duration::ZERO));
        server.task.work(taken);
        self.rebuilds.push(answer);
    }

    /// Takes in what rebuilds found: there must have been nothing to put right.
    fn learn_rebuilt(&mut self) {
        let mut rebuilt = 0;
        self.rebuilds.retain_mut(|answer| match answer.try_recv() {
            Ok(Ok(examined)) => {
                assert_eq!(
                    (examined.wrong, examined.unindexed, examined.misplaced),
                    (Vec::new(), 0, 0),
                    "something was wrong"
                );
                rebuilt += 1;
                false
            }
            Ok(Err(failed)) => {
                assert_eq!(failed, WriteFailed::Unavailable);
                false
            }
            Err(empty) => {
                assert_eq!(empty, TryRecvError::Empty, "a command is dropped without an answer");
                true
            }
        });
        self.count("days rebuilt", rebuilt);
    }

    fn reopen_in_order(&mut self) {
        self.log.push("close and open".to_owned());
        if self.rng.bool() {
            self.slices(usize::MAX);
            let server = self.server();
            server.queue.close();
            let taken = server.queue.take(1, None);
            assert_eq!(server.task.work(taken), Progress::Done);
        }
        self.server().store.close();
        self.end();
        if self.faults.has_crashed() {
            self.host.restart(&self.faults);
        }
        self.open();
        self.count("reopened in order", 1);
    }

    /// The server is gone, and what was set aside with it.
    fn end(&mut self) {
        self.server = None;
        self.parked.clear();
        self.rebuilds.clear();
    }

    /// Starts again after a crash.
    fn restart(&mut self) {
        self.end();
        self.host.restart(&self.faults);
        self.log.push("restart".to_owned());
        if self.rng.u8(..3) == 0 {
            self.faults.fail(Fault::Crash { after: self.rng.u64(..60) });
        }
        self.open();
        self.count("restarts after a crash", 1);
    }

    /// Opens the store, as often as it takes: a disk that fails is mended, one that crashed starts again.
    fn open(&mut self) {
        let store = loop {
            let store = self.host.store(self.options);
            match store.open_first() {
                Ok(()) => break Arc::new(store),
                Err(error) => {
                    self.log.push(format!("  does not open: {error:?}"));
                    assert!(
                        matches!(error, StoreError::Rows(RowsError::Unusable(_) | RowsError::Unavailable(_))),
                        "{error:?}"
                    );
                    self.count("opens that failed", 1);
                    if self.faults.has_crashed() {
                        self.host.restart(&self.faults);
                    }
                    self.faults.heal();
                }
            }
        };
        self.learn_of_other();
        let is_mistaken = !self.is_perhaps_empty() && self.rng.u8(..4) == 0;
        self.settings = if is_mistaken { Retention { events_days: 1, rollups_days: 1 } } else { self.retention };
        let queue = Arc::new(Queue::new(usize::MAX));
        let readiness = Arc::new(Readiness::default());
        let guard = Arc::new(RetentionGuard::new(self.settings, self.grace, self.clock.clone()));
        let task = RollupTask::new(
            Arc::clone(&store),
            Arc::clone(&queue),
            Arc::clone(&readiness),
            Arc::new(ServerMetrics::default()),
            Expiry::new(Arc::clone(&guard)),
        )
        .with_limits(self.limits);
        self.server = Some(Server { store, queue, readiness, guard, task });
        self.server().task.expire();
        self.forget();
        if self.faults.has_crashed() {
            self.restart();
        }
    }

    /// On a disk that works, two pauses are enough for the task to be ready again.
    fn recover(&mut self) {
        let server = self.server();
        server.task.work(QueueItem::Nothing);
        server.task.work(QueueItem::Nothing);
        assert_eq!(server.readiness.reasons(), Vec::<String>::new(), "the task does not recover");
    }

    /// Reads everything: it must be one of the states that may hold, and where the task is ready, it is settled which.
    fn check(&mut self) {
        self.learn_of_other();
        self.faults.set_quiet(true);
        let must_read = self.was_usable && self.faults.are_merely_full();
        let server = self.server();
        let is_ready = server.readiness.reasons().is_empty();
        match server.store.snapshot().and_then(|snapshot| Stored::read(&snapshot)) {
            Ok(stored) => {
                let expected: Vec<_> = self.candidates.iter().map(Model::expected).collect();
                let holds = expected.iter().position(|expected| stored == *expected);
                let differences = || expected.iter().map(|expected| stored.difference(expected)).collect::<Vec<_>>();
                let Some(holds) = holds else { panic!("is stored, but was not acknowledged: {:#?}", differences()) };
                if is_ready {
                    self.candidates = vec![self.candidates.swap_remove(holds)];
                } else {
                    self.count("states compared while nothing can be written", 1);
                }
                self.count("states compared", 1);
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Rows(RowsError::Unavailable(_) | RowsError::Closed)), "{error:?}");
                assert!(!must_read, "a full disk cannot be read: {error:?}");
                assert!(!is_ready || !server.store.is_usable(), "it cannot be read, and nobody knows: {error:?}");
                self.count("states unreadable", 1);
            }
        }
        self.faults.set_quiet(false);
    }

    /// The program's own check of everything, the index and the file included.
    fn audit(&mut self) {
        let events = self.candidates[0].events.len() as u64;
        let report = check::run(&self.server().store, false).unwrap();
        assert_eq!(report.problems, []);
        assert_eq!(report.events, events);
        assert_eq!(self.candidates.len(), 1, "it is known what is stored");
        let compared = columns::compare(&self.server().store.snapshot().unwrap()).unwrap();
        self.count("values compared with the oracle", compared);
    }
}

/// What a seed did, or how it failed.
fn simulate(on: On, seed: u64) -> Result<Counts, String> {
    let mut simulation = None;
    let result = catch_unwind(AssertUnwindSafe(|| simulation.insert(Simulation::new(on, seed)).run()));
    let Some(mut simulation) = simulation else { return Err(format!("seed {seed} does not begin")) };
    if let Err(panic) = result {
        return Err(format!(
            "{}\nof seed {seed}: {}\nSIM_SEED={seed} cargo test --test sim -- --nocapture",
            simulation.log.join("\n"),
            message(&*panic)
        ));
    }
    for (name, number) in simulation.faults.counts() {
        simulation.count(name, number);
    }
    Ok(simulation.counts)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn what_is_acknowledged_is_stored_once_whatever_the_disk_does() {
    simulate_all(On::Disk);
}

#[test]
fn what_is_acknowledged_is_stored_once_whatever_the_network_does() {
    simulate_all(On::Remote);
}

#[test]
fn what_is_acknowledged_is_stored_once_whatever_another_server_does() {
    simulate_all(On::Shared);
}

/// Runs as many seeds as the environment says, or the one that it names.
fn simulate_all(on: On) {
    let seeds = number("SIM_SEED").map_or(0..number("SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let mut counts = Counts::new();
    let mut failures = Vec::new();
    for seed in seeds.clone() {
        match simulate(on, seed) {
            Ok(of_seed) => of_seed.into_iter().for_each(|(name, number)| *counts.entry(name).or_default() += number),
            Err(failure) => failures.push(failure),
        }
    }
    eprintln!("{} seeds, {on:?}", seeds.end - seeds.start);
    for (name, count) in &counts {
        eprintln!("{name:>36} {count:>10}");
    }
    assert!(failures.is_empty(), "{} seeds failed; the first:\n{}", failures.len(), failures[0]);
}

/// Nobody posts: the task has settled the file, and would never touch it again.
#[test]
fn a_failed_read_is_mended_in_the_next_pause() {
    let mut simulation = Simulation::new(On::Disk, 0);
    simulation.options.cache_bytes = 0;
    simulation.reopen_in_order();
    simulation.recover();
    let read = |simulation: &mut Simulation| {
        let snapshot = simulation.server().store.snapshot()?;
        Stored::read(&snapshot)
    };
    let before = read(&mut simulation).unwrap();
    simulation.faults.fail(Fault::Fail { op: Op::Read, after: 0, for_ever: false, done: false });
    // The database refuses from then on, although the disk works again.
    for _ in 0..2 {
        assert!(matches!(read(&mut simulation), Err(StoreError::Rows(RowsError::Unavailable(_)))));
    }
    simulation.server().task.work(QueueItem::Nothing);
    assert_eq!(read(&mut simulation).unwrap(), before);
    assert_eq!(simulation.server().readiness.reasons(), Vec::<String>::new());

    simulation.faults.fail(Fault::Fail { op: Op::Read, after: 0, for_ever: true, done: false });
    assert!(read(&mut simulation).is_err());
    simulation.server().task.work(QueueItem::Nothing);
    assert_eq!(simulation.server().readiness.reasons().len(), 1);
    simulation.faults.heal();
    simulation.recover();
    assert_eq!(read(&mut simulation).unwrap(), before);
}

/// The largest of many goes, and finding the next takes more than a commit may read.
#[test]
fn a_correction_that_needs_much_to_be_read_does_not_hold_up_others() {
    let mut simulation = Simulation::new(On::Disk, 0);
    simulation.limits = Limits { zone_cost: 1, commit_cost: 40, replace_cost: 0, slice_cost: 1, cached_bytes: 1 << 20 };
    simulation.reopen_in_order();
    let execution = |id: u64, seconds: u64| {
        json!({
            "kind": "job_execution", "id": id, "job_type": 1, "status": "COMPLETED",
            "started": format!("2015-01-01T05:{:02}:{:02}Z", 59 - seconds / 60, 59 - seconds % 60),
            "ended": "2015-01-01T05:59:59Z",
        })
    };
    let other =
        |id: u64| json!({"kind": "job", "id": id, "job_type": 1, "status": "FAILED", "ended": "2015-01-01T05:59:59Z"});
    simulation.post(vec![(1..=1_000).map(|id| execution(id, id % 3_000 + 1)).collect()]);
    simulation.slices(usize::MAX);
    for (round, id) in [(1, 1_000), (2, 999)] {
        simulation.post(vec![vec![execution(id, 5)], vec![other(round)]]);
        assert_eq!(simulation.parked.len(), usize::from(round == 1), "only the first has to read a lot");
        simulation.post(vec![vec![other(round + 10)]]);
        simulation.check();
        simulation.slices(usize::MAX);
        assert!(simulation.parked.is_empty());
        simulation.check();
    }
    assert!(simulation.counts["slices"] >= 1_000 / 128, "{:?}", simulation.counts);
    simulation.audit();
}

/// Others commit between the slices of a rebuild: before the place where it has come, and behind it.
#[test]
fn a_rebuild_does_not_hold_up_others() {
    let mut simulation = Simulation::new(On::Disk, 0);
    simulation.limits = Limits { slice_cost: 1, ..Limits::default() };
    simulation.reopen_in_order();
    let job = |id: u64, status: &str| json!({"kind": "job", "id": id, "job_type": id % 3 + 1, "status": status, "ended": "2015-01-01T05:59:59Z"});
    simulation.post(vec![(1..=3_000).map(|id| job(id, "COMPLETED")).collect()]);
    simulation.rebuild_day(Date::from_days(FIRST_DAY).unwrap());
    let mut rounds = 0;
    while !simulation.rebuilds.is_empty() {
        rounds += 1;
        simulation.slices(1);
        simulation.post(vec![(0..10).map(|n| job(n * 300 + rounds, "FAILED")).collect()]);
        simulation.check();
    }
    assert!(rounds > 3_000 / 128, "{rounds}");
    assert_eq!(simulation.counts["days rebuilt"], 1);
    simulation.audit();
}

/// What it has added up is of a state before that commit.
#[test]
fn a_rebuild_begins_anew_after_a_commit_that_failed_and_took_effect() {
    let mut simulation = Simulation::new(On::Disk, 0);
    simulation.limits = Limits { slice_cost: 1, ..Limits::default() };
    simulation.reopen_in_order();
    let job = |id: u64, status: &str| json!({"kind": "job", "id": id, "job_type": 1, "status": status, "ended": "2015-01-01T05:59:59Z"});
    simulation.post(vec![(1..=3_000).map(|id| job(id, "COMPLETED")).collect()]);
    simulation.check();
    let before = simulation.candidates[0].clone();
    simulation.rebuild_day(Date::from_days(FIRST_DAY).unwrap());
    simulation.slices(5);
    simulation.faults.fail(Fault::Fail { op: Op::Sync, after: 0, for_ever: false, done: true });
    simulation.post(vec![vec![job(1, "FAILED")]]);
    assert_eq!(simulation.counts["commits failed"], 1);
    simulation.recover();
    simulation.check();
    assert!(simulation.candidates[0] != before, "it took effect");
    simulation.slices(usize::MAX);
    assert_eq!(simulation.counts["days rebuilt"], 1);
    simulation.audit();
}

#[test]
fn a_seed_runs_the_same_way_twice() {
    for on in [On::Disk, On::Remote, On::Shared] {
        for seed in 0..3 {
            assert_eq!(simulate(on, seed), simulate(on, seed));
        }
    }
}

/// Its events were not forgotten when it was checked, and are when it is stored: it would be counted once more.
#[test]
fn a_request_that_the_retention_overtakes_is_not_stored() {
    let mut simulation = Simulation::new(On::Disk, 0);
    simulation.settings = Retention { events_days: 3, rollups_days: 0 };
    simulation.reopen_in_order();
    let job = |id: u64, day: &str| json!({"kind": "job", "id": id, "job_type": 1, "status": "COMPLETED", "ended": format!("{day}T00:00:00Z")});
    simulation.post(vec![vec![job(1, "2015-01-01")]]);
    let checked = simulation.draft(&[job(1, "2015-01-01")]).unwrap().unwrap();
    simulation.clock.pass(DAY * 10);
    simulation.server().task.expire();
    assert_eq!(simulation.draft(&[job(1, "2015-01-01")]).unwrap(), None);
    let other = simulation.draft(&[job(2, "2015-01-11")]).unwrap().unwrap();
    let server = simulation.server();
    let answers = [checked, other].map(|objects| {
        let (reply, answer) = oneshot::channel();
        server.queue.push(Request { objects, lease: server.queue.lease(), reply }).unwrap();
        answer
    });
    let taken = server.queue.take(8 << 20, Some(Duration::ZERO));
    server.task.work(taken);
    let [checked, other] = answers.map(|mut answer| answer.try_recv().unwrap());
    assert_eq!(checked, Err(WriteFailed::Overtaken));
    assert_eq!(other.map(|receipt| receipt.created), Ok(1));
    let stored = Stored::read(&server.store.snapshot().unwrap()).unwrap();
    assert_eq!(stored.events(), 1);
}
