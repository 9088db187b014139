//! The rollup task: the one writer.
//!
//! Requests wait in a [`Queue`], bounded by the memory that they hold ([`crate::memory`]). The task, on a thread of its own, takes
//! what waits and makes one synced commit of it ([`commit`]), so that a thousand small posts cost about as much as one; then
//! each request learns what became of it. A request that cannot be stored does not take the others with it. When nothing
//! comes, the task settles the file, so that it opens at once even after a crash.
//!
//! After the disk failed, be it while somebody read, the database is closed and opened again at once, so that what is stored
//! can be read. Then the task tries once a second whether anything can be written; until that works, requests are told that
//! it cannot.
//!
//! Not here: reading requests (`api`), tables (`store`).

pub mod commit;
pub mod extremes;
mod parked;
mod queue;
pub mod rebuild;
pub mod reopen;
pub mod retention;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use crate::ledger::Receipt;
pub use queue::{Queue, QueueItem, RebuildCommand, Request, Stopping, WriteFailed};
pub use rebuild::Examined;
pub use retention::Retention;

use commit::{Applied, Causes};
use extremes::{Budget, ExtremesCache, Limits};
use parked::{Parked, Pending};
use rebuild::Rebuild;
use retention::Expiry;

use crate::events::Object;
use crate::figures::{ServerMetrics, StorageOperation};
use crate::store::{OpenProgress, RowsError, Store, StoreError};

/// The most memory that the requests of one commit take together, unless a single request is larger: some 60,000 events.
const GROUP_BYTES: usize = 16 << 20;

/// How long no requests come before the task does what it can do without them.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a task that nobody asks for anything looks whether there is room for more.
const LOOK_FOR_ROOM: Duration = Duration::from_mins(1);

/// What a step of the task did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Some requests were answered; more may wait.
    Worked,
    /// The queue is closed and empty: there will be nothing more to do.
    Done,
}

/// Whether the server can take writes, and why not.
#[derive(Debug, Default)]
pub struct Readiness {
    /// Why nothing can be written at the moment; `None` while all is well.
    trouble: Mutex<Option<String>>,
    /// How far opening the database has come, until it is open.
    opening: Mutex<Option<Arc<OpenProgress>>>,
    /// Why nothing will be written any more: a thread ended that must not.
    ended: Mutex<Option<String>>,
    stopping: AtomicBool,
}

impl Readiness {
    /// Why the server cannot take writes; none if it can.
    pub fn reasons(&self) -> Vec<String> {
        let stopping = self.is_stopping().then(|| Stopping.to_string());
        let opening = self.opening.lock().as_ref().map(ToString::to_string);
        let trouble = self.trouble.lock().clone();
        let ended = self.ended.lock().clone();
        opening.into_iter().chain(trouble).chain(ended).chain(stopping).collect()
    }

    /// The database is being opened, and has come so far.
    pub fn opening(&self, progress: Arc<OpenProgress>) {
        *self.opening.lock() = Some(progress);
    }

    /// The database is open.
    pub fn opened(&self) {
        *self.opening.lock() = None;
    }

    /// Whether the database is being opened for the first time.
    pub fn is_opening(&self) -> bool {
        self.opening.lock().is_some()
    }

    /// From now on nothing can be written, until the process starts again.
    pub fn end(&self, reason: &str) {
        self.ended.lock().get_or_insert_with(|| reason.to_owned());
    }

    /// Whether the server is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// From now on the server is stopping.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// The one writer. [`run`](Self::run) it on a thread of its own.
pub struct RollupTask {
    store: Arc<Store>,
    queue: Arc<Queue>,
    readiness: Arc<Readiness>,
    figures: Arc<ServerMetrics>,
    expiry: Expiry,
    extremes: ExtremesCache,
    /// The requests that wait for something to be read.
    parked: Parked,
    /// The commands that wait for their rebuild, and the one that is under way.
    commands: VecDeque<RebuildCommand>,
    rebuild: Option<(Rebuild, RebuildCommand)>,
    /// The last slice was one of the rebuild.
    rebuilt: bool,
    /// Something failed, and when it was last tried whether anything can be written; `None` while all is well.
    tried: Option<Instant>,
    /// Something was written since the file was settled.
    unsettled: bool,
    /// When there was room beside the database; nobody has looked so far.
    found_room: Option<Instant>,
}

impl RollupTask {
    /// A task that writes to `store` what comes in by `queue` and says in `readiness` when it cannot.
    pub fn new(
        store: Arc<Store>,
        queue: Arc<Queue>,
        readiness: Arc<Readiness>,
        figures: Arc<ServerMetrics>,
        expiry: Expiry,
    ) -> Self {
        Self {
            store,
            queue,
            readiness,
            figures,
            expiry,
            extremes: ExtremesCache::default(),
            parked: Parked::default(),
            commands: VecDeque::new(),
            rebuild: None,
            rebuilt: false,
            tried: None,
            unsettled: true,
            found_room: None,
        }
    }

    /// The same with other limits for what finding extremes costs.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.extremes = ExtremesCache::new(limits);
        self
    }

    /// Finds out whether there is room for anything to be written, if nobody did lately.
    pub fn find_room(&mut self) {
        if self.found_room.is_some_and(|found| found.elapsed() < LOOK_FOR_ROOM) {
            return;
        }
        match self.store.check_room() {
            Ok(()) => self.found_room = Some(Instant::now()),
            Err(error) => self.failed(StorageOperation::Room, &error),
        }
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        while self.step() == Progress::Worked {}
        if self.tried.is_none()
            && let Err(error) = self.expiry.record(&self.store)
        {
            // The next start finds the record of an hour ago.
            tracing::debug!(error = chain(&error), "the time of the last run was not recorded");
        }
    }

    /// Waits for requests, commits a group of them and answers each; or takes a rebuild command. While requests are set
    /// aside, it waits for no others, and reads a slice for them. When none come for a second, it settles the file, so that it
    /// opens at once whatever happens. Where something failed, it tries once a second, whether requests come or not, to write
    /// again.
    pub fn step(&mut self) -> Progress {
        if self.tried.is_some_and(|tried| tried.elapsed() >= PAUSE) {
            self.pause();
        }
        let until_expiry = self.tried.is_none().then(|| self.expiry.wait());
        if until_expiry == Some(Duration::ZERO) {
            self.expire();
        }
        let is_busy = self.is_busy();
        let patience = if is_busy { Duration::ZERO } else { until_expiry.map_or(PAUSE, |wait| wait.min(PAUSE)) };
        let taken = self.queue.take(GROUP_BYTES, Some(patience));
        let progress =
            if matches!(taken, QueueItem::Nothing) && patience < PAUSE { Progress::Worked } else { self.work(taken) };
        if is_busy {
            self.slice();
        }
        progress
    }

    /// Whether there is something to do in slices.
    pub fn is_busy(&self) -> bool {
        !self.parked.is_empty() || self.rebuild.is_some() || !self.commands.is_empty()
    }

    /// Does a slice of what takes long: reads for the requests that are set aside, and commits those that need nothing more; or
    /// goes on with a rebuild. Both take turns.
    pub fn slice(&mut self) {
        if self.tried.is_some() {
            while let Some(pending) = self.parked.take_first() {
                answer(vec![pending.request], vec![Err(WriteFailed::Unavailable)]);
            }
            let under_way = self.rebuild.take().map(|(_, command)| command);
            for command in under_way.into_iter().chain(self.commands.drain(..)) {
                // The client may have gone.
                let _ = command.reply.send(Err(WriteFailed::Unavailable));
            }
            return;
        }
        let rebuilds = self.rebuild.is_some() || !self.commands.is_empty();
        self.rebuilt = rebuilds && (self.parked.is_empty() || !self.rebuilt);
        if self.rebuilt {
            self.rebuild_slice();
        } else {
            self.read_slice();
        }
    }

    /// Reads for the requests that are set aside, and commits those that need nothing more.
    fn read_slice(&mut self) {
        let read = AssertUnwindSafe(|| {
            let snapshot = self.store.snapshot()?;
            let slice_cost = self.extremes.limits().slice_cost;
            self.parked.read(&mut self.extremes, &mut &snapshot, slice_cost)
        });
        match catch_unwind(read) {
            Ok(Ok(ready)) => self.commit_pending(ready),
            Ok(Err(StoreError::Corrupt(damage))) => self.give_up(&damage.to_string()),
            Ok(Err(error)) => self.failed(StorageOperation::Read, &error),
            Err(_) => self.give_up("a panic"),
        }
    }

    /// What the first of the requests that are set aside needs cannot be read.
    fn give_up(&mut self, reason: &str) {
        self.extremes.clear();
        if let Some(pending) = self.parked.take_first() {
            tracing::error!(error = reason, "a request could not be stored");
            answer(vec![pending.request], vec![Err(WriteFailed::Internal)]);
        }
    }

    /// Does what was taken from the queue, without waiting for anything; if that was nothing, what the task does in a pause.
    pub fn work(&mut self, taken: QueueItem) -> Progress {
        match taken {
            QueueItem::Requests(requests) => {
                let pending = requests.into_iter().map(|request| self.parked.admit(request)).collect();
                self.commit_pending(pending);
            }
            QueueItem::RebuildCommand(command) => self.commands.push_back(command),
            QueueItem::Nothing => self.pause(),
            QueueItem::Closed => {
                while self.is_busy() {
                    self.slice();
                }
                return Progress::Done;
            }
        }
        Progress::Worked
    }

    /// Deletes a little of what is too old. Does nothing while nothing can be written: a commit that fails ends all reading. A
    /// panic fails this step, but not the server: nothing that it leaves half done is committed, and requests need none of it.
    pub fn expire(&mut self) {
        if self.tried.is_some() {
            return;
        }
        let step = || self.expiry.step(&self.store).and_then(|taken| Ok((taken, self.store.snapshot()?.kept())));
        let Ok(stepped) = catch_unwind(AssertUnwindSafe(step)) else {
            // The panic's own message is logged already.
            self.figures.count_storage_failure(StorageOperation::Expiry);
            tracing::error!(error = "a panic", "what is too old cannot be deleted; it is tried again in a minute");
            self.expiry.postpone();
            return;
        };
        match stepped {
            Ok((taken, kept)) => {
                self.unsettled |= taken != retention::Removed::default();
                // Only these days' events and rollups go without anybody saying which.
                self.extremes.forget_before(kept.events_from);
                self.figures.expired_events.inc_by(taken.events);
                self.figures.expired_rollups.inc_by(taken.rollups);
            }
            Err(StoreError::Corrupt(damage)) => {
                self.figures.count_storage_failure(StorageOperation::Expiry);
                tracing::error!(%damage, "what is too old cannot be taken away");
            }
            Err(error) => self.failed(StorageOperation::Expiry, &error),
        }
    }

    /// Goes on with putting the rollups of a day right. One that nobody waits for any more is given up.
    fn rebuild_slice(&mut self) {
        let next = || self.commands.pop_front().map(|command| (Rebuild::new(Some(command.date), true), command));
        let Some((mut rebuild, command)) = self.rebuild.take().or_else(next) else { return };
        if command.reply.is_closed() {
            return;
        }
        let slice_cost = self.extremes.limits().slice_cost;
        let slice = catch_unwind(AssertUnwindSafe(|| rebuild.slice(&self.store, &mut self.extremes, slice_cost)));
        let result = match slice {
            Ok(Ok(None)) => {
                self.rebuild = Some((rebuild, command));
                return;
            }
            Ok(Ok(Some(examined))) => {
                self.unsettled |= !examined.wrong.is_empty();
                Ok(examined)
            }
            Ok(Err(StoreError::Corrupt(damage))) => {
                tracing::error!(%damage, "the rollups of {} cannot be computed", command.date);
                Err(WriteFailed::Internal)
            }
            Ok(Err(error)) => {
                self.failed(StorageOperation::Rebuild, &error);
                Err(WriteFailed::Unavailable)
            }
            Err(_) => Err(WriteFailed::Internal),
        };
        if result.is_err() {
            self.extremes.clear();
        }
        // The client may have gone.
        let _ = command.reply.send(result);
    }

    /// Uses the time that nobody asks for anything. A panic in here ends the task: whether the database can still be
    /// used is unknown then, and starting again finds out.
    fn pause(&mut self) {
        if let Err(error) = self.recover() {
            return self.failed(StorageOperation::Recovery, &error);
        }
        // Somebody may have moved it meanwhile.
        if let Err(error) = self.store.check() {
            return self.failed(StorageOperation::File, &error);
        }
        if std::mem::take(&mut self.unsettled)
            && let Err(error) = self.store.checkpoint()
        {
            return self.failed(StorageOperation::Settle, &error);
        }
        self.find_room();
    }

    /// If something failed, be it while somebody read: opens the database again, and finds out whether it can be written.
    fn recover(&mut self) -> Result<(), StoreError> {
        let is_usable = self.store.is_usable();
        if is_usable && self.tried.is_none() {
            return Ok(());
        }
        if !is_usable {
            if self.tried.is_none() {
                self.unready("the database failed while it was read");
            }
            self.store.reopen()?;
        }
        self.store.probe()?;
        tracing::info!("the database can be written again");
        self.tried = None;
        self.found_room = Some(Instant::now());
        self.unsettled = true;
        *self.readiness.trouble.lock() = None;
        Ok(())
    }

    /// Commits requests and answers them, but for those that it sets aside.
    fn commit_pending(&mut self, mut pending: Vec<Pending>) {
        let limits = self.extremes.limits();
        while !pending.is_empty() {
            let objects: Vec<_> =
                pending.iter_mut().map(|pending| std::mem::take(&mut pending.request.objects)).collect();
            let budget = parked::budget(&pending, limits.commit_cost, limits.replace_cost);
            let causes = match self.commit(&objects, budget) {
                Ok(ControlFlow::Continue(receipts)) => {
                    drop(objects);
                    return answer(requests_of(pending), receipts.into_iter().map(Ok).collect());
                }
                Ok(ControlFlow::Break(causes)) => causes,
                Err(WriteFailed::Internal | WriteFailed::Overtaken) if objects.len() > 1 => {
                    // Which of them it is: each alone, whatever it costs.
                    let alone = objects.chunks(1).map(|request| self.commit_alone(request)).collect();
                    drop(objects);
                    return answer(requests_of(pending), alone);
                }
                Err(failed) => {
                    let results = vec![Err(failed); objects.len()];
                    drop(objects);
                    return answer(requests_of(pending), results);
                }
            };
            let mut others = Vec::new();
            for (place, (mut pending, objects)) in pending.into_iter().zip(objects).enumerate() {
                pending.request.objects = objects;
                match causes.get(&place) {
                    Some(wanted) => self.parked.park(pending, wanted.clone()),
                    None => others.push(pending),
                }
            }
            pending = others;
        }
    }

    /// One commit of a single request, whatever it costs.
    fn commit_alone(&mut self, request: &[Vec<Object>]) -> Result<Receipt, WriteFailed> {
        match self.commit(request, Budget::unlimited())? {
            ControlFlow::Continue(receipts) => Ok(receipts[0]),
            ControlFlow::Break(_) => Err(WriteFailed::Internal),
        }
    }

    /// One commit. Breaks off, and nothing is stored, if some of the requests take out what would cost too much to find again.
    /// [`WriteFailed::Internal`] is the fault of one of the requests, or of what is stored for it; [`WriteFailed::Overtaken`]
    /// that of one of the requests.
    fn commit(
        &mut self,
        requests: &[Vec<Object>],
        mut budget: Budget,
    ) -> Result<ControlFlow<Causes, Vec<Receipt>>, WriteFailed> {
        if self.tried.is_some() {
            return Err(WriteFailed::Unavailable);
        }
        let mut is_overtaken = false;
        let mut journal = self.rebuild.as_ref().map(|(rebuild, _)| rebuild.journal());
        let mut write = || {
            self.recover()?;
            let mut transaction = self.store.begin()?;
            let events_from = transaction.kept().events_from;
            is_overtaken = requests.iter().flatten().any(|object| object.ended_before(events_from));
            if is_overtaken {
                return Ok(ControlFlow::Break(Causes::default()));
            }
            let (extremes, journal) = (&mut self.extremes, journal.as_mut());
            let applied = commit::apply_within(&mut transaction, requests, extremes, &mut budget, journal)?;
            if applied.is_continue() {
                transaction.commit()?;
            }
            Ok(applied)
        };
        let began = Instant::now();
        let written = catch_unwind(AssertUnwindSafe(&mut write));
        match &written {
            Ok(Ok(ControlFlow::Continue(_))) => {
                self.extremes.keep();
                if let Some(((rebuild, _), journal)) = self.rebuild.as_mut().zip(journal) {
                    rebuild.follow(journal);
                }
            }
            Ok(Ok(ControlFlow::Break(_))) => self.extremes.undo(),
            Ok(Err(_)) | Err(_) => self.doubt(),
        }
        match written {
            Ok(Ok(ControlFlow::Continue(applied))) => {
                self.figures.count_commit(began.elapsed());
                self.unsettled = true;
                Ok(ControlFlow::Continue(self.count(applied)))
            }
            Ok(Ok(ControlFlow::Break(_))) if is_overtaken => Err(WriteFailed::Overtaken),
            Ok(Ok(ControlFlow::Break(causes))) => Ok(ControlFlow::Break(causes)),
            Ok(Err(StoreError::Corrupt(damage))) => {
                tracing::error!(%damage, "a request could not be stored (hint: `scale-metrics check` finds what is damaged)");
                Err(WriteFailed::Internal)
            }
            Ok(Err(error)) => {
                self.figures.commit_failures.inc();
                self.unwritable(&error);
                Err(WriteFailed::Unavailable)
            }
            // The panic's own message is logged already; its unfinished transaction is gone with the stack.
            Err(_) => Err(WriteFailed::Internal),
        }
    }

    /// Adds what a commit did to the server's figures.
    fn count(&self, Applied { outcomes, rollups, recomputed_hours }: Applied) -> Vec<Receipt> {
        for (kind, outcome, number) in outcomes.counts() {
            self.figures.count_objects(kind.name(), outcome, number);
        }
        self.figures.rollups.inc_by(rollups);
        self.figures.recomputed_hours.inc_by(recomputed_hours);
        outcomes.receipts
    }

    /// A commit failed, and may have taken effect: what is known of the state before is of no use any more. A rebuild begins anew.
    fn doubt(&mut self) {
        self.extremes.clear();
        if let Some((_, command)) = self.rebuild.take() {
            self.commands.push_front(command);
        }
    }

    /// Something other than a commit of requests failed.
    fn failed(&mut self, operation: StorageOperation, error: &StoreError) {
        self.figures.count_storage_failure(operation);
        self.unwritable(error);
    }

    /// Nothing can be written: what is stored can be read again at once, if the database can be opened.
    fn unwritable(&mut self, error: &StoreError) {
        self.unready(&chain(error));
        let is_open = matches!(error, StoreError::Rows(RowsError::Unavailable(_) | RowsError::Damaged(_)));
        if is_open && let Err(error) = self.store.reopen() {
            self.unready(&chain(&error));
        }
        self.tried = Some(Instant::now());
    }

    /// Nothing can be written at the moment: says so, once for each reason.
    fn unready(&self, trouble: &str) {
        let before = self.readiness.trouble.lock().replace(trouble.to_owned());
        if before.as_deref() != Some(trouble) {
            tracing::error!(error = trouble, "the database cannot be written");
        }
    }
}

fn requests_of(pending: Vec<Pending>) -> Vec<Request> {
    pending.into_iter().map(|pending| pending.request).collect()
}

/// Tells each request what became of it. All room is given back before anybody hears that: the next request may come at once.
fn answer(requests: Vec<Request>, results: Vec<Result<Receipt, WriteFailed>>) {
    let replies: Vec<_> = requests.into_iter().map(|request| request.reply).collect();
    for (reply, result) in replies.into_iter().zip(results) {
        // The client may have gone; what it asked for is done all the same.
        let _ = reply.send(result);
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
