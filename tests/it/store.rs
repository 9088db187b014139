//! The store by itself: what is written is read again.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use scale_metrics::events::{Event, EventChange, Job};
use scale_metrics::store::{OpenOptions, Retention, RetentionMarks, RetentionRecord, Store, StoreError};
use scale_metrics::time::{Date, Timestamp};
use scale_metrics::vocabulary::{ChoiceId, JobStatus};

fn job(id: u64, (job_type, second): (u64, u64)) -> Event {
    let job_type = ChoiceId::new(job_type).expect("in range");
    let ended = Timestamp::from_micros(1_420_070_400_000_000 + second * 1_000_000);
    Event::Job(Job { id, job_type, status: JobStatus::Completed, ended, error: None, last_modified: None })
}

/// Returns batches with few locations and many events, so that blocks overflow. The ids rise from batch to batch, or are in
/// any order.
fn any_batches() -> impl Strategy<Value = Vec<BTreeMap<u64, (u64, u64)>>> {
    let content = (prop_oneof![9 => Just(1_u64), 1 => Just(2)], prop_oneof![9 => 0..9_u64, 1 => Just(100_000)]);
    let sizes = prop_oneof![1..6_usize, 1..400_usize];
    let rising = sizes.clone().prop_flat_map({
        let content = content.clone();
        move |size| vec((1..3_u64, content.clone()), size)
    });
    let rising = vec(rising, 1..12).prop_map(|batches| {
        let mut next = 1_000;
        let mut place = |(step, content)| {
            next += step;
            (next, content)
        };
        batches.into_iter().map(|batch| batch.into_iter().map(&mut place).collect()).collect()
    });
    let sizes = prop_oneof![0..1_usize, 1..4_usize, 1..60_usize];
    let shuffled = vec(sizes.prop_flat_map(move |size| btree_map(1..2_000_u64, content.clone(), size)), 12);
    (rising, shuffled).prop_map(|(rising, shuffled): (Vec<BTreeMap<_, _>>, Vec<_>)| {
        let both = |(rising, mut shuffled): (_, BTreeMap<_, _>)| {
            shuffled.extend(rising);
            shuffled
        };
        rising.into_iter().zip(shuffled).map(both).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn what_was_stored_last_is_loaded_again(batches in any_batches()) {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).expect("the store opens");
        let mut expected = BTreeMap::new();
        for batch in batches {
            let new: Vec<_> = batch.iter().map(|(&id, &content)| job(id, content)).collect();
            let keys: Vec<_> = new.iter().map(Event::key).collect();
            expected.extend(new.iter().map(|event| (event.key(), event.clone())));
            store.write(|transaction| {
                let stored = transaction.events(&keys)?;
                let before = |event: &Event| stored.iter().find(|stored| stored.key() == event.key());
                let mut changes: Vec<_> = new.iter().map(|event| EventChange::new(event.key(), before(event), Some(event))).collect();
                transaction.replace_events(&mut changes)
            }).expect("it is stored");
            store.write(|transaction| {
                let keys: Vec<_> = expected.keys().copied().collect();
                let all: Vec<_> = expected.values().cloned().collect();
                assert_eq!(transaction.events(&keys)?, all);
                Ok(())
            }).expect("it is read");
            let day = expected.values().next().and_then(Event::partition).expect("it has ended").date;
            let mut kept = Vec::new();
            let snapshot = store.snapshot().expect("it is read");
            snapshot.events(Some(day), |event| {
                kept.push(event.clone());
                Ok::<_, StoreError>(())
            }).expect("it is read");
            kept.sort_by_key(Event::key);
            let of_day = expected.values().filter(|event| event.partition().is_some_and(|home| home.date == day));
            assert_eq!(kept, of_day.cloned().collect::<Vec<_>>());
        }
    }
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

#[test]
fn days_are_refused_a_day_before_they_are_forgotten() {
    let now: Timestamp = "2015-03-10T23:59:59Z".parse().unwrap();
    let week = Retention { events_days: 7, rollups_days: 30 };
    assert_eq!(week.first_day(now), date("2015-03-03"));
    assert_eq!(
        week.cut_offs(now),
        RetentionMarks { events_from: date("2015-03-02"), rollups_from: date("2015-02-07") }
    );
    let month = Retention { events_days: 30, rollups_days: 0 };
    assert_eq!(month.cut_offs(now), RetentionMarks { events_from: date("2015-02-07"), rollups_from: Date::MIN });
    let all = RetentionMarks { events_from: Date::MIN, rollups_from: Date::MIN };
    for for_ever in [Retention::default(), Retention { events_days: u64::MAX, rollups_days: u64::MAX - 1 }] {
        assert_eq!((for_ever.cut_offs(now), for_ever.first_day(now)), (all, Date::MIN));
    }
    let both = Retention { events_days: 7, rollups_days: 7 };
    assert_eq!(both.cut_offs(now).rollups_from, both.cut_offs(now).events_from);
}

#[test]
fn zero_is_the_longest_period() {
    let retention = |events_days, rollups_days| Retention { events_days, rollups_days };
    assert_eq!(retention(7, 0).longest(retention(30, 60)), retention(30, 0));
    assert_eq!(retention(0, 0).longest(retention(30, 60)), retention(0, 0));
}

#[test]
fn what_is_recorded_is_read_again_and_a_file_without_it_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).unwrap();
    let read = || store.snapshot().unwrap().retention_record().unwrap();
    assert_eq!(read(), None);
    let record = RetentionRecord {
        trusted: "2015-01-01T00:00:00.000001Z".parse().unwrap(),
        seen: "2099-01-01T00:00:00Z".parse().unwrap(),
        steady: Duration::from_micros(7),
        agreed: Retention { events_days: 30, rollups_days: 0 },
        waiting: Some((Retention { events_days: 0, rollups_days: 9 }, Duration::from_hours(3))),
    };
    for record in [record, RetentionRecord { waiting: None, ..record }] {
        store
            .write(|transaction| {
                transaction.record_retention(&record);
                Ok(())
            })
            .unwrap();
        assert_eq!(read(), Some(record));
    }
}
