//! What a batch costs on its way to disk: reading it, folding it, packing it, storing it.
//!
//! A batch is 10,000 NDJSON lines (about 3.1 MB) of 200 job types; 100 of them span a year, as in the load run. The number
//! to watch is the median per event: the time shown divided by 10,000, or the items a second.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use scale_metrics::events::request::Draft;
use scale_metrics::events::{Choices, Event, EventChange, Object};
use scale_metrics::rollup::Rollup;
use scale_metrics::store::{OpenOptions, RowsError, Store};
use scale_metrics::time::Date;
use scale_metrics::vocabulary::MetricsTypeId;
use scale_metrics::worker::commit;
use tempfile::TempDir;

#[path = "support/events.rs"]
mod events;

const BATCH: u64 = 10_000;
const CACHE_BYTES: usize = 64 << 20;

fn main() {
    divan::main();
}

/// The n-th batch of the year, as text.
fn lines(batch: u64) -> Vec<u8> {
    let source = events::Events::new(events::DEFAULT);
    let mut text = Vec::new();
    for place in batch * BATCH..(batch + 1) * BATCH {
        source.write(place, &mut text);
    }
    text
}

fn definitions() -> Vec<Object> {
    let mut text = Vec::new();
    events::Events::new(events::DEFAULT).write_choices(&mut text);
    read(&text, &Arc::default())
}

fn choices() -> Arc<Choices> {
    let mut choices = Choices::default();
    for object in definitions() {
        if let Object::Choice(choice) = object {
            choices.define(choice);
        }
    }
    Arc::new(choices)
}

fn read(text: &[u8], choices: &Arc<Choices>) -> Vec<Object> {
    let mut draft = Draft::new(Arc::clone(choices), Date::MIN);
    draft.read_ndjson(text).expect("the lines are JSON");
    draft.finish().expect("the events are valid")
}

/// A store that holds the first `batches`.
fn store_with(batches: u64) -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = Store::open(directory.path(), OpenOptions::verified(CACHE_BYTES)).expect("the store opens");
    let choices = choices();
    write(&store, definitions());
    for batch in 0..batches {
        write(&store, read(&lines(batch), &choices));
    }
    (directory, store)
}

fn write(store: &Store, objects: Vec<Object>) {
    store.write(|transaction| commit::apply(transaction, &[objects])).expect("the store takes it");
}

#[divan::bench]
fn read_lines(bencher: Bencher<'_, '_>) {
    let (text, choices) = (lines(0), choices());
    bencher.counter(ItemsCount::new(BATCH)).bench(|| read(black_box(&text), &choices));
}

#[divan::bench]
fn fold_into_one_rollup(bencher: Bencher<'_, '_>) {
    let objects = read(&lines(0), &choices());
    let events: Vec<&Event> = objects
        .iter()
        .filter_map(|object| if let Object::Event(event) = object { Some(event) } else { None })
        .collect();
    bencher.counter(ItemsCount::new(BATCH)).bench(|| {
        let mut rollup = Rollup::default();
        for event in black_box(&events) {
            for contribution in event.contributions().iter().flatten() {
                rollup.hour_mut(contribution.hour).fold(contribution);
            }
        }
        rollup
    });
}

/// Packing a batch into blocks and index pages, and these into the tables; then it is thrown away, without a commit.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn pack_the_next_batch(bencher: Bencher<'_, '_>) {
    let (_directory, store) = store_with(5);
    let objects = read(&lines(5), &choices());
    let mut events: Vec<_> = objects
        .iter()
        .filter_map(|object| if let Object::Event(event) = object { Some(event) } else { None })
        .collect();
    events.sort_by_key(|event| event.key());
    bencher.counter(ItemsCount::new(BATCH)).bench(|| {
        let thrown_away = store.write::<()>(|transaction| {
            let mut changes: Vec<_> =
                events.iter().map(|&event| EventChange::new(event.key(), None, Some(event))).collect();
            transaction.replace_events(&mut changes)?;
            Err(RowsError::Closed.into())
        });
        thrown_away.expect_err("it does not end well")
    });
}

/// The batch that comes next, synced: what a client of one connection waits for.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn commit_the_next_batch(bencher: Bencher<'_, '_>) {
    commit(bencher, 5);
}

/// The same batch once more, as after a lost answer: nothing changes.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn commit_a_batch_again(bencher: Bencher<'_, '_>) {
    commit(bencher, 2);
}

/// Commits one batch to a store that holds the first five.
fn commit(bencher: Bencher<'_, '_>, batch: u64) {
    let choices = choices();
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| (store_with(5), read(&lines(batch), &choices)))
        .bench_values(|((directory, store), objects)| {
            write(&store, objects);
            (directory, store)
        });
}

/// One more job type, beside 10,000 others, and somebody who reads what is defined then: both in one synced commit.
#[divan::bench]
fn define_one_of_ten_thousand(bencher: Bencher<'_, '_>) {
    let (_directory, store) = store_with(0);
    let define = |id: u64| {
        let line = format!(r#"{{"kind":"job_type","id":{id},"name":"job-type-{id}","version":"1.0"}}"#);
        read(line.as_bytes(), &Arc::default())
    };
    write(&store, (1..=10_000).flat_map(define).collect());
    let mut id = 10_000;
    bencher.bench_local(|| {
        id += 1;
        write(&store, define(id));
        store.snapshot().expect("it is read").definitions().count(MetricsTypeId::JobTypes)
    });
}
