//! A database file that others move, delete, replace, truncate or overwrite while a server has it open. Nothing is acknowledged
//! that the next start would not find, and what others put in its place is not written over.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Client, Server, run};

/// A server with some events, and its directory, which is in another.
struct Served {
    above: TempDir,
    server: Server,
}

impl Served {
    fn start() -> Self {
        let above = tempfile::tempdir().unwrap();
        let server = Server::serve(above.path());
        assert_eq!(server.client.post(&[job_type()]).unwrap().0, 200);
        assert_eq!(server.client.post(&jobs(1..=50)).unwrap().0, 200);
        Self { above, server }
    }

    /// Stops the server; its directory is left.
    fn stop(self) -> TempDir {
        assert!(self.server.end("TERM").success());
        self.above
    }

    fn path(&self, name: &str) -> PathBuf {
        self.above.path().join(name)
    }

    /// Asserts that the next post is refused, though nobody had time to look, and that readiness says why.
    #[track_caller]
    fn assert_refuses_to_write(&self, reason: &str) {
        let (status, answer) = self.server.client.post(&jobs(100..=101)).unwrap();
        assert_eq!(status, 503, "{answer}");
        assert_not_ready(&self.server.client, reason);
    }
}

fn job_type() -> Value {
    json!({"kind": "job_type", "id": 1, "name": "a", "version": "1"})
}

fn jobs(ids: impl Iterator<Item = u64>) -> Vec<Value> {
    let job = |id| json!({"kind": "job", "id": id, "job_type": 1, "status": "FAILED", "ended": "2015-01-01T00:00:00Z"});
    ids.map(job).collect()
}

#[track_caller]
fn assert_not_ready(client: &Client, reason: &str) {
    let (status, answer) = client.get("/readyz").unwrap();
    assert_eq!(status, 503, "{answer}");
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("data/metrics.redb") && detail.contains(reason), "{detail}");
}

/// How many jobs there are, as the numbers say; the status if they cannot be read.
fn counted(client: &Client) -> Result<u64, u16> {
    let (status, answer) = client.get("/v6/metrics/job-types/plot-data/?column=total_count").unwrap();
    if status != 200 {
        return Err(status);
    }
    let values = answer["results"][0]["values"].as_array().unwrap();
    Ok(values.iter().map(|value| value["value"].as_u64().unwrap()).sum())
}

/// A closed database with that many jobs, in a directory.
fn backup_of(jobs_in_it: u64) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::serve(directory.path());
    assert_eq!(server.client.post(&[job_type()]).unwrap().0, 200);
    assert_eq!(server.client.post(&jobs(1..=jobs_in_it)).unwrap().0, 200);
    assert!(server.end("TERM").success());
    directory
}

#[test]
fn a_directory_that_is_moved_away_and_back_loses_nothing() {
    let served = Served::start();
    fs::rename(served.path("data"), served.path("data.old")).unwrap();
    served.assert_refuses_to_write("was deleted or moved");
    let client = &served.server.client;
    assert_eq!(counted(client), Ok(50), "the open file is whole");
    fs::rename(served.path("data.old"), served.path("data")).unwrap();
    while client.get("/readyz").unwrap().0 != 200 {}
    assert_eq!(client.post(&jobs(51..=60)).unwrap().0, 200);
    assert_eq!(counted(client), Ok(60));
    let above = served.stop();
    let next = Server::serve(above.path());
    assert_eq!(counted(&next.client), Ok(60));
    assert!(next.end("TERM").success());
    let checked = run(above.path(), &["check", "--data", "data"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_server_that_nobody_posts_to_notices_as_well() {
    let served = Served::start();
    fs::remove_dir_all(served.path("data")).unwrap();
    let client = &served.server.client;
    while client.get("/readyz").unwrap().0 == 200 {}
    assert_not_ready(client, "was deleted or moved");
    // No commit of anybody's has failed.
    let (_, _, figures) = client.ask("/metrics", None).unwrap();
    assert!(figures.contains("\nscale_metrics_commit_failures_total 0\n"), "{figures}");
    assert!(!figures.contains("\nscale_metrics_storage_failures_total{operation=\"file\"} 0\n"), "{figures}");
    // What is in the open file can be rescued.
    assert_eq!(counted(client), Ok(50));
    let (status, _, lines) = client.ask("/v6/export/", None).unwrap();
    assert_eq!(status, 200);
    assert_eq!(lines.lines().filter(|line| line.contains(r#""kind":"job""#)).count(), 50);
    let above = served.stop();
    assert!(!above.path().join("data").exists());
}

#[test]
fn the_server_of_a_directory_that_was_moved_away_leaves_the_place_to_the_next() {
    let served = Served::start();
    fs::rename(served.path("data"), served.path("data.old")).unwrap();
    let next = Server::serve(served.above.path());
    served.assert_refuses_to_write("was replaced by another file");
    assert_eq!(next.client.post(&[job_type()]).unwrap().0, 200);
    assert_eq!(next.client.post(&jobs(1..=3)).unwrap().0, 200);
    assert_eq!(counted(&next.client), Ok(3));
    let above = served.stop();
    assert!(next.end("TERM").success());
    for data in ["data", "data.old"] {
        let checked = run(above.path(), &["check", "--data", data]);
        assert!(checked.status.success(), "{data}: {checked:?}");
    }
}

#[test]
fn a_backup_that_is_moved_over_the_file_is_not_written() {
    let served = Served::start();
    let backup = backup_of(7);
    let held = fs::read(backup.path().join("data/metrics.redb")).unwrap();
    fs::copy(backup.path().join("data/metrics.redb"), served.path("data/new")).unwrap();
    fs::rename(served.path("data/new"), served.path("data/metrics.redb")).unwrap();
    served.assert_refuses_to_write("was replaced by another file");
    assert_eq!(counted(&served.server.client), Ok(50));
    let above = served.stop();
    assert!(fs::read(above.path().join("data/metrics.redb")).unwrap() == held);
    let next = Server::serve(above.path());
    assert_eq!(counted(&next.client), Ok(7));
}

#[test]
fn a_backup_that_is_copied_into_the_file_is_neither_mixed_nor_written_over() {
    let served = Served::start();
    let backup = backup_of(7);
    let from = backup.path().join("data/metrics.redb");
    overwrite(&from, &served.path("data/metrics.redb")).unwrap();
    let client = &served.server.client;
    let (status, answer) = client.post(&jobs(100..=101)).unwrap();
    assert_eq!(status, 503, "{answer}");
    assert_not_ready(client, "was ");
    assert_eq!(counted(client), Err(503));
    let above = served.stop();
    assert!(fs::read(above.path().join("data/metrics.redb")).unwrap() == fs::read(from).unwrap());
    let next = Server::serve(above.path());
    assert_eq!(counted(&next.client), Ok(7));
}

/// What `cp` does: the file stays the same one, and gets other bytes.
fn overwrite(from: &Path, to: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    Ok(())
}

#[test]
fn a_file_that_is_truncated_takes_nothing_in() {
    for length in [0, 4_096, 65_536] {
        let served = Served::start();
        OpenOptions::new().write(true).open(served.path("data/metrics.redb")).unwrap().set_len(length).unwrap();
        served.assert_refuses_to_write(&format!("to {length} bytes"));
        assert_eq!(counted(&served.server.client), Err(503));
        let above = served.stop();
        assert_eq!(fs::metadata(above.path().join("data/metrics.redb")).unwrap().len(), length);
    }
}

#[test]
fn a_file_that_gets_its_bytes_back_is_verified_and_written_again() {
    let served = Served::start();
    let (file, aside) = (served.path("data/metrics.redb"), served.path("aside"));
    let client = &served.server.client;
    // Nothing is written between the two.
    served.server.signal("STOP");
    fs::copy(&file, &aside).unwrap();
    OpenOptions::new().write(true).open(&file).unwrap().set_len(4_096).unwrap();
    served.server.signal("CONT");
    served.assert_refuses_to_write("to 4096 bytes");
    overwrite(&aside, &file).unwrap();
    while client.get("/readyz").unwrap().0 != 200 {}
    assert_eq!(counted(client), Ok(50));
    assert_eq!(client.post(&jobs(51..=60)).unwrap().0, 200);
    let above = served.stop();
    let checked = run(above.path(), &["check", "--data", "data"]);
    assert!(checked.status.success(), "{checked:?}");
}
