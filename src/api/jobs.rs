//! Bounds on the computation of answers: how many run at once, how long each may take, and when an abandoned one stops.
//!
//! Small computations run on the async thread that parses the request. All others run off the async threads, as a [`Job`].
//! Requests for the same thing share one job, and the job stops when the last of them is gone. Long jobs ([`Size::Long`]) have
//! permits of their own, so that short ones do not wait for them.
//!
//! A computation stops by itself: its loops call [`Bounds::check`], because nothing can interrupt a thread from outside.
//!
//! Not here: what is computed (`v6`), which answers are cached (`response_cache`).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::answer::Answer;
use super::{ApiError, off_thread};
use crate::store::Version;

/// The approximate size of a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// It takes milliseconds.
    Short,
    /// It takes up to seconds, or more.
    Long,
}

/// The bounds of a computation. A clone belongs to the same computation.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    until: Instant,
    timeout: Duration,
    progress: Arc<Progress>,
}

/// What a computation and the requests that wait for it tell each other.
#[derive(Debug, Default)]
struct Progress {
    /// Whether the computation may have begun to read the store.
    has_begun: AtomicBool,
    /// The version of the store that it reads; not set before that is known.
    version: OnceLock<Version>,
    /// Set when no request waits any more.
    is_abandoned: AtomicBool,
    abandoned: Notify,
}

impl Bounds {
    /// The bounds of a computation that begins now.
    fn new(timeout: Duration, progress: Arc<Progress>) -> Self {
        Self { until: Instant::now() + timeout, timeout, progress }
    }

    /// Bounds that nothing reaches.
    pub(super) fn unlimited() -> Self {
        Self::new(Duration::from_hours(100 * 365 * 24), Arc::default())
    }

    /// Notes that the computation is about to read the store. A request that comes before the version is known may have seen a later
    /// one, so it does not wait for this computation.
    pub(super) fn begin(&self) {
        self.progress.has_begun.store(true, Ordering::SeqCst);
    }

    /// Records the version of the store that the computation reads. A request that has seen a later version does not wait for it.
    pub(super) fn reads(&self, version: Version) {
        // A computation begins only once.
        let _ = self.progress.version.set(version);
    }

    /// Returns an error if the computation has to stop.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.progress.is_abandoned.load(Ordering::Relaxed) {
            return Err(ApiError::ClientGone);
        }
        if Instant::now() > self.until {
            return Err(ApiError::AnswerTimeout(self.timeout.as_secs()));
        }
        Ok(())
    }
}

/// The jobs that run or wait for a permit.
pub(super) struct Jobs<K> {
    /// By the key of their answer. A job that cannot be upgraded is abandoned, and no request may join it.
    running: Mutex<HashMap<K, Weak<Job>>>,
    /// The permits to compute, for each size of job.
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    timeout: Duration,
}

/// A computation that runs, or that waits for a permit. The requests that wait for it own it; when the last one drops it, the
/// computation stops.
struct Job {
    progress: Arc<Progress>,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// The answer, or the error.
type Outcome = Result<Arc<Answer>, Arc<ApiError>>;

impl Drop for Job {
    fn drop(&mut self) {
        self.progress.is_abandoned.store(true, Ordering::Relaxed);
        self.progress.abandoned.notify_one();
    }
}

/// A computation within bounds. It tells them which version of the store it reads.
pub(super) trait Compute: FnOnce(Bounds) -> Result<Arc<Answer>, ApiError> + Send + 'static {}

impl<F: FnOnce(Bounds) -> Result<Arc<Answer>, ApiError> + Send + 'static> Compute for F {}

impl<K: Clone + Eq + Hash + Send + 'static> Jobs<K> {
    /// Creates a list of jobs. `at_once` jobs of each size run at a time. Each may wait for a permit for `timeout`, and then run
    /// as long.
    pub(super) fn new(at_once: usize, timeout: Duration) -> Self {
        let semaphore = || Arc::new(Semaphore::new(at_once));
        Self { running: Mutex::default(), short: semaphore(), long: semaphore(), timeout }
    }

    /// The bounds of a computation that begins now and that is no job.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds::new(self.timeout, Arc::default())
    }

    /// Returns the answer of the job that computes `key` from this version of the store or a later one; starts the job if there
    /// is none. `found` looks for a finished answer once more, since a job may have ended meanwhile.
    pub(super) async fn wait(
        self: &Arc<Self>,
        key: &K,
        version: Version,
        size: Size,
        found: impl Fn() -> Option<Arc<Answer>>,
        compute: impl Compute,
    ) -> Result<Arc<Answer>, ApiError> {
        let job = {
            let mut running = self.running.lock();
            if let Some(answer) = found() {
                return Ok(answer);
            }
            let is_new = |job: &Arc<Job>| match job.progress.version.get() {
                Some(&read) => read >= version,
                None => !job.progress.has_begun.load(Ordering::SeqCst),
            };
            match running.get(key).and_then(Weak::upgrade) {
                Some(job) if is_new(&job) => job,
                old => {
                    // An answer that is requested again and again while the store changes is computed by one job at a time.
                    let before = old.map(|job| job.outcome.clone());
                    let job = self.start(key.clone(), size, before, compute);
                    running.insert(key.clone(), Arc::downgrade(&job));
                    job
                }
            }
        };
        let mut outcome = job.outcome.clone();
        // A job ends without an outcome only if its thread ends.
        let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| ApiError::Internal)?.clone();
        outcome.expect("it was waited for").map_err(ApiError::from)
    }

    fn start(
        self: &Arc<Self>,
        key: K,
        size: Size,
        before: Option<watch::Receiver<Option<Outcome>>>,
        compute: impl Compute,
    ) -> Arc<Job> {
        let (tell, outcome) = watch::channel(None);
        let progress = Arc::<Progress>::default();
        let job = Arc::new(Job { progress: Arc::clone(&progress), outcome });
        let (jobs, this) = (Arc::clone(self), Arc::downgrade(&job));
        actix_web::rt::spawn(async move {
            let result = tokio::select! {
                biased;
                () = progress.abandoned.notified() => Err(ApiError::ClientGone),
                permit = jobs.permit(size, before) => match permit {
                    Ok(permit) => {
                        let bounds = Bounds::new(jobs.timeout, Arc::clone(&progress));
                        let computed = off_thread(move || {
                            let _permit = permit;
                            compute(bounds)
                        });
                        computed.await.flatten()
                    }
                    Err(error) => Err(error),
                },
            };
            let mut running = jobs.running.lock();
            // Another job may have taken the place.
            if running.get(&key).is_some_and(|listed| listed.ptr_eq(&this)) {
                running.remove(&key);
            }
            drop(running);
            // It is no error if no request waits any more.
            let _ = tell.send(Some(result.map_err(Arc::new)));
        });
        job
    }

    /// Waits for a permit, after the job `before` that computes the same from an older version has ended. Jobs get permits in the
    /// order in which they came.
    async fn permit(
        &self,
        size: Size,
        before: Option<watch::Receiver<Option<Outcome>>>,
    ) -> Result<OwnedSemaphorePermit, ApiError> {
        let permits = match size {
            Size::Short => &self.short,
            Size::Long => &self.long,
        };
        let permit = async {
            if let Some(mut before) = before {
                // Its outcome does not matter.
                let _ = before.wait_for(Option::is_some).await;
            }
            Arc::clone(permits).acquire_owned().await
        };
        timeout(self.timeout, permit).await.ok().and_then(Result::ok).ok_or(ApiError::Busy)
    }

    /// Waits for a permit for something short.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.permit(Size::Short, None).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use actix_web::rt::task::JoinHandle;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::api::Content;

    const LONG: Duration = Duration::from_hours(1);

    fn answer(text: &str) -> Arc<Answer> {
        Arc::new(Answer::new(Content { media_type: "text/plain", body: text.as_bytes().to_vec() }, None))
    }

    fn version(number: u64) -> Version {
        Version { era: 0, number }
    }

    fn jobs(at_once: usize, timeout: Duration) -> Arc<Jobs<u32>> {
        Arc::new(Jobs::new(at_once, timeout))
    }

    /// Computes until it has to stop; reports that it began, and why it stopped.
    fn endless(began: mpsc::Sender<()>, stopped: mpsc::Sender<ApiError>) -> impl Compute {
        move |bounds: Bounds| {
            bounds.reads(version(1));
            began.send(()).unwrap();
            loop {
                if let Err(error) = bounds.check() {
                    stopped.send(error).unwrap();
                    return Err(ApiError::Internal);
                }
                thread::yield_now();
            }
        }
    }

    /// Computes when the test tells it to.
    fn held(begin: mpsc::Receiver<()>, read: u64, text: &'static str) -> impl Compute {
        move |bounds: Bounds| {
            bounds.reads(version(read));
            begin.recv().unwrap();
            Ok(answer(text))
        }
    }

    /// Makes a long job take the only permit until the test tells it to go on.
    async fn busy(jobs: &Arc<Jobs<u32>>) -> (mpsc::Sender<()>, JoinHandle<Result<Arc<Answer>, ApiError>>) {
        let (begin, held_by) = mpsc::channel();
        let busy = jobs.clone();
        let busy =
            actix_web::rt::spawn(
                async move { busy.wait(&1, version(1), Size::Long, || None, held(held_by, 1, "a")).await },
            );
        while jobs.long.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        (begin, busy)
    }

    fn never(_: Bounds) -> Result<Arc<Answer>, ApiError> {
        panic!("it is computed already")
    }

    #[actix_web::test]
    async fn what_several_ask_for_is_computed_once() {
        let jobs = jobs(1, LONG);
        let (begin, held_by) = mpsc::channel();
        let first = jobs.wait(&7, version(1), Size::Long, || None, held(held_by, 1, "one"));
        let second = jobs.wait(&7, version(1), Size::Long, || None, never);
        let tell = async { begin.send(()).unwrap() };
        let (first, second, ()) = tokio::join!(first, second, tell);
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
        assert!(jobs.running.lock().is_empty());
        let found = jobs.wait(&7, version(1), Size::Long, || Some(answer("kept")), never).await.unwrap();
        assert_eq!(found.len(), 4);
    }

    #[actix_web::test]
    async fn who_has_seen_a_later_version_gets_an_answer_of_it() {
        let jobs = jobs(1, LONG);
        let (begin, held_by) = mpsc::channel();
        let (old, held_too) = (jobs.clone(), mpsc::channel());
        let old = actix_web::rt::spawn(async move {
            old.wait(&7, version(1), Size::Long, || None, held(held_by, 1, "old")).await
        });
        let begun = || jobs.running.lock().get(&7)?.upgrade()?.progress.version.get().copied();
        while begun().is_none() {
            tokio::task::yield_now().await;
        }
        let new = jobs.wait(&7, version(2), Size::Long, || None, held(held_too.1, 2, "newer"));
        begin.send(()).unwrap();
        held_too.0.send(()).unwrap();
        assert_eq!(new.await.unwrap().len(), "newer".len());
        assert_eq!(old.await.unwrap().unwrap().len(), "old".len());
    }

    #[actix_web::test]
    async fn nobody_waits_for_a_job_that_has_begun_and_does_not_know_its_version() {
        let jobs = jobs(1, LONG);
        let ((begun, has_begun), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
        let old = jobs.clone();
        let old = actix_web::rt::spawn(async move {
            let compute = move |bounds: Bounds| {
                bounds.begin();
                begun.send(()).unwrap();
                goes_on.recv().unwrap();
                bounds.reads(version(1));
                Ok(answer("old"))
            };
            old.wait(&7, version(1), Size::Long, || None, compute).await
        });
        while has_begun.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        // Its version may turn out to be less than what this request has seen.
        let new = jobs.wait(&7, version(2), Size::Long, || None, |_: Bounds| Ok(answer("newer")));
        go_on.send(()).unwrap();
        assert_eq!(new.await.unwrap().len(), "newer".len());
        assert_eq!(old.await.unwrap().unwrap().len(), "old".len());
    }

    #[actix_web::test]
    async fn a_job_stops_when_the_last_who_waits_for_it_is_gone() {
        let jobs = jobs(1, LONG);
        let ((began, has_begun), (stopped, has_stopped)) = (mpsc::channel(), mpsc::channel());
        let wait = |jobs: Arc<Jobs<u32>>, compute| {
            actix_web::rt::spawn(async move { jobs.wait(&7, version(1), Size::Long, || None, compute).await })
        };
        let first = wait(jobs.clone(), endless(began.clone(), stopped.clone()));
        while has_begun.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let second = wait(jobs.clone(), endless(began, stopped));
        while jobs.running.lock()[&7].strong_count() < 2 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(has_stopped.try_recv().is_err(), "somebody waits for it");
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        assert!(matches!(has_stopped.recv().unwrap(), ApiError::ClientGone));
        // The permit is free again, and so is the place on the list.
        let next = jobs.wait(&7, version(1), Size::Long, || None, |_: Bounds| Ok(answer("next")));
        assert_eq!(next.await.unwrap().len(), 4);
    }

    #[actix_web::test]
    async fn whoever_waits_for_a_turn_gives_up_when_nobody_waits_for_it() {
        let jobs = jobs(1, LONG);
        let (begin, busy) = busy(&jobs).await;
        assert!(jobs.wait(&2, version(1), Size::Long, || None, never).now_or_never().is_none());
        // Other long jobs wait, short ones do not.
        let short = jobs.wait(&3, version(1), Size::Short, || None, |_: Bounds| Ok(answer("short")));
        assert_eq!(short.await.unwrap().len(), 5);
        begin.send(()).unwrap();
        busy.await.unwrap().unwrap();
    }

    #[actix_web::test]
    async fn nobody_waits_or_computes_for_longer_than_the_timeout() {
        let jobs = jobs(1, Duration::from_millis(1));
        let ((began, _has_begun), (stopped, has_stopped)) = (mpsc::channel(), mpsc::channel());
        assert!(jobs.wait(&1, version(1), Size::Long, || None, endless(began, stopped)).await.is_err());
        assert!(matches!(has_stopped.recv().unwrap(), ApiError::AnswerTimeout(0)));
        let (begin, busy) = busy(&jobs).await;
        let refused = jobs.wait(&2, version(1), Size::Long, || None, never).await;
        assert!(matches!(refused, Err(ApiError::Shared(error)) if matches!(*error, ApiError::Busy)));
        begin.send(()).unwrap();
        busy.await.unwrap().unwrap();
    }

    #[actix_web::test]
    async fn a_job_that_panics_is_an_error_for_all_who_wait() {
        let jobs = jobs(1, LONG);
        let panicked = jobs.wait(&1, version(1), Size::Long, || None, |_: Bounds| panic!("on purpose"));
        let other = jobs.wait(&1, version(1), Size::Long, || None, never);
        let (panicked, other) = tokio::join!(panicked, other);
        for error in [panicked.unwrap_err(), other.unwrap_err()] {
            assert!(matches!(error, ApiError::Shared(error) if matches!(*error, ApiError::Internal)));
        }
        let next = jobs.wait(&1, version(1), Size::Long, || None, |_: Bounds| Ok(answer("next")));
        assert_eq!(next.await.unwrap().len(), 4);
    }
}
