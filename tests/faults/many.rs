//! Many clients post and read the same few things at once, and the server is killed meanwhile: some order of what was
//! acknowledged explains every answer that any of them got.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::linear::{Operation, Outcome, What, explain};
use crate::number;
use crate::postgres::Postgres;
use crate::random::Random;
use crate::server::{Client, Server, wait_until};

const CLIENTS: usize = 5;
const ROUNDS: usize = 6;
/// How many operations a client has in a round.
const OPERATIONS: usize = 10;
/// How many ids there are of each kind of event, and of choices.
const IDS: usize = 5;
const CHOICES: u64 = 2;

/// The bytes that were seen for an address and a tag: they may never differ.
type Answers = Mutex<BTreeMap<(String, String), String>>;

struct Many {
    random: Random,
    client: Client,
    start: Instant,
    /// The answers that it has, with their tags, by address.
    kept: BTreeMap<String, (String, String)>,
    history: Vec<Operation>,
    /// Its requests so far.
    posted: Vec<Vec<Value>>,
}

fn object(random: &mut Random) -> Value {
    let times = ["2015-01-01T00:00:00Z", "2015-01-01T23:59:59.9Z", "2015-01-02T00:30:00Z", "2015-01-02T01:00:00Z"];
    let id = 1 + random.below(IDS) as u64;
    let choice = 1 + random.below(usize::try_from(CHOICES).unwrap()) as u64;
    let ended = times[random.below(times.len())];
    let status = ["COMPLETED", "FAILED", "CANCELED", "RUNNING"][random.below(4)];
    let mut object = match random.below(10) {
        0 => return definition(["job_type", "strike", "error"][random.below(3)], choice, ["a", "b"][random.below(2)]),
        1..=4 => json!({"kind": "job", "id": id, "job_type": choice, "status": status, "ended": ended}),
        5..=7 => json!({"kind": "job_execution", "id": id, "job_type": choice, "status": status, "ended": ended,
            "queued": times[random.below(2)], "started": times[random.below(times.len())]}),
        _ => json!({"kind": "ingest", "id": id, "strike": choice, "status": "INGESTED", "ingest_ended": ended,
            "file_size": 1 + random.below(1000)}),
    };
    if random.below(3) == 0 && object["kind"] != "ingest" {
        object["error"] = choice.into();
    }
    if random.below(2) == 0 {
        object["last_modified"] = times[random.below(times.len())].into();
    }
    object
}

fn definition(kind: &str, id: u64, name: &str) -> Value {
    let mut object = json!({"kind": kind, "id": id, "name": name});
    match kind {
        "job_type" => object["version"] = "1".into(),
        "error" => (object["category"], object["is_builtin"]) = ("DATA".into(), true.into()),
        _ => {}
    }
    object
}

/// What became of a request that was answered so.
fn outcome(answer: Option<(u16, Value)>) -> Outcome {
    match answer {
        Some((200, answer)) => Outcome::Stored(answer),
        Some((400, _)) => Outcome::Refused,
        Some((503, _)) | None => Outcome::Unknown,
        Some((status, answer)) => panic!("{status}: {answer}"),
    }
}

impl Many {
    /// One operation; whether the server is still there.
    fn operate(&mut self, answers: &Answers) -> bool {
        let began = self.start.elapsed();
        let what = match self.random.below(10) {
            0 => Some(self.delete()),
            1..=4 => Some(self.post()),
            _ => self.read(answers),
        };
        let ended = self.start.elapsed();
        let operation = what.map(|what| Operation { began, ended, what });
        let is_there = operation.as_ref().is_some_and(Operation::is_sure);
        self.history.extend(operation);
        is_there
    }

    fn post(&mut self) -> What {
        let mut objects: Vec<_> = (0..=self.random.below(6)).map(|_| object(&mut self.random)).collect();
        match self.random.below(8) {
            // A client that did not hear the answer posts once more.
            0 if !self.posted.is_empty() => objects.clone_from(&self.posted[self.random.below(self.posted.len())]),
            1 => objects.push(json!({"kind": "job", "id": 1, "job_type": 77, "status": "RUNNING"})),
            _ => self.posted.push(objects.clone()),
        }
        let outcome = outcome(self.client.post(&objects));
        What::Post { objects, outcome }
    }

    fn delete(&mut self) -> What {
        let kinds = ["job", "job_execution", "ingest"];
        let key = |random: &mut Random| (kinds[random.below(3)].to_owned(), 1 + random.below(IDS) as u64);
        let keys: Vec<_> = (0..=self.random.below(4)).map(|_| key(&mut self.random)).collect();
        let outcome = outcome(self.client.delete(&keys));
        What::Delete { keys, outcome }
    }

    /// Reads with the tag of the answer that it has, if it has one.
    fn read(&mut self, answers: &Answers) -> Option<What> {
        let metrics = ["job-types", "ingests", "errors"][self.random.below(3)];
        if self.random.below(5) == 0 {
            let answer = self.ask(format!("/v6/metrics/{metrics}/"), answers)?;
            let shown = answer["choices"].as_array().unwrap().clone();
            return Some(What::Choices { metrics, shown });
        }
        let selected: Vec<u64> = (1..=CHOICES).filter(|_| self.random.below(2) == 0).collect();
        let resolution = ["day", "hour"][self.random.below(2)];
        let mut path = format!("/v6/metrics/{metrics}/plot-data/?resolution={resolution}&page_size=1000");
        for id in &selected {
            write!(path, "&choice_id={id}").unwrap();
        }
        let mut answer = self.ask(path, answers)?;
        let mut shown = answer["results"].take();
        for series in shown.as_array_mut().unwrap() {
            series["column"] = series["column"]["name"].take();
        }
        Some(What::Plot { metrics, selected, resolution, shown: serde_json::from_value(shown).unwrap() })
    }

    fn ask(&mut self, path: String, answers: &Answers) -> Option<Value> {
        let tag = self.kept.get(&path).map(|(tag, _)| tag.as_str()).filter(|_| self.random.below(2) == 0);
        let (status, tag, text) = self.client.ask(&path, tag)?;
        let text = match status {
            200 => {
                let before = answers.lock().insert((path.clone(), tag.clone()), text.clone());
                assert!(before.is_none_or(|before| before == text), "{path} has two answers with the tag {tag}");
                self.kept.insert(path, (tag, text.clone()));
                text
            }
            // What it has is still right.
            304 => self.kept[&path].1.clone(),
            503 => return None,
            _ => panic!("{status}: {text}"),
        };
        Some(serde_json::from_str(&text).unwrap())
    }
}

/// The servers that are used, in a directory: one on a file, or three on a database.
struct Servers<'a> {
    directory: &'a Path,
    /// The address of the database.
    database: Option<String>,
    running: Vec<Server>,
}

impl<'a> Servers<'a> {
    fn start(directory: &'a Path, database: Option<String>) -> Self {
        let mut servers = Self { directory, database, running: Vec::new() };
        let count = if servers.database.is_some() { 3 } else { 1 };
        servers.running = (0..count).map(|_| servers.one()).collect();
        servers
    }

    fn one(&self) -> Server {
        match &self.database {
            Some(address) => Server::serve_database(self.directory, address),
            None => Server::serve(self.directory),
        }
    }

    /// A client of one of them.
    fn client(&self, number: usize) -> Client {
        self.running[number % self.running.len()].client.clone()
    }
}

/// Servers are used and, every other round, one is killed; returns the history.
fn history(seed: u64, database: Option<String>) -> Vec<Operation> {
    let directory = tempfile::tempdir().unwrap();
    let (start, answers) = (Instant::now(), Answers::default());
    let mut servers = Servers::start(directory.path(), database);
    let mut many: Vec<_> = (0..CLIENTS as u64)
        .map(|number| Many {
            random: Random(seed * 100 + number),
            client: servers.client(0),
            start,
            kept: BTreeMap::new(),
            history: Vec::new(),
            posted: Vec::new(),
        })
        .collect();
    let kinds = ["job_type", "strike", "error"];
    let objects: Vec<_> = kinds.iter().flat_map(|kind| (1..=CHOICES).map(|id| definition(kind, id, "a"))).collect();
    let began = start.elapsed();
    let outcome = Outcome::Stored(servers.client(0).post(&objects).unwrap().1);
    let mut history = vec![Operation { began, ended: start.elapsed(), what: What::Post { objects, outcome } }];
    for round in 0..ROUNDS {
        for (place, one) in many.iter_mut().enumerate() {
            one.client = servers.client(place + round);
        }
        let victim = round % servers.running.len();
        let count = &AtomicUsize::new(0);
        thread::scope(|scope| {
            let clients = many.iter_mut().map(|one| {
                let answers = &answers;
                scope.spawn(move || {
                    (0..OPERATIONS).all(|_| {
                        count.fetch_add(1, Ordering::Relaxed);
                        one.operate(answers)
                    })
                })
            });
            let clients: Vec<_> = clients.collect();
            if round % 2 == 1 {
                let enough = 1 + Random(seed + round as u64).below(CLIENTS * OPERATIONS);
                let are_done = || clients.iter().all(ScopedJoinHandle::is_finished);
                wait_until("operations begin", || count.load(Ordering::Relaxed) >= enough || are_done());
                servers.running[victim].kill();
            }
        });
        if round % 2 == 1 {
            servers.running[victim] = servers.one();
        }
        let over = start.elapsed();
        for one in &mut many {
            history.extend(one.history.drain(..).map(|mut operation| {
                if !operation.is_sure() {
                    operation.ended = over;
                }
                operation
            }));
        }
    }
    history
}

#[test]
fn some_order_explains_what_many_clients_saw_at_once() {
    each_history_has_an_order(|| None);
}

#[test]
fn some_order_explains_what_many_clients_of_several_servers_saw_at_once() {
    let Some(postgres) = Postgres::shared() else { return };
    each_history_has_an_order(|| Some(postgres.new_database()));
}

fn each_history_has_an_order(database: impl Fn() -> Option<String>) {
    let first = number("FAULT_SEED", 1);
    let (mut operations, mut unknown) = (0, 0);
    let histories = number("FAULT_HISTORIES", 3);
    for seed in first..first + histories {
        let history = history(seed, database());
        operations += history.len();
        unknown += history.iter().filter(|it| !it.is_sure()).count();
        if let Err(unexplained) = explain(&history) {
            panic!(
                "{unexplained}\nFAULT_SEED={seed} FAULT_HISTORIES=1 cargo test --test faults many, if it comes again"
            );
        }
    }
    eprintln!(
        "{histories} histories, {operations} operations, {unknown} of them without an answer: each has its order"
    );
    assert!(operations > 100, "hardly anything was asked for");
}
