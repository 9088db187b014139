//! Events as a cluster would report them, an NDJSON line each: what the benches post and parse.
//!
//! The n-th event follows from the settings and n alone, so any part of the stream can be had at any time and in any
//! order, and two runs with the same settings post the same bytes. Of 17 events 8 are executions with their tasks, 8
//! the jobs of those executions, and one is an ingest; that makes about 310 bytes an event.
//!
//! Job types are equally busy at all hours. That spreads events over as many partitions and hours as there are, which
//! is the hard case for what is stored; `scale-metrics demo` has the believable one.

use std::io::Write as _;

use chrono::{Days, NaiveDate};
use clap::value_parser;
use fastrand::Rng;

const SECOND_US: u64 = 1_000_000;
const DAY_US: u64 = 86_400 * SECOND_US;
/// Days before the first one on which something ends, so that what began earlier has a date.
const LEAD_DAYS: u64 = 1;

/// Jobs with their executions in a group of events; one ingest follows.
const GROUP_JOBS: u64 = 8;
const GROUP_EVENTS: u64 = 2 * GROUP_JOBS + 1;
/// Jobs are numbered as they are queued, and end in another order: so many neighbours are shuffled.
const ID_WINDOW: u64 = 64;

const STRIKES: u64 = 4;
/// Name, category, built in. Their ids count from 1.
const ERRORS: [(&str, &str, bool); 7] = [
    ("node-lost", "SYSTEM", true),
    ("storage-unavailable", "SYSTEM", true),
    ("out-of-memory", "ALGORITHM", true),
    ("timeout", "ALGORITHM", true),
    ("corrupt-input", "DATA", false),
    ("missing-band", "DATA", false),
    ("no-convergence", "ALGORITHM", false),
];

/// Which events there are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shape {
    /// How many events
    #[arg(long, default_value_t = DEFAULT.events, value_parser = value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub(crate) events: u64,
    /// Over how many days they end, from 2024-01-01 on
    #[arg(long, default_value_t = DEFAULT.days, value_parser = value_parser!(u64).range(1..=36_500))]
    pub(crate) days: u64,
    /// How many job types they are of
    #[arg(long, default_value_t = DEFAULT.job_types, value_parser = value_parser!(u64).range(1..=1_000_000))]
    pub(crate) job_types: u64,
    /// The unit that all times are multiples of
    #[arg(long, value_enum, default_value_t = DEFAULT.resolution_of_times)]
    pub(crate) resolution_of_times: Resolution,
    /// In which order they arrive
    #[arg(long, value_enum, default_value_t = DEFAULT.order)]
    pub(crate) order: Order,
    /// The smallest id of jobs, executions and ingests; after N events, N + 1 gives new ones
    #[arg(long, default_value_t = DEFAULT.start_id, value_parser = value_parser!(u64).range(1..1 << 52))]
    pub(crate) start_id: u64,
}

/// A million events over a year.
pub(crate) const DEFAULT: Shape = Shape {
    events: 1_000_000,
    days: 365,
    job_types: 200,
    resolution_of_times: Resolution::Ms,
    order: Order::Time,
    start_id: 1,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Resolution {
    /// Microseconds
    Us,
    /// Milliseconds
    Ms,
    /// Seconds
    S,
}

impl Resolution {
    fn unit_us(self) -> u64 {
        match self {
            Self::Us => 1,
            Self::Ms => 1_000,
            Self::S => SECOND_US,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// In the order in which they ended, as in life
    Time,
    /// Shuffled, all of them
    Random,
}

/// The stream of events of a [`Shape`].
pub(crate) struct Events {
    shape: Shape,
    /// The number of the event at each place; `None` if that is the place.
    order: Option<Vec<u32>>,
    /// `2023-12-31` and so on, as far as times reach.
    dates: Vec<String>,
}

impl Events {
    pub(crate) fn new(shape: Shape) -> Self {
        let order = (shape.order == Order::Random).then(|| {
            let events = u32::try_from(shape.events).expect("there are fewer than 2^32 events");
            let mut order: Vec<u32> = (0..events).collect();
            Rng::with_seed(shape.events).shuffle(&mut order);
            order
        });
        let first = NaiveDate::from_ymd_opt(2024, 1, 1).expect("it is a date") - Days::new(LEAD_DAYS);
        let dates = (0..=LEAD_DAYS + shape.days).map(|day| (first + Days::new(day)).to_string()).collect();
        Self { shape, order, dates }
    }

    /// Appends the definitions of all that the events name. Returns how many those are.
    pub(crate) fn write_choices(&self, out: &mut Vec<u8>) -> u64 {
        for id in 1..=self.shape.job_types {
            line(out, format_args!(r#"{{"kind":"job_type","id":{id},"name":"job-type-{id}","version":"1.0"}}"#));
        }
        for id in 1..=STRIKES {
            line(out, format_args!(r#"{{"kind":"strike","id":{id},"name":"strike-{id}"}}"#));
        }
        for (id, (name, category, builtin)) in (1..).zip(ERRORS) {
            line(
                out,
                format_args!(
                    r#"{{"kind":"error","id":{id},"name":"{name}","category":"{category}","is_builtin":{builtin}}}"#
                ),
            );
        }
        self.shape.job_types + STRIKES + ERRORS.len() as u64
    }

    /// Appends the event that arrives at `place`, counted from 0.
    pub(crate) fn write(&self, place: u64, out: &mut Vec<u8>) {
        let number = match &self.order {
            Some(order) => u64::from(order[usize::try_from(place).expect("it is below 2^32")]),
            None => place,
        };
        let (group, member) = (number / GROUP_EVENTS, number % GROUP_EVENTS);
        if member == GROUP_EVENTS - 1 {
            self.write_ingest(group, number, out);
        } else {
            let job = group * GROUP_JOBS + member / 2;
            let random = Rng::with_seed(self.shape.start_id + number - member % 2);
            if member % 2 == 0 {
                self.write_execution(job, number, random, out);
            } else {
                self.write_job(job, number - 1, random, out);
            }
        }
    }

    fn write_job(&self, job: u64, number: u64, mut random: Rng, out: &mut Vec<u8>) {
        let Outcome { job_type, status, error, ended_us } = self.outcome(number, &mut random);
        let id = self.id(job);
        put(out, format_args!(r#"{{"kind":"job","id":{id},"job_type":{job_type},"status":"{status}""#));
        write_error(error, out);
        self.write_time(r#","ended":""#, ended_us, out);
        out.extend_from_slice(b"}\n");
    }

    fn write_execution(&self, job: u64, number: u64, mut random: Rng, out: &mut Vec<u8>) {
        let Outcome { job_type, status, error, ended_us } = self.outcome(number, &mut random);
        let typical_s = 20 + job_type * 37 % 200 * 15;
        let types: &[&str] =
            if status == "COMPLETED" { &["pull", "pre", "main", "post"] } else { &["pull", "pre", "main"] };
        // Lengths forwards, then times backwards from the end.
        let queue_us = self.about(20 + typical_s / 4, &mut random);
        let mut tasks = [(0, 0); 4];
        for (task, typical_s) in tasks.iter_mut().zip([6, 10 + typical_s / 20, typical_s, 5 + typical_s / 30]) {
            *task = (self.about(2, &mut random), self.about(typical_s, &mut random));
        }
        let after_us = self.about(3, &mut random);
        let tasks_us: u64 = tasks.iter().take(types.len()).map(|(pause, length)| pause + length).sum();
        let started_us = ended_us - after_us - tasks_us;

        let id = self.id(job);
        put(out, format_args!(r#"{{"kind":"job_execution","id":{id},"job_type":{job_type},"status":"{status}""#));
        write_error(error, out);
        self.write_time(r#","queued":""#, started_us - queue_us, out);
        self.write_time(r#","started":""#, started_us, out);
        self.write_time(r#","ended":""#, ended_us, out);
        let (mut time_us, mut before) = (started_us, r#","tasks":[{"type":""#);
        for (name, (pause, length)) in types.iter().zip(tasks) {
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(name.as_bytes());
            self.write_time(r#"","started":""#, time_us + pause, out);
            self.write_time(r#","ended":""#, time_us + pause + length, out);
            time_us += pause + length;
            before = r#"},{"type":""#;
        }
        out.extend_from_slice(b"}]}\n");
    }

    fn write_ingest(&self, ingest: u64, number: u64, out: &mut Vec<u8>) {
        let mut random = Rng::with_seed(self.shape.start_id + number);
        let ended_us = self.end(number, &mut random);
        let status = match random.u8(..100) {
            0..2 => "ERRORED",
            2..5 => "DUPLICATE",
            5 => "DEFERRED",
            _ => "INGESTED",
        };
        let (strike, file_size) = (random.u64(1..=STRIKES), random.u64(10_000_000..2_000_000_000));
        let ingest_us = self.about(2 + file_size / 90_000_000, &mut random);
        let pause_us = self.about(4, &mut random);
        let transfer_us = self.about(1 + file_size / 40_000_000, &mut random);
        let id = self.id(ingest);
        put(out, format_args!(r#"{{"kind":"ingest","id":{id},"strike":{strike},"status":"{status}""#));
        put(out, format_args!(r#","file_size":{file_size}"#));
        self.write_time(r#","transfer_started":""#, ended_us - ingest_us - pause_us - transfer_us, out);
        self.write_time(r#","transfer_ended":""#, ended_us - ingest_us - pause_us, out);
        self.write_time(r#","ingest_started":""#, ended_us - ingest_us, out);
        self.write_time(r#","ingest_ended":""#, ended_us, out);
        out.extend_from_slice(b"}\n");
    }

    /// What the execution with this number and its job have in common.
    fn outcome(&self, number: u64, random: &mut Rng) -> Outcome {
        let ended_us = self.end(number, random);
        let (status, error) = match random.u8(..100) {
            0 => ("CANCELED", None),
            1..5 => ("FAILED", Some(random.usize(1..=ERRORS.len()))),
            _ => ("COMPLETED", None),
        };
        Outcome { job_type: random.u64(1..=self.shape.job_types), status, error, ended_us }
    }

    /// When the event with this number ends, in microseconds since the first date: later than all with smaller numbers.
    fn end(&self, number: u64, random: &mut Rng) -> u64 {
        let span_us = self.shape.days * DAY_US;
        let past = u128::from(number) * u128::from(span_us) + u128::from(random.u64(..span_us));
        let past_us = u64::try_from(past / u128::from(self.shape.events)).expect("it is within the span");
        self.whole(LEAD_DAYS * DAY_US + past_us)
    }

    /// About that many seconds, in microseconds; sometimes several times as many.
    fn about(&self, seconds: u64, random: &mut Rng) -> u64 {
        let typical_us = seconds * SECOND_US;
        let outlier_us = if random.u8(..20) == 0 { 3 * typical_us } else { 0 };
        self.whole(typical_us * 6 / 10 + random.u64(..typical_us * 8 / 10) + outlier_us)
    }

    fn whole(&self, us: u64) -> u64 {
        us - us % self.shape.resolution_of_times.unit_us()
    }

    /// The id of the n-th job or ingest: ascending, but for a shuffle among neighbours.
    fn id(&self, number: u64) -> u64 {
        let (window, place) = (number / ID_WINDOW, number % ID_WINDOW);
        // An odd factor permutes the places of a window, whose number is a power of 2.
        let factor = (window.wrapping_mul(0x9E37_79B9) % ID_WINDOW) | 1;
        self.shape.start_id + window * ID_WINDOW + (place * factor + window) % ID_WINDOW
    }

    /// Appends `before`, the time, and the quote that ends it.
    fn write_time(&self, before: &str, us: u64, out: &mut Vec<u8>) {
        let (day, second, fraction) = (us / DAY_US, us / SECOND_US % 86_400, us % SECOND_US);
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(self.dates[usize::try_from(day).expect("days are few")].as_bytes());
        out.push(b'T');
        write_digits::<2>(second / 3_600, out);
        out.push(b':');
        write_digits::<2>(second / 60 % 60, out);
        out.push(b':');
        write_digits::<2>(second % 60, out);
        match self.shape.resolution_of_times {
            Resolution::Us => {
                out.push(b'.');
                write_digits::<6>(fraction, out);
            }
            Resolution::Ms => {
                out.push(b'.');
                write_digits::<3>(fraction / 1_000, out);
            }
            Resolution::S => {}
        }
        out.extend_from_slice(b"Z\"");
    }
}

struct Outcome {
    job_type: u64,
    status: &'static str,
    /// The id of the error.
    error: Option<usize>,
    /// In microseconds since the first date.
    ended_us: u64,
}

fn write_error(error: Option<usize>, out: &mut Vec<u8>) {
    if let Some(id) = error {
        put(out, format_args!(r#","error":{id}"#));
    }
}

fn write_digits<const N: usize>(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    put(out, text);
    out.push(b'\n');
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes all");
}
