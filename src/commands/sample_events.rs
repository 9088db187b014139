//! Generates sample events that look like the last 90 days of a real cluster: working hours and weekends, a job type that becomes
//! slower, a day on which storage failed, retries, cancellations. The same time always gives the same events.

use anyhow::Context;
use fastrand::Rng;
use serde_json::json;
use tokio::sync::oneshot;

use crate::events::{Event, Ingest, Job, JobExecution, Object, Task, wire};
use crate::time::Timestamp;
use crate::vocabulary::{ChoiceId, ErrorCategory, ExecutionStatus, IngestStatus, JobStatus, TaskType};
use crate::worker::{Queue, Request};

/// How many days back the samples begin.
const DAYS: u64 = 90;
/// The day on which storage failed, counted back from now.
const OUTAGE_DAY: u64 = 23;
const SECOND_US: u64 = 1_000_000;
const DAY_US: u64 = 86_400 * SECOND_US;
/// The number of objects of one commit.
const BATCH: usize = 10_000;

/// Name, title, jobs per day, typical seconds of the main task, percentage of failures.
const JOB_TYPES: [(&str, &str, u64, u64, u64); 12] = [
    ("landsat-ingest", "Landsat Ingest", 60, 95, 2),
    ("landsat-mosaic", "Landsat Mosaic", 12, 2600, 6),
    ("sentinel2-l2a", "Sentinel-2 L2A", 45, 780, 4),
    ("sentinel2-tiles", "Sentinel-2 Tiles", 80, 140, 1),
    ("dem-hillshade", "DEM Hillshade", 9, 420, 3),
    ("ship-detection", "Ship Detection", 24, 1300, 11),
    ("cloud-mask", "Cloud Mask", 70, 75, 2),
    ("change-detection", "Change Detection", 15, 1900, 8),
    ("image-thumbnails", "Image Thumbnails", 120, 18, 1),
    ("archive-cleanup", "Archive Cleanup", 4, 310, 0),
    ("weather-grib", "Weather GRIB", 32, 55, 3),
    ("road-extraction", "Road Extraction", 8, 5200, 14),
];

/// Name, title, files per day, typical bytes.
const STRIKES: [(&str, &str, u64, u64); 4] = [
    ("landsat-drop", "Landsat Drop Folder", 60, 950_000_000),
    ("sentinel-hub", "Sentinel Hub", 90, 620_000_000),
    ("weather-feed", "Weather Feed", 32, 48_000_000),
    ("partner-uploads", "Partner Uploads", 18, 130_000_000),
];

/// Name, title, category, built in.
const ERRORS: [(&str, &str, ErrorCategory, bool); 7] = [
    ("node-lost", "Node Lost", ErrorCategory::System, true),
    ("storage-unavailable", "Storage Unavailable", ErrorCategory::System, true),
    ("out-of-memory", "Out of Memory", ErrorCategory::Algorithm, true),
    ("timeout", "Timeout", ErrorCategory::Algorithm, true),
    ("corrupt-input", "Corrupt Input", ErrorCategory::Data, false),
    ("missing-band", "Missing Band", ErrorCategory::Data, false),
    ("no-convergence", "No Convergence", ErrorCategory::Algorithm, false),
];
const STORAGE_UNAVAILABLE: usize = 1;

/// Posts the samples that end before `now` to the rollup task, and returns their number.
pub(super) fn fill(queue: &Queue, now: Timestamp) -> anyhow::Result<usize> {
    let objects = Samples::until(now);
    for batch in objects.chunks(BATCH) {
        let (reply, answer) = oneshot::channel();
        queue.push(Request { objects: batch.to_vec(), lease: queue.lease(), reply })?;
        answer.blocking_recv().context("the rollup task ended")??;
    }
    Ok(objects.len())
}

struct Samples {
    random: Rng,
    now: Timestamp,
    objects: Vec<Object>,
    next_id: u64,
}

impl Samples {
    fn until(now: Timestamp) -> Vec<Object> {
        let mut samples = Self { random: Rng::with_seed(6), now, objects: Vec::new(), next_id: 1 };
        samples.define_choices();
        let first_day = now.date().start().micros().saturating_sub((DAYS - 1) * DAY_US);
        for day in 0..DAYS {
            let start = first_day + day * DAY_US;
            // 1970-01-01 was a Thursday.
            let is_weekend = matches!((start / DAY_US + 4) % 7, 0 | 6);
            let percent = if is_weekend { 35 } else { 100 } + day / 4;
            for (place, job_type) in JOB_TYPES.iter().enumerate() {
                for _ in 0..job_type.2 * percent / 100 {
                    samples.job(place, day, start);
                }
            }
            for (place, strike) in STRIKES.iter().enumerate() {
                for _ in 0..strike.2 * percent / 100 {
                    samples.ingest(place, start);
                }
            }
        }
        samples.objects
    }

    fn define_choices(&mut self) {
        let job_types = JOB_TYPES.iter().enumerate().map(|(place, &(name, title, ..))| {
            let is_system = name == "archive-cleanup";
            let category = if is_system { "system" } else { "imagery" };
            json!({
                "kind": "job_type", "id": id_of(place), "name": name, "version": "1.0", "title": title,
                "category": category, "is_system": is_system,
            })
        });
        let strikes = STRIKES.iter().enumerate().map(
            |(place, &(name, title, ..))| json!({ "kind": "strike", "id": id_of(place), "name": name, "title": title }),
        );
        let errors = ERRORS.iter().enumerate().map(|(place, &(name, title, category, is_builtin))| {
            json!({
                "kind": "error", "id": id_of(place), "name": name, "title": title, "category": category,
                "is_builtin": is_builtin, "should_be_retried": category == ErrorCategory::System,
            })
        });
        let definitions: serde_json::Value = job_types.chain(strikes).chain(errors).collect();
        let take = |read: wire::Read| self.objects.push(read.expect("the definitions are valid"));
        wire::read_json(definitions.to_string().as_bytes(), take).expect("a value is JSON");
    }

    /// A random time of the day that starts at `day_start`, more often in working hours.
    fn moment(&mut self, day_start: u64) -> u64 {
        let hour = if self.random.u8(..10) < 7 { self.random.u64(6..19) } else { self.random.u64(0..24) };
        day_start + hour * 3_600 * SECOND_US + self.random.u64(0..3_600 * SECOND_US)
    }

    /// About `seconds` seconds, in microseconds; sometimes several times as many.
    fn about(&mut self, seconds: u64) -> u64 {
        let percent = 60 + self.random.u64(0..80) + if self.random.u8(..20) == 0 { 250 } else { 0 };
        (seconds * SECOND_US / 100).max(1) * percent
    }

    fn event_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds a job with its executions: one, or a failed one and a second try.
    fn job(&mut self, place: usize, day: u64, day_start: u64) {
        let (name, _, _, typical, percent_failed) = JOB_TYPES[place];
        // This job type becomes slower from week to week.
        let typical = if name == "change-detection" { typical + typical * day / 60 } else { typical };
        let is_outage = day == DAYS - OUTAGE_DAY;
        let queued = self.moment(day_start);
        let fails = self.random.u64(..100) < if is_outage { 45 } else { percent_failed };
        let error = fails.then(|| {
            let place = if is_outage { STORAGE_UNAVAILABLE } else { self.random.usize(..ERRORS.len()) };
            (id_of(place), ERRORS[place].2)
        });
        let is_canceled = error.is_none() && self.random.u8(..80) == 0;
        let helps_to_retry = !is_outage && matches!(error, Some((_, ErrorCategory::System)));
        let status = match error {
            Some(_) => ExecutionStatus::Failed,
            None if is_canceled => ExecutionStatus::Canceled,
            None => ExecutionStatus::Completed,
        };
        let mut ended = self.execution(place, typical, queued, status, error.map(|(id, _)| id));
        let mut outcome = (status, error.map(|(id, _)| id));
        if helps_to_retry {
            ended = self.execution(place, typical, ended, ExecutionStatus::Completed, None);
            outcome = (ExecutionStatus::Completed, None);
        }
        let Some(ended) = self.past(ended) else { return };
        let status = match outcome.0 {
            ExecutionStatus::Failed => JobStatus::Failed,
            ExecutionStatus::Canceled => JobStatus::Canceled,
            ExecutionStatus::Completed | ExecutionStatus::Queued | ExecutionStatus::Running => JobStatus::Completed,
        };
        let id = self.event_id();
        let job = Job { id, job_type: id_of(place), status, ended: Some(ended), error: outcome.1, last_modified: None };
        self.objects.push(Object::Event(Event::Job(job)));
    }

    /// Adds an execution, and returns when it ended, in microseconds since 1970.
    fn execution(
        &mut self,
        place: usize,
        typical: u64,
        queued: u64,
        status: ExecutionStatus,
        error: Option<ChoiceId>,
    ) -> u64 {
        let waits = 20 + self.random.u64(0..typical / 4 + 30);
        let started = queued + self.about(waits);
        let mut time = started;
        let mut tasks = Vec::new();
        for (task_type, seconds) in [
            (TaskType::Pull, 6),
            (TaskType::Pre, 10 + typical / 20),
            (TaskType::Main, typical),
            (TaskType::Post, 5 + typical / 30),
        ] {
            let task_started = time + self.about(2);
            time = task_started + self.about(seconds);
            let (started, ended) = (Timestamp::from_micros(task_started), Timestamp::from_micros(time));
            tasks.push(Task { task_type, started, ended });
            if status != ExecutionStatus::Completed && task_type == TaskType::Main {
                break;
            }
        }
        let ended = time + self.about(3);
        if let Some(end) = self.past(ended) {
            let id = self.event_id();
            self.objects.push(Object::Event(Event::JobExecution(JobExecution {
                id,
                job_type: id_of(place),
                status,
                queued: Timestamp::from_micros(queued),
                started: Timestamp::from_micros(started),
                ended: Some(end),
                error,
                tasks,
                last_modified: None,
            })));
        }
        ended
    }

    fn ingest(&mut self, place: usize, day_start: u64) {
        let typical = STRIKES[place].3;
        let file_size = typical / 4 + self.random.u64(0..typical * 3 / 2);
        let transfer_started = self.moment(day_start);
        let transfer_ended = transfer_started + self.about(1 + file_size / 40_000_000);
        let ingest_started = transfer_ended + self.about(4);
        let ended = ingest_started + self.about(2 + file_size / 90_000_000);
        let Some(ingest_ended) = self.past(ended) else { return };
        let status = match self.random.u8(..100) {
            0..=1 => IngestStatus::Errored,
            2..=4 => IngestStatus::Duplicate,
            5 => IngestStatus::Deferred,
            _ => IngestStatus::Ingested,
        };
        let id = self.event_id();
        self.objects.push(Object::Event(Event::Ingest(Ingest {
            id,
            strike: Some(id_of(place)),
            status,
            file_size: Some(file_size),
            transfer_started: Timestamp::from_micros(transfer_started),
            transfer_ended: Timestamp::from_micros(transfer_ended),
            ingest_started: Timestamp::from_micros(ingest_started),
            ingest_ended: Some(ingest_ended),
            last_modified: None,
        })));
    }

    /// The time, unless it is after now.
    fn past(&self, us: u64) -> Option<Timestamp> {
        Timestamp::from_micros(us).filter(|&time| time <= self.now)
    }
}

/// The id of a choice. Choices are numbered from 1 in the order of their table.
fn id_of(place: usize) -> ChoiceId {
    ChoiceId::new(place as u64 + 1).expect("ids count from 1")
}
