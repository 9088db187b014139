//! The server is killed under load, again and again: whatever it acknowledged is there, once, and nothing is there by halves.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::number;
use crate::poster::{Poster, definitions, look_through};
use crate::random::Random;
use crate::server::{Server, wait_until};

const CLIENTS: u64 = 4;

/// All clients post, and somebody reads, until so many requests more are acknowledged; then `end` ends the server.
fn load(server: Server, posters: &mut [Poster], requests: u64, end: impl FnOnce(Server)) {
    let counters: Vec<_> = posters.iter().map(Poster::counter).collect();
    let acknowledged = || counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<u64>();
    let enough = acknowledged() + requests;
    thread::scope(|scope| {
        for poster in posters {
            let client = server.client.clone();
            scope.spawn(move || poster.post(&client));
        }
        let client = server.client.clone();
        scope.spawn(move || while client.get("/v6/metrics/job-types/plot-data/?column=total_count").is_some() {});
        wait_until("there is load", || acknowledged() >= enough);
        end(server);
    });
}

/// Starts the server and sees that it has everything; returns it, and how many open requests had been stored.
fn audit(directory: &Path, posters: &mut [Poster]) -> (Server, usize) {
    let server = Server::serve(directory);
    let stored = posters.iter_mut().filter_map(|poster| poster.settle(&server.client).then_some(())).count();
    (server, stored)
}

#[test]
fn nothing_acknowledged_is_lost_or_counted_twice_however_often_the_server_is_killed() {
    let kills = number("FAULT_KILLS", 6);
    let directory = tempfile::tempdir().unwrap();
    let mut posters: Vec<_> = (1..=CLIENTS).map(Poster::new).collect();
    let mut random = Random(number("FAULT_SEED", 1));
    let mut server = Server::serve(directory.path());
    for poster in &posters {
        assert_eq!(server.client.post(&definitions(poster.number)).unwrap().0, 200);
    }
    let mut stored_openly = 0;
    for _ in 0..kills {
        let requests = 1 + random.below(60) as u64;
        // At any moment between two acknowledgements.
        let moment = Duration::from_micros(random.below(20_000) as u64);
        load(server, &mut posters, requests, |mut server| {
            thread::sleep(moment);
            server.kill();
        });
        let (restarted, stored) = audit(directory.path(), &mut posters);
        server = restarted;
        stored_openly += stored;
    }
    assert!(server.end("TERM").success());
    look_through(directory.path(), &[], &posters);
    let acknowledged: u64 = posters.iter().map(Poster::acknowledged).sum();
    eprintln!("{kills} kills, {acknowledged} requests, {stored_openly} of them stored without an answer");
}

#[test]
fn a_server_that_is_told_to_stop_under_load_keeps_what_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut posters: Vec<_> = (1..=CLIENTS).map(Poster::new).collect();
    let mut server = Server::serve(directory.path());
    for poster in &posters {
        assert_eq!(server.client.post(&definitions(poster.number)).unwrap().0, 200);
    }
    for _ in 0..2 {
        load(server, &mut posters, 40, |server| assert!(server.end("TERM").success()));
        server = audit(directory.path(), &mut posters).0;
    }
    assert!(server.end("TERM").success());
    look_through(directory.path(), &[], &posters);
}
