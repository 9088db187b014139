//! A damaged file gives the right numbers or a clear refusal: never a wrong number, never a panic.
//!
//! Each case is a file of the same events with one thing wrong. It is opened and all of it is read, as plot data, `check` and
//! `export` read it, and something is written to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use scale_metrics::catalog::CATALOG;
use scale_metrics::commands::check;
use scale_metrics::events::Object;
use scale_metrics::events::request::Draft;
use scale_metrics::rollup::{Parts, RollupScope};
use scale_metrics::store::{OpenOptions, RollupQuery, Store, StoreError};
use scale_metrics::time::Date;
use scale_metrics::worker::commit;
use serde_json::json;
use tempfile::TempDir;

use crate::number;
use crate::random::Random;
use crate::server::run;

const VERIFIED: OpenOptions = OpenOptions { cache_bytes: 1 << 20, verify: true };
const PAGE: usize = 4096;
const FILE: &str = "metrics.redb";

fn definitions(id: u64) -> [String; 3] {
    [
        json!({"kind": "job_type", "id": id, "name": format!("type-{id}"), "version": "1"}).to_string(),
        json!({"kind": "strike", "id": id, "name": format!("strike-{id}")}).to_string(),
        json!({"kind": "error", "id": id, "name": format!("error-{id}"), "category": "DATA", "is_builtin": true})
            .to_string(),
    ]
}

/// Some hundreds of events of all kinds, on a few days, and before them the choices that they name.
fn objects() -> Vec<Object> {
    let mut random = Random(7);
    let mut lines: Vec<String> = (1..=3).flat_map(definitions).collect();
    for id in 1..=600_u64 {
        let mut time = |day: u64| format!("2015-01-{:02}T{:02}:{:02}:00Z", day, random.below(24), random.below(60));
        let (day, choice) = (1 + id / 7 % 9, 1 + id / 3 % 3);
        let (ended, started) = (time(day), time(day));
        lines.push(match id % 3 {
            0 => json!({"kind": "job", "id": id, "job_type": choice, "status": "FAILED", "error": choice, "ended": ended}),
            1 => json!({"kind": "job_execution", "id": id, "job_type": choice, "status": "COMPLETED", "queued": started,
                "started": started, "ended": ended}),
            _ => json!({"kind": "ingest", "id": id, "strike": choice, "status": "INGESTED", "file_size": id * 1_000,
                "ingest_started": started, "ingest_ended": ended}),
        }.to_string());
    }
    let mut draft = Draft::default();
    draft.read_ndjson(lines.join("\n").as_bytes()).unwrap();
    draft.finish().unwrap()
}

/// A directory with a database of the events.
fn sound() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), VERIFIED).unwrap();
    for request in objects().chunks(100) {
        store.write(|transaction| commit::apply(transaction, &[request.to_vec()])).unwrap();
    }
    store.checkpoint().unwrap();
    store.close();
    directory
}

/// Everything that plot data are made of, as text.
fn numbers(store: &Store) -> Result<String, StoreError> {
    let snapshot = store.snapshot()?;
    let choices = snapshot.definitions();
    let mut all = format!("{choices:?}\n");
    for metrics in CATALOG.iter().map(|metrics| metrics.id) {
        let ids: Vec<_> = choices.ids(metrics).into_iter().map(RollupScope::Choice).collect();
        for scopes in [&[RollupScope::All][..], &ids[..ids.len().min(1)], &ids[..]] {
            let dates = (Date::from_days(0).unwrap(), Date::from_days(40_000).unwrap());
            let wanted = RollupQuery { metrics, scopes, dates, parts: Parts::ALL };
            for is_whole in [true, false] {
                snapshot.rollups::<StoreError>(
                    &wanted,
                    |_| is_whole,
                    || Ok(()),
                    |date, part, scope, aggregate| {
                        writeln!(all, "{date} {part:?} {scope:?} {aggregate:?}").unwrap();
                        Ok(())
                    },
                )?;
            }
        }
    }
    Ok(all)
}

/// Everything that was posted, as text.
fn export(store: &Store) -> Result<String, StoreError> {
    let mut copy = store.snapshot()?.copy(store.directory())?;
    let mut all = format!("{:?}\n", copy.choices());
    while let Some(events) = copy.next_events()? {
        writeln!(all, "{events:?}").unwrap();
    }
    Ok(all)
}

/// A sound file, and what it says.
struct Truth {
    bytes: Vec<u8>,
    numbers: String,
    export: String,
}

impl Truth {
    fn new() -> Self {
        let directory = sound();
        let bytes = fs::read(directory.path().join(FILE)).unwrap();
        let store = Store::open(directory.path(), VERIFIED).unwrap();
        let truth = Self { bytes, numbers: numbers(&store).unwrap(), export: export(&store).unwrap() };
        assert!(truth.numbers.lines().count() > 500 && truth.export.lines().count() > 20);
        truth
    }

    /// A place in a page that something was written to.
    fn place(&self, random: &mut Random) -> usize {
        loop {
            let place = random.below(self.bytes.len());
            let page = place / PAGE * PAGE;
            if self.bytes[page..page + PAGE].iter().any(|byte| *byte != 0) {
                return place;
            }
        }
    }
}

/// How often each step ended how.
#[derive(Default)]
struct Outcomes(BTreeMap<(&'static str, String), u64>);

impl Outcomes {
    fn count(&mut self, step: &'static str, outcome: impl Into<String>) {
        *self.0.entry((step, outcome.into())).or_default() += 1;
    }

    fn of(&self, step: &'static str, outcome: &str) -> u64 {
        self.0.get(&(step, outcome.to_owned())).copied().unwrap_or(0)
    }

    fn print(&self, title: &str) {
        for ((step, outcome), count) in &self.0 {
            eprintln!("{title}: {step} {outcome}: {count}");
        }
    }
}

/// The variant of an error.
fn name(error: &StoreError) -> String {
    format!("{error:?}").trim_start_matches("Rows(").split(['(', ' ']).next().unwrap().to_owned()
}

/// Opens a file of these bytes, reads all of it and writes to it.
fn look(bytes: &[u8], opening: OpenOptions, truth: &Truth, case: &str, outcomes: &mut Outcomes) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE), bytes).unwrap();
    let store = match Store::open(directory.path(), opening) {
        Ok(store) => store,
        Err(error) => return outcomes.count("open", name(&error)),
    };
    outcomes.count("open", "well");
    for (step, found, expected) in
        [("numbers", numbers(&store), &truth.numbers), ("export", export(&store), &truth.export)]
    {
        match found {
            Ok(found) if found == *expected => outcomes.count(step, "right"),
            Ok(_) => {
                assert!(!opening.verify, "{case}: {step} are wrong");
                outcomes.count(step, "wrong");
            }
            Err(error) => outcomes.count(step, name(&error)),
        }
    }
    match check::run(&store, false) {
        Ok(report) => outcomes.count("check", if report.problems.is_empty() { "well" } else { "problems" }),
        Err(error) => outcomes.count("check", name(&error)),
    }
    let request = objects().split_off(9);
    match store.write(|transaction| commit::apply(transaction, &[request])) {
        Ok(_) => outcomes.count("write", "well"),
        Err(error) => outcomes.count("write", name(&error)),
    }
    match store.reopen().and_then(|()| store.probe()) {
        Ok(()) => outcomes.count("reopen", "well"),
        Err(error) => outcomes.count("reopen", name(&error)),
    }
    store.close();
}

/// How many cases there are, and the seed that they are drawn from.
fn cases(standard: u64) -> (u64, Random) {
    (number("FAULT_FLIPS", standard), Random(number("FAULT_SEED", 1)))
}

#[test]
fn flipped_bits_are_refused_unless_they_mean_nothing() {
    let (cases, mut random) = cases(150);
    let truth = Truth::new();
    let mut outcomes = Outcomes::default();
    for _ in 0..cases {
        let (place, bit) = (truth.place(&mut random), random.below(8));
        let mut bytes = truth.bytes.clone();
        bytes[place] ^= 1 << bit;
        look(&bytes, VERIFIED, &truth, &format!("bit {bit} of byte {place}"), &mut outcomes);
    }
    outcomes.print("flipped, verified");
    assert!(outcomes.of("open", "Unusable") > 0, "no flip mattered");
    // Whatever opens is whole.
    let opened = outcomes.of("open", "well");
    for (step, outcome) in
        [("numbers", "right"), ("export", "right"), ("check", "well"), ("write", "well"), ("reopen", "well")]
    {
        assert_eq!(outcomes.of(step, outcome), opened, "{step}");
    }
}

#[test]
fn flipped_bits_that_nobody_looked_for_are_no_panic() {
    let (cases, mut random) = cases(300);
    let truth = Truth::new();
    let trusting = OpenOptions { verify: false, ..VERIFIED };
    let mut outcomes = Outcomes::default();
    for _ in 0..cases {
        let mut bytes = truth.bytes.clone();
        // Several at once, or too few would be where it hurts.
        for _ in 0..4 {
            bytes[truth.place(&mut random)] ^= 1 << random.below(8);
        }
        look(&bytes, trusting, &truth, "", &mut outcomes);
    }
    outcomes.print("flipped, trusted");
    assert!(outcomes.of("numbers", "right") > 0 && outcomes.of("numbers", "Corrupt") > 0, "nothing was damaged");
}

#[test]
fn files_that_were_cut_off_or_written_over_are_refused_or_right() {
    let truth = Truth::new();
    let mut random = Random(3);
    let mut outcomes = Outcomes::default();
    let length = truth.bytes.len();
    let cuts = [0, 1, 63, 64, 320, 511, 512, PAGE - 1, PAGE, PAGE + 1, length / 2, length - PAGE, length - 1];
    for cut in cuts.into_iter().chain((0..12).map(|_| random.below(length).max(1))) {
        look(&truth.bytes[..cut], VERIFIED, &truth, &format!("cut off at {cut}"), &mut outcomes);
    }
    for more in [1, PAGE, 1 << 20] {
        let longer = [&truth.bytes[..], &vec![0; more]].concat();
        look(&longer, VERIFIED, &truth, &format!("{more} bytes longer"), &mut outcomes);
    }
    for _ in 0..24 {
        let (from, to) = (truth.place(&mut random), truth.place(&mut random));
        let mut bytes = truth.bytes.clone();
        let sector = |place: usize| place / 512 * 512..place / 512 * 512 + 512;
        match random.below(3) {
            0 => bytes[sector(to)].fill(0),
            1 => bytes[sector(to)].iter_mut().for_each(|byte| *byte = u8::try_from(random.below(256)).unwrap()),
            _ => bytes.copy_within(sector(from), sector(to).start),
        }
        look(&bytes, VERIFIED, &truth, &format!("sector {to} from {from}"), &mut outcomes);
    }
    outcomes.print("cut off or written over");
    assert!(outcomes.of("open", "Unusable") > 20, "hardly anything was refused");
}

#[test]
fn files_of_others_are_refused_and_stay_as_they_are() {
    let written = |directory: &TempDir, write: &dyn Fn(&redb::WriteTransaction)| {
        let path = directory.path().join(FILE);
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        write(&transaction);
        transaction.commit().unwrap();
        database.close().unwrap();
        fs::read(path).unwrap()
    };
    let other = written(&tempfile::tempdir().unwrap(), &|transaction| {
        let table = redb::TableDefinition::<u64, u64>::new("theirs");
        transaction.open_table(table).unwrap().insert(1, 1).unwrap();
    });
    let newer = written(&sound(), &|transaction| {
        let table = redb::TableDefinition::<&str, u64>::new("meta");
        transaction.open_table(table).unwrap().insert("format", 3).unwrap();
    });
    for (what, bytes, words) in [
        ("nothing", Vec::new(), "cannot be opened"),
        ("text", b"hello".to_vec(), "cannot be opened"),
        ("zeros", vec![0; 100_000], "cannot be opened"),
        ("an archive", [b"PK\x03\x04".as_slice(), &vec![7; 50_000]].concat(), "cannot be opened"),
        ("a database of another program", other, "is another program's"),
        ("a database of a newer version", newer, "has format 3, this program reads up to format 2"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, &bytes).unwrap();
        let error = Store::open(directory.path(), VERIFIED).unwrap_err();
        assert!(error.to_string().contains(words), "{what}: {error}");
        assert!(what.contains("database") || fs::read(&path).unwrap() == bytes, "{what} was changed");
    }
}

// The program itself.

#[test]
fn every_command_refuses_a_damaged_file_in_a_line() {
    let truth = Truth::new();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut bytes = truth.bytes.clone();
    // All pages behind the header.
    bytes[PAGE..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0x10);
    fs::write(data.join(FILE), &bytes).unwrap();
    for (arguments, status) in [
        (&["serve", "--listen", "127.0.0.1:0"][..], 2),
        (&["check"], 2),
        (&["expire"], 2),
        (&["export", "--output", "out.ndjson"], 2),
    ] {
        let output = run(directory.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains("data/metrics.redb` cannot be opened"), "{arguments:?}: {said}");
        assert!(said.lines().count() == 1 && !said.contains("panicked"), "{arguments:?}: {said}");
    }
    assert_eq!(fs::read(data.join(FILE)).unwrap(), bytes, "the file was changed");
}
