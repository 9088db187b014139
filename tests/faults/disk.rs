//! A disk that is full, and one that cannot be written.
//!
//! Where there has to be a disk of one's own, it is mounted in a namespace that only the server is in; where the system forbids that,
//! the test says so and passes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::poster::{Poster, definitions, look_through};
use crate::server::{SERVE, Server, program};

/// How long a server may take to find out that there is room again.
const GIVE_UP: Duration = Duration::from_mins(1);

/// Fills a server's disk with events, lets `free` make room, and sees that nothing is missing.
fn fill(server: Server, directory: &Path, free: impl FnOnce(&Server)) {
    let client = server.client.clone();
    let mut poster = Poster::growing(1);
    assert_eq!(client.post(&definitions(1)).unwrap().0, 200);
    poster.post(&client);
    assert!(poster.acknowledged > 3, "it was full from the beginning");
    let (status, answer) = client.get("/readyz").unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("I/O error"), "{answer}");
    let (status, answer) = client.get("/v6/metrics/job-types/").unwrap();
    assert_eq!((status, answer["choices"].as_array().unwrap().len()), (200, 2));
    for _ in 0..3 {
        poster.post(&client);
    }
    free(&server);
    let began = Instant::now();
    while client.get("/readyz").unwrap().0 != 200 {
        assert!(began.elapsed() < GIVE_UP, "it does not come back: {:?}", client.get("/readyz"));
        thread::sleep(Duration::from_millis(50));
    }
    poster.settle(&client);
    thread::scope(|scope| {
        let posting = scope.spawn(|| poster.post(&client));
        thread::sleep(Duration::from_millis(300));
        server.tell_to_stop();
        posting.join().unwrap();
    });
    assert!(server.stop().success());
    let server = Server::start(directory);
    poster.settle(&server.client);
    assert!(server.stop().success());
    look_through(directory, &[poster]);
}

#[test]
fn a_file_that_may_not_grow_is_written_again_once_it_may() {
    let directory = tempfile::tempdir().unwrap();
    // The signal would end the program; ignored, the write fails.
    let program = program(directory.path(), &SERVE);
    let mut command = within("trap '' XFSZ; ulimit -S -f 3000; exec \"$@\"", &program);
    fill(Server::of(command.current_dir(directory.path())), directory.path(), |server| {
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
    let program = program(directory.path(), &SERVE);
    let script = "mount -t tmpfs -o size=24m tmpfs data && head -c 23000000 /dev/zero > data/ballast && exec \"$@\"";
    let Some(mut command) = mounting(script, &program) else { return };
    let server = Server::of(command.current_dir(directory.path()));
    let seen_from_here =
        Path::new("/proc").join(server.id().to_string()).join("root").join(data.strip_prefix("/").unwrap());
    // What is on that disk goes with the server: the last look is at what it exports before.
    let client = server.client.clone();
    let mut poster = Poster::growing(1);
    assert_eq!(client.post(&definitions(1)).unwrap().0, 200);
    poster.post(&client);
    assert!(poster.acknowledged > 0, "it was full from the beginning");
    let (status, answer) = client.get("/readyz").unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("No space left on device"), "{answer}");
    fs::remove_file(seen_from_here.join("ballast")).unwrap();
    let began = Instant::now();
    while client.get("/readyz").unwrap().0 != 200 {
        assert!(began.elapsed() < GIVE_UP, "it does not come back: {:?}", client.get("/readyz"));
        thread::sleep(Duration::from_millis(50));
    }
    poster.settle(&client);
    assert!(server.stop().success());
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
