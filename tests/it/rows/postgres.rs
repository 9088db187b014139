//! What several processes do with one database on a server: each `PostgresDatabase` here stands for a process.

use std::ops::ControlFlow;
use std::thread;

use scale_metrics::store::rows::postgres::PostgresDatabase;
use scale_metrics::store::rows::{Changes, Database, Key, Order, RowsError, Table, Transaction};

use crate::support::postgres::Postgres;

const FIRST: [(&str, u64); 1] = [("format", 1)];
/// How many commits each process makes.
const EACH: u64 = 40;

fn opened(address: &str) -> PostgresDatabase {
    let database = PostgresDatabase::at(&address.parse().unwrap()).unwrap();
    database.open(&FIRST).unwrap();
    database
}

/// The number `a`, as a new view shows it.
fn number(database: &PostgresDatabase) -> Option<u64> {
    database.view(&["a"]).unwrap().1[0]
}

#[test]
fn many_may_start_on_an_empty_database_at_once() {
    let Some(server) = Postgres::shared() else { return };
    for _ in 0..5 {
        let address = &server.new_database();
        thread::scope(|scope| {
            let starting: Vec<_> = (0..6).map(|_| scope.spawn(move || opened(address))).collect();
            for started in starting {
                assert_eq!(started.join().unwrap().view(&["format"]).unwrap().1, [Some(1)]);
            }
        });
    }
}

#[test]
fn one_writes_at_a_time_and_each_sees_what_was_written_before() {
    let Some(server) = Postgres::shared() else { return };
    let address = &server.new_database();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let database = opened(address);
                for _ in 0..EACH {
                    let (transaction, numbers) = database.begin(&["a"]).unwrap();
                    let next = numbers[0].unwrap_or(0) + 1;
                    transaction.commit(&[], &[("a", Some(next))]).unwrap();
                    // What was committed shows at once, here and to others.
                    assert!(number(&database) >= Some(next));
                }
            });
        }
    });
    assert_eq!(number(&opened(address)), Some(4 * EACH));
}

#[test]
fn a_turn_ends_with_its_connection() {
    let Some(server) = Postgres::shared() else { return };
    let address = &server.new_database();
    let (one, other) = (opened(address), opened(address));
    let (transaction, _) = one.begin(&[]).unwrap();
    server.end_connections_that_hold_a_lock(address);
    let (second, _) = other.begin(&[]).unwrap();
    second.commit(&[], &[("a", Some(7))]).unwrap();
    let failed = transaction.commit(&[], &[("a", Some(1))]).unwrap_err();
    assert!(matches!(failed, RowsError::Unavailable(_)), "{failed:?}");
    assert!(!one.is_usable());
    one.reopen().unwrap();
    assert!(one.is_usable());
    assert_eq!(number(&one), Some(7));
    one.probe().unwrap();
}

/// Writes are sent and not waited for. If one fails, nothing after it takes effect, and it is the reason that is given.
#[test]
fn a_write_that_fails_is_the_reason_why_all_else_fails() {
    let Some(server) = Postgres::shared() else { return };
    let address = &server.new_database();
    let database = opened(address);
    let mut row = Changes::default();
    row.insert(Key::new(b"key"), b"value");
    let write = |transaction: &mut Box<dyn Transaction + '_>, table| transaction.write(&[(table, &row)]);
    server.psql(
        address,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON scale_metrics_index EXECUTE FUNCTION full_disk()",
    );
    for then in ["read", "write", "commit"] {
        let (mut transaction, _) = database.begin(&[]).unwrap();
        let failed = write(&mut transaction, Table::Index).and_then(|()| match then {
            "read" => transaction.get(Table::Blocks, &[Key::new(b"key")], &mut |_, _| ControlFlow::Continue(())),
            "write" => {
                write(&mut transaction, Table::Blocks)?;
                transaction.numbers(&["a"]).map(drop)
            }
            _ => {
                write(&mut transaction, Table::Blocks)?;
                transaction.commit(&[], &[("a", Some(1))]).map(drop)
            }
        });
        assert!(matches!(failed, Err(RowsError::Full(_))), "{then}: {failed:?}");
        let (view, numbers) = database.view(&["a"]).unwrap();
        assert_eq!(numbers, [None], "{then}");
        let nothing = |key: &[u8], _: &[u8]| -> ControlFlow<()> { panic!("{key:?} is there") };
        view.scan(Table::Blocks, Key::MIN..Key::MAX, Order::Ascending, &mut { nothing }).unwrap();
    }
    server.psql(address, "DROP TRIGGER full_disk ON scale_metrics_index");
    let (mut transaction, _) = database.begin(&[]).unwrap();
    write(&mut transaction, Table::Index).unwrap();
    transaction.commit(&[], &[("a", Some(1))]).unwrap();
    assert_eq!(number(&database), Some(1));
}

#[test]
fn a_process_that_has_the_turn_and_does_not_go_on_loses_it() {
    let Some(server) = Postgres::shared() else { return };
    let address = &server.new_database();
    let (frozen, next, other) = (opened(address), opened(address), opened(address));
    let (held, _) = frozen.begin(&[]).unwrap();
    // The one that gets the turn next does not go on either.
    let (held_next, _) = next.begin(&[]).unwrap();
    let (taken, numbers) = other.begin(&["a"]).unwrap();
    assert_eq!(numbers, [None]);
    taken.commit(&[], &[("a", Some(3))]).unwrap();
    assert!(held.commit(&[], &[("a", Some(1))]).is_err());
    assert!(held_next.commit(&[], &[("a", Some(2))]).is_err());
    assert_eq!(number(&other), Some(3));
}

#[test]
fn each_commit_of_anybody_changes_the_stamp_and_a_new_server_the_era() {
    let Some(mut server) = Postgres::start() else { return };
    let address = &server.new_database();
    let (one, other) = (opened(address), opened(address));
    let stamp = |database: &PostgresDatabase| database.view(&[]).unwrap().0.stamp();
    let before = stamp(&one);
    assert_eq!(stamp(&one), before);
    let written = other.begin(&[]).unwrap().0.commit(&[], &[]).unwrap();
    let seen = stamp(&one);
    assert_eq!((seen.era, seen.commits), (before.era, before.commits + 1));
    assert_eq!(written.commits, seen.commits);
    server.crash();
    server.start_again();
    // The first connection is found broken.
    let _ = one.view(&[]);
    one.reopen().unwrap();
    let after = stamp(&one);
    assert_eq!((after.era, after.commits), (before.era + 1, seen.commits));
}

#[test]
fn what_only_an_operator_can_mend_is_unusable() {
    let Some(server) = Postgres::shared() else { return };
    let address = server.new_database();
    let at = |address: &str| PostgresDatabase::at(&address.parse().unwrap()).unwrap();
    let nowhere = at(&format!("{address}_that_is_not_there"));
    let error = nowhere.open(&FIRST).unwrap_err();
    assert!(matches!(error, RowsError::Unusable(_)), "{error:?}");
    assert_eq!(error.to_string(), "there is no such database");
    assert!(matches!(nowhere.view(&[]), Err(RowsError::Closed)));
    // Nobody listens there; that may pass.
    let away = at("postgres://tester@127.0.0.1:1/test");
    assert!(matches!(away.open(&FIRST), Err(RowsError::Unavailable(_))));
}
