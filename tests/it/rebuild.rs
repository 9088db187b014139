//! `POST /v6/admin/rebuild/`: rollups computed anew while serving.

use scale_metrics::rollup::{RollupKey, RollupScope};
use scale_metrics::store::{OpenOptions, Store};
use scale_metrics::vocabulary::{ChoiceId, MetricsTypeId};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Client, Serving, TestServer, job, job_type, worked_example};

const REBUILD: &str = "/v6/admin/rebuild/";

fn rebuild(client: &Client, query: &str) -> Value {
    let answer = client.send("POST", &format!("{REBUILD}?{query}"), &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn where_all_is_right_nothing_differs() {
    let server = TestServer::start();
    let nothing = json!({
        "dates": 0, "skipped": 0, "events": 0, "rollups": 0, "different": 0, "differences": [],
    });
    assert_eq!(rebuild(&server, ""), nothing);
    server.accept(&worked_example());
    server.accept(&[job(7, 1, "FAILED", "2015-01-05T00:00:00Z")]);
    let both = json!({"dates": 2, "skipped": 0, "events": 9, "rollups": 4, "different": 0, "differences": []});
    assert_eq!(rebuild(&server, ""), both);
    let one = json!({"dates": 1, "skipped": 0, "events": 1, "rollups": 2, "different": 0, "differences": []});
    assert_eq!(rebuild(&server, "started=2015-01-02&ended=2015-01-05"), one);
    assert_eq!(rebuild(&server, "started=P27D&ended=2015-01-06"), one);
    let refused = server.send("POST", &format!("{REBUILD}?started=yesterday"), &[], b"");
    refused.assert_refused(400, &["started", "yesterday"]);
}

#[test]
fn wrong_rollups_are_put_right_and_listed() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    server.client.accept(&worked_example());
    let days: Vec<_> = (1..=28).map(|day| format!("2015-02-{day:02}T05:00:00Z")).collect();
    let jobs = |job_type: u64, id: u64| days.iter().zip(id..).map(move |(end, id)| job(id, job_type, "COMPLETED", end));
    server.client.accept(&[job_type(2, "b")]);
    server.client.accept(&jobs(1, 100).chain(jobs(2, 200)).collect::<Vec<_>>());
    let right = server.client.plot("job-types", "choice_id=1&choice_id=2&resolution=hour");
    assert!(server.end("TERM").success());

    let store = Store::open(&directory.path().join("data"), OpenOptions::verified(1 << 20)).unwrap();
    let all = [
        RollupScope::All,
        RollupScope::Choice(ChoiceId::new(1).unwrap()),
        RollupScope::Choice(ChoiceId::new(2).unwrap()),
    ];
    let snapshot = store.snapshot().unwrap();
    let broken = store.write(|transaction| {
        for day in &days[..20] {
            for scope in all {
                let key = RollupKey { date: day[..10].parse().unwrap(), metrics: MetricsTypeId::JobTypes, scope };
                let mut rollup = snapshot.rollups_of(key.date)?[&key].clone();
                rollup.hour_mut(5).counters[0] += 1;
                rollup.hour_mut(23).counters[1] += 1;
                rollup.hour_mut(23).events += 1;
                transaction.replace_rollup(key, &rollup);
            }
        }
        Ok(())
    });
    broken.unwrap();
    drop(snapshot);
    store.close();

    let server = Serving::serve(directory.path());
    let wrong = server.client.plot("job-types", "choice_id=1&choice_id=2&resolution=hour");
    assert_ne!(wrong, right);
    let first = rebuild(&server.client, "started=2015-02-01&ended=2015-02-01T23:00:00Z");
    let difference =
        |choice: Value| json!({"metrics": "job-types", "choice": choice, "date": "2015-02-01", "hours": [5, 23]});
    assert_eq!(first["different"], 3);
    assert_eq!(first["differences"], json!([difference(Value::Null), difference(json!(1)), difference(json!(2))]));
    let rest = rebuild(&server.client, "");
    assert_eq!((&rest["dates"], &rest["different"]), (&json!(29), &json!(19 * 3)));
    assert_eq!(rest["differences"].as_array().unwrap().len(), 19 * 3);
    assert_eq!(server.client.plot("job-types", "choice_id=1&choice_id=2&resolution=hour"), right);
    assert_eq!(rebuild(&server.client, "")["different"], 0);
}

#[test]
fn requests_are_stored_while_everything_is_rebuilt() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    let end = |n: u64| format!("2014-{:02}-{:02}T00:00:00Z", n % 12 + 1, n % 28 + 1);
    server.accept(&(1..=20_000).map(|n| job(n, 1, "COMPLETED", &end(n))).collect::<Vec<_>>());
    std::thread::scope(|threads| {
        let rebuilds = threads.spawn(|| (0..5).map(|_| rebuild(&server, "")).collect::<Vec<_>>());
        for round in 1..=20 {
            server.accept(&(1..50).map(|n| job(n * 400 + round, 1, "FAILED", &end(n + round))).collect::<Vec<_>>());
        }
        for rebuilt in rebuilds.join().unwrap() {
            // Events move to other days meanwhile.
            assert_eq!(rebuilt["different"], 0, "{rebuilt}");
        }
    });
    let sum = |column: &str| {
        let values = server.values("job-types", column, "");
        values.as_array().unwrap().iter().map(|value| value["value"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!([sum("completed_count"), sum("failed_count"), sum("total_count")], [19_020, 980, 20_000]);
}

#[test]
fn one_rebuild_runs_at_a_time() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    let end = |n: u64| format!("20{:02}-{:02}-{:02}T00:00:00Z", n % 15, n % 12 + 1, n % 28 + 1);
    server.accept(&(1..=3_000).map(|n| job(n, 1, "COMPLETED", &end(n))).collect::<Vec<_>>());
    // Another one comes in time sooner or later, however fast or busy the machine is.
    let refused = (0..1_000).find_map(|_| {
        std::thread::scope(|threads| {
            let one = threads.spawn(|| rebuild(&server, ""));
            let mut refused = None;
            while refused.is_none() && !one.is_finished() {
                let other = server.send("POST", REBUILD, &[], b"");
                refused = (other.status != 200).then_some(other);
            }
            // Unless the other one was first.
            one.join().ok().and(refused)
        })
    });
    let refused = refused.expect("two rebuilds never met");
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.assert_refused(503, &["another rebuild", "try again"]);
    assert_eq!(rebuild(&server, "")["different"], 0);
}
