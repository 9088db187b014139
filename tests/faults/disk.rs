//! A disk that is full, and one that cannot be written. Whatever can be stored or not, what is stored is read all the time.
//!
//! Where there has to be a disk of one's own, it is mounted in a namespace that only the server is in; where the system forbids
//! that, the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::poster::{Poster, definitions, look_through};
use crate::server::{Client, GIVE_UP, SERVE, Server, program, wait_until};

/// How long somebody goes on posting to a full disk, at least: the server tries more than once meanwhile whether it still is.
const STUBBORN: Duration = Duration::from_secs(3);
/// How much is read meanwhile, at least.
const READS: u64 = 10;
/// So little that reading needs the disk.
const CACHE: [&str; 2] = ["--cache-bytes", "10000"];

/// Posts until a server's disk is full and for some time after, lets `free` make room, and waits until it is noticed. All the
/// time somebody reads.
fn fill(server: &Server, trouble: &str, free: impl FnOnce(&Server)) -> Poster {
    let client = &server.client;
    let mut poster = Poster::growing(1);
    assert_eq!(client.post(&definitions(1)).unwrap().0, 200);
    let filling = |reads: &AtomicU64| {
        poster.post(client);
        assert!(poster.acknowledged() > 3, "it was full from the beginning");
        let (status, answer) = client.get("/readyz").unwrap();
        assert_eq!(status, 503, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(trouble), "{answer}");
        let (began, read) = (Instant::now(), reads.load(Ordering::Relaxed));
        while began.elapsed() < STUBBORN || reads.load(Ordering::Relaxed) < read + READS {
            assert!(began.elapsed() < GIVE_UP, "hardly anything is read");
            poster.post(client);
        }
        free(server);
        wait_until_ready(client);
    };
    while_reading(client, filling);
    poster.settle(client);
    poster
}

/// Waits until a server has found out that there is room again.
fn wait_until_ready(client: &Client) {
    wait_until("it comes back", || client.get("/readyz").unwrap().0 == 200);
}

/// Where a directory is seen from here that a server has mounted for itself.
fn seen_from_here(server: &Server, directory: &Path) -> PathBuf {
    Path::new("/proc").join(server.id().to_string()).join("root").join(directory.strip_prefix("/").unwrap())
}

/// Does something while somebody reads one question after the other, and gets an answer to each; `work` sees to how many.
fn while_reading(client: &Client, work: impl FnOnce(&AtomicU64)) {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (is_over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let reads = answers.load(Ordering::Relaxed) + 1;
                // Nobody asked for just that time, so that no answer is kept for it.
                let query = format!("choice_id=2&choice_id=3&ended=2015-01-05&started=PT{}H", 300_000 + reads);
                let (status, answer) = client.get(&format!("/v6/metrics/job-types/plot-data/?{query}")).unwrap();
                assert_eq!((status, &answer["count"]), (200, &49.into()), "{answer}");
                answers.store(reads, Ordering::Relaxed);
            }
            eprintln!("{answers:?} times read");
        });
        work(&answers);
    });
}

/// Fills a server's file with events, lets `free` make room, and sees that nothing is missing.
fn fill_and_look_through(server: Server, directory: &Path, free: impl FnOnce(&Server)) {
    let mut poster = fill(&server, "I/O error", free);
    let client = server.client.clone();
    let (counter, before) = (poster.counter(), poster.acknowledged());
    thread::scope(|scope| {
        let posting = scope.spawn(|| poster.post(&client));
        wait_until("it is written again", || counter.load(Ordering::Relaxed) > before + 3);
        server.signal("TERM");
        posting.join().unwrap();
    });
    assert!(server.end("TERM").success());
    let server = Server::serve(directory);
    poster.settle(&server.client);
    assert!(server.end("TERM").success());
    look_through(directory, &[], &[poster]);
}

#[test]
fn a_file_that_may_not_grow_is_written_again_once_it_may() {
    let directory = tempfile::tempdir().unwrap();
    // Room for the file to double once, so that some posts fit in whatever readers keep of it meanwhile. The system sends a
    // signal, too, which ends programs that do not care.
    let program = program(directory.path(), &[&SERVE[..], &CACHE].concat());
    let mut command = within("ulimit -S -f 6000; exec \"$@\"", &program);
    fill_and_look_through(Server::start(command.current_dir(directory.path())), directory.path(), |server| {
        let id = server.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:unlimited"]).status().unwrap();
        assert!(lifted.success());
    });
}

/// A shell that does something before the program takes its place.
fn within(script: &str, program: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
    command
}

/// The same in a namespace in which the shell may mount; `None` where the system forbids it.
fn mounting(script: &str, program: &Command) -> Option<Command> {
    let unshare = |flags: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags);
        command
    };
    for flags in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let probe = "mount -t tmpfs tmpfs /mnt";
        if unshare(flags).args(["sh", "-c", probe]).output().is_ok_and(|output| output.status.success()) {
            let mut command = unshare(flags);
            command.args(["sh", "-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
            return Some(command);
        }
    }
    let line = "SKIPPED: nothing can be mounted here\n";
    // Past what the test runner keeps to itself.
    io::Write::write_all(&mut io::stderr(), line.as_bytes()).unwrap();
    None
}

#[test]
fn a_full_disk_is_written_again_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let program = program(directory.path(), &[&SERVE[..], &CACHE].concat());
    let script = "mount -t tmpfs -o size=24m tmpfs data && head -c 20500000 /dev/zero > data/ballast && exec \"$@\"";
    let Some(mut command) = mounting(script, &program) else { return };
    let server = Server::start(command.current_dir(directory.path()));
    let seen_from_here = seen_from_here(&server, &data);
    // What is on that disk goes with the server, so there is no look at it afterwards.
    fill(&server, "No space left on device", |_| fs::remove_file(seen_from_here.join("ballast")).unwrap());
    assert!(server.end("TERM").success());
}

#[test]
fn a_server_that_starts_on_a_full_disk_says_so_before_anybody_posts() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let server = Server::serve(directory.path());
    assert_eq!(server.client.post(&definitions(1)).unwrap().0, 200);
    assert!(server.end("TERM").success());
    fs::rename(&data, directory.path().join("before")).unwrap();
    fs::create_dir(&data).unwrap();
    let program = program(directory.path(), &SERVE);
    // Whatever is left of that disk is taken.
    let script =
        "mount -t tmpfs -o size=24m tmpfs data && cp before/* data/ && { cat /dev/zero > data/ballast; exec \"$@\"; }";
    let Some(mut command) = mounting(script, &program) else { return };
    let server = Server::start(command.current_dir(directory.path()));
    let (status, answer) = server.client.get("/readyz").unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("No space left on device"), "{answer}");
    assert_eq!(server.client.get("/v6/metrics/job-types/plot-data/").unwrap().0, 200);
    fs::remove_file(seen_from_here(&server, &data).join("ballast")).unwrap();
    wait_until_ready(&server.client);
    assert_eq!(server.client.post(&definitions(2)).unwrap().0, 200);
    assert!(server.end("TERM").success());
}

#[test]
fn a_disk_that_cannot_be_written_is_refused_in_a_line() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("data")).unwrap();
    let program = program(directory.path(), &SERVE);
    let Some(mut command) = mounting("mount -t tmpfs -o ro tmpfs data && exec \"$@\"", &program) else { return };
    let output = command.current_dir(directory.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.lines().count() == 1 && said.contains("data"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}
