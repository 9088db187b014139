//! Several servers on one database: servers are killed and frozen, connections are cut and break in the middle of a commit, and the
//! database crashes, again and again.
//! Whatever any server acknowledged is there through all, once, and nothing is there by halves.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::number;
use crate::poster::{Poster, definitions, look_through};
use crate::postgres::Postgres;
use crate::random::Random;
use crate::relay::{Break, Relay};
use crate::server::{Server, wait_until};

const SERVERS: usize = 3;
const CLIENTS: u64 = 5;

/// What happens in a round.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    /// A server is killed.
    Kill,
    /// A server is stopped for as long as the others take to go on.
    Freeze,
    /// All connections to the database are cut.
    Cut,
    /// The network breaks during a commit.
    Break(Break),
    /// The database crashes.
    Crash,
}

const MISHAPS: [Mishap; 6] = [
    Mishap::Kill,
    Mishap::Freeze,
    Mishap::Cut,
    Mishap::Break(Break::After),
    Mishap::Break(Break::Before),
    Mishap::Crash,
];

struct Cluster {
    database: Postgres,
    address: String,
    /// The way from the servers to the database.
    relay: Relay,
    servers: Vec<Server>,
    random: Random,
}

impl Cluster {
    fn start(directory: &Path, seed: u64) -> Option<Self> {
        let database = Postgres::start()?;
        let address = database.new_database();
        // A commit takes some time after the database has it, so that mishaps come in between, too.
        database
            .psql(&address, "ALTER ROLE tester SET commit_delay = 50000; ALTER ROLE tester SET commit_siblings = 0");
        let relay = Relay::to(&address);
        let servers = (0..SERVERS).map(|_| Server::serve_database(directory, &relay.address)).collect();
        Some(Self { database, address, relay, servers, random: Random(seed) })
    }

    /// All clients post, each to a server of its own, while somebody reads; in the middle of it, something happens. Returns whether
    /// a request is certain to be stored without an answer.
    fn round(&mut self, directory: &Path, posters: &mut [Poster], mishap: Mishap) -> bool {
        let counters: Vec<_> = posters.iter().map(Poster::counter).collect();
        let acknowledged = || counters.iter().map(|counter| counter.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let enough = acknowledged().iter().sum::<u64>() + 1 + self.random.below(40) as u64;
        let moment = Duration::from_micros(self.random.below(20_000) as u64);
        let victim = self.random.below(SERVERS);
        let mut is_lost = false;
        let is_over = &AtomicBool::new(false);
        thread::scope(|scope| {
            let served: Vec<_> = posters.iter().map(|_| self.random.below(SERVERS)).collect();
            let posting: Vec<_> = posters
                .iter_mut()
                .zip(&served)
                .map(|(poster, &server)| {
                    let client = self.servers[server].client.clone();
                    scope.spawn(move || poster.post_until(&client, is_over))
                })
                .collect();
            let client = self.servers[(victim + 1) % SERVERS].client.clone();
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    client.get("/v6/metrics/job-types/plot-data/?column=total_count");
                }
            });
            let are_done = || posting.iter().all(thread::ScopedJoinHandle::is_finished);
            wait_until("there is load", || acknowledged().iter().sum::<u64>() >= enough || are_done());
            thread::sleep(moment);
            match mishap {
                Mishap::Kill => self.servers[victim].kill(),
                Mishap::Freeze => {
                    self.servers[victim].signal("STOP");
                    let before = acknowledged();
                    let others: Vec<_> = (0..served.len()).filter(|&place| served[place] != victim).collect();
                    wait_until("the others go on", || {
                        let now = acknowledged();
                        others.iter().all(|&place| now[place] > before[place] || posting[place].is_finished())
                    });
                    self.servers[victim].signal("CONT");
                }
                Mishap::Cut => self.database.end_connections(&self.address),
                Mishap::Break(place) => {
                    self.relay.break_next(place);
                    is_lost = self.relay.has_broken(|| !are_done()) && place == Break::After;
                }
                Mishap::Crash => {
                    self.database.crash();
                    self.database.start_again();
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        if matches!(mishap, Mishap::Kill) {
            self.servers[victim] = Server::serve_database(directory, &self.relay.address);
        }
        for server in &self.servers {
            wait_until("each server is ready", || {
                server.client.get("/readyz").is_some_and(|(status, _)| status == 200)
            });
        }
        is_lost
    }

    /// Sees through any server what every client knows; returns how many open requests had been stored.
    fn settle(&mut self, posters: &mut [Poster]) -> usize {
        let settled = posters.iter_mut().filter_map(|poster| {
            let server = &self.servers[self.random.below(SERVERS)];
            poster.settle(&server.client).then_some(())
        });
        settled.count()
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_counted_twice_whatever_happens_to_one_of_several_servers() {
    let rounds = number("FAULT_ROUNDS", 8);
    let directory = tempfile::tempdir().unwrap();
    let Some(mut cluster) = Cluster::start(directory.path(), number("FAULT_SEED", 1)) else { return };
    let mut posters: Vec<_> = (1..=CLIENTS).map(Poster::new).collect();
    for poster in &posters {
        assert_eq!(cluster.servers[0].client.post(&definitions(poster.number)).unwrap().0, 200);
    }
    let mut stored_openly = 0;
    for round in 0..rounds {
        let mishap = MISHAPS[usize::try_from(round).unwrap() % MISHAPS.len()];
        let is_lost = cluster.round(directory.path(), &mut posters, mishap);
        let stored = cluster.settle(&mut posters);
        assert!(stored > 0 || !is_lost, "the connection broke after the database had committed");
        stored_openly += stored;
    }
    let acknowledged: u64 = posters.iter().map(Poster::acknowledged).sum();
    look_through(directory.path(), &["--database", &cluster.address], &posters);
    for server in cluster.servers {
        assert!(server.end("TERM").success());
    }
    eprintln!("{rounds} rounds, {acknowledged} requests, {stored_openly} of them stored without an answer");
}
