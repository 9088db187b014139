//! Clients that remember what they posted.
//!
//! Each has job types of its own, and what was acknowledged in an [`Oracle`]: so what the server shows of it is explained by that
//! and, wholly or not at all, by the one request that got no answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fs, mem};

use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::oracle::{Oracle, fit};
use crate::random::Random;
use crate::server::{Client, run};

/// The ids of a client's events, from the first on.
const IDS: u64 = 1_000_000;

/// What a client knows.
pub(crate) struct Poster {
    pub(crate) number: u64,
    random: Random,
    /// How many different ids its events have of each kind.
    ids: usize,
    /// How many events a request may have.
    sizes: &'static [usize],
    /// Whether some requests delete events.
    deletes: bool,
    /// What was acknowledged, but for `fresh`.
    known: Oracle,
    /// The requests that were acknowledged since the server was started, in their order.
    fresh: Vec<Request>,
    /// All events that there are, by kind and id.
    events: BTreeMap<Key, Value>,
    /// What was sent and never answered.
    open: Option<Request>,
    /// How many requests were; others look while it posts.
    acknowledged: Arc<AtomicU64>,
}

/// The kind and the id of an event.
type Key = (String, u64);

/// What a client sends.
#[derive(Clone)]
enum Request {
    Post(Vec<Value>),
    Delete(Vec<Key>),
}

impl Request {
    /// Sends it; whether it was acknowledged, or `None` if the server is gone, is stopping or cannot write.
    #[track_caller]
    fn send(&self, client: &Client) -> Option<()> {
        let answer = match self {
            Self::Post(events) => client.post(events),
            Self::Delete(keys) => client.delete(keys),
        };
        match answer? {
            (200, answer) => {
                let number = |field: &str| answer[field].as_u64().unwrap();
                match self {
                    Self::Post(events) => assert_eq!(number("accepted"), events.len() as u64),
                    Self::Delete(keys) => assert_eq!(number("deleted") + number("missing"), keys.len() as u64),
                }
                Some(())
            }
            // It says so.
            (503, _) => None,
            (status, answer) => panic!("{status}: {answer}"),
        }
    }
}

impl Poster {
    /// One that posts and deletes much of few events.
    pub(crate) fn new(number: u64) -> Self {
        Self::of(number, 3_000, &[1, 3, 40, 400], true)
    }

    /// One that posts about ever more events.
    pub(crate) fn growing(number: u64) -> Self {
        Self::of(number, 900_000, &[3_000], false)
    }

    fn of(number: u64, ids: usize, sizes: &'static [usize], deletes: bool) -> Self {
        let mut known = Oracle::default();
        known.post(&definitions(number)).unwrap();
        Self {
            number,
            random: Random(number),
            ids,
            sizes,
            deletes,
            known,
            fresh: Vec::new(),
            events: BTreeMap::new(),
            open: None,
            acknowledged: Arc::default(),
        }
    }

    /// The choices that are its own.
    fn job_types(&self) -> [u64; 2] {
        [2 * self.number, 2 * self.number + 1]
    }

    /// A request: some new events, some in the place of earlier ones; or the deletion of some that may be there.
    fn request(&mut self) -> Request {
        let count = self.sizes[self.random.below(self.sizes.len())];
        if self.deletes && self.random.below(4) == 0 {
            let kinds = ["job", "job_execution"];
            let keys = (0..count).map(|_| (kinds[self.random.below(2)].to_owned(), self.id()));
            return Request::Delete(keys.collect());
        }
        let events = (0..count)
            .map(|_| {
                let id = self.id();
                let job_type = self.job_types()[self.random.below(2)];
                let status = ["COMPLETED", "FAILED", "CANCELED"][self.random.below(3)];
                let (day, hour, queued) = (1 + self.random.below(4), self.random.below(24), self.random.below(60));
                let ended = format!("2015-01-{day:02}T{hour:02}:59:30Z");
                if self.random.below(2) == 0 {
                    json!({"kind": "job", "id": id, "job_type": job_type, "status": status, "ended": ended})
                } else {
                    let queued = format!("2015-01-{day:02}T{hour:02}:{queued:02}:00Z");
                    json!({"kind": "job_execution", "id": id, "job_type": job_type, "status": "COMPLETED",
                        "queued": queued, "started": ended, "ended": ended})
                }
            })
            .collect();
        Request::Post(events)
    }

    /// The id of one of its events.
    fn id(&mut self) -> u64 {
        self.number * IDS + 1 + self.random.below(self.ids) as u64
    }

    /// Takes in what was acknowledged.
    fn learn(&mut self, acknowledged: Vec<Request>) {
        for request in acknowledged {
            match request {
                Request::Post(events) => {
                    self.known.post(&events).unwrap();
                    for event in events {
                        let key = (event["kind"].as_str().unwrap().to_owned(), event["id"].as_u64().unwrap());
                        self.events.insert(key, event);
                    }
                }
                Request::Delete(keys) => {
                    self.known.delete(&keys);
                    for key in &keys {
                        self.events.remove(key);
                    }
                }
            }
        }
    }

    /// How many requests were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The same, for whoever looks while it posts.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.acknowledged)
    }

    /// Posts until the server is gone.
    pub(crate) fn post(&mut self, client: &Client) {
        self.post_until(client, &AtomicBool::new(false));
    }

    /// Posts until the server is gone or cannot write, or until it is over.
    pub(crate) fn post_until(&mut self, client: &Client, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let request = self.request();
            if request.send(client).is_none() {
                self.open = Some(request);
                return;
            }
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            self.fresh.push(request);
        }
    }

    /// Sees that the server shows what was acknowledged, with or without the open request; and sends that again.
    pub(crate) fn settle(&mut self, client: &Client) -> bool {
        let shown = self.shown(client);
        let fresh = mem::take(&mut self.fresh);
        self.learn(fresh);
        let Some(open) = self.open.take() else {
            assert!(fit(&shown, &self.expected()), "client {}: {shown:?} for {:?}", self.number, self.expected());
            return false;
        };
        let without = self.expected();
        self.learn(vec![open.clone()]);
        let was_stored = !fit(&shown, &without);
        assert!(!was_stored || fit(&shown, &self.expected()), "client {} sees a part of a request", self.number);
        open.send(client).unwrap();
        assert!(fit(&self.shown(client), &self.expected()), "client {} after it sent that again", self.number);
        was_stored
    }

    /// All columns of its job types, by hour, as the server shows them.
    fn shown(&self, client: &Client) -> Vec<Value> {
        let [one, other] = self.job_types();
        let query = format!("choice_id={one}&choice_id={other}&resolution=hour&page_size=1000");
        let (status, mut answer) = client.get(&format!("/v6/metrics/job-types/plot-data/?{query}")).unwrap();
        assert_eq!(status, 200, "{answer}");
        let mut results = answer["results"].take();
        for series in results.as_array_mut().unwrap() {
            series["column"] = series["column"]["name"].take();
        }
        serde_json::from_value(results).unwrap()
    }

    fn expected(&self) -> Vec<Value> {
        self.known.plot(Tz::UTC, "job-types", &self.job_types(), "hour")
    }
}

pub(crate) fn definitions(client: u64) -> Vec<Value> {
    let job_type = |id: u64| json!({"kind": "job_type", "id": id, "name": format!("type-{id}"), "version": "1"});
    vec![job_type(2 * client), job_type(2 * client + 1)]
}

/// `check` finds nothing, and `export` has exactly what was acknowledged.
pub(crate) fn look_through(directory: &Path, store: &[&str], posters: &[Poster]) {
    let run = |command: &[&str]| run(directory, &[command, store].concat());
    let checked = run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
    let exported = run(&["export", "--output", "all.ndjson"]);
    assert_eq!(exported.status.code(), Some(0), "{}", String::from_utf8_lossy(&exported.stderr));
    let lines = fs::read_to_string(directory.join("all.ndjson")).unwrap();
    fs::remove_file(directory.join("all.ndjson")).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let exported: BTreeMap<_, _> = events
        .filter(|event| event["kind"] != "job_type")
        .map(|event| ((event["kind"].as_str().unwrap().to_owned(), event["id"].as_u64().unwrap()), event))
        .collect();
    let known: BTreeMap<_, _> = posters.iter().flat_map(|poster| &poster.events).collect();
    assert_eq!(exported.keys().collect::<Vec<_>>(), known.keys().copied().collect::<Vec<_>>());
    for (key, event) in known {
        for field in ["job_type", "status"] {
            assert_eq!(exported[key][field], event[field], "{field} of {key:?}");
        }
    }
}
