//! The rollup task itself: commits queued requests and answers them. Long work runs in slices between commits.
//!
//! It makes one synced commit of all waiting requests ([`commit`]). A request that cannot be stored does not make the others fail.
//! When no requests come, the task keeps the database usable ([`Upkeep`]): it makes a checkpoint of the file, so that it opens at once
//! even after a crash, and tries to write again after a failure. Until that succeeds, requests get an error that says so.
//!
//! In a database that several servers share, each has such a task. What a task knows of the stored state ends with the commit of
//! another one.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit::{self, Applied, Causes};
use super::extremes::{ExtremesCache, Limits, ReadAllowance};
use super::parked::{self, Parked, Pending};
use super::readiness::Readiness;
use super::rebuild::Rebuild;
use super::retention::{Expiry, Removed};
use super::upkeep::{PAUSE, Upkeep};
use super::{Queue, QueueItem, RebuildCommand, Receipt, Request, WriteFailed};
use crate::events::Object;
use crate::store::{Store, StoreError, Transaction};
use crate::telemetry::chain;
use crate::telemetry::server_metrics::{ServerMetrics, StorageOperation};

/// The most memory that the requests of one commit take together, unless a single request is larger: some 60,000 events.
const GROUP_BYTES: usize = 16 << 20;

/// The result of one step of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The task has to go on: more requests may come.
    Worked,
    /// The queue is closed and empty: there will be no more work.
    Done,
}

/// The single writer. Call [`run`](Self::run) on a thread of its own.
pub struct RollupTask {
    store: Arc<Store>,
    queue: Arc<Queue>,
    figures: Arc<ServerMetrics>,
    upkeep: Upkeep,
    expiry: Expiry,
    /// How often another server had written when the task looked last.
    changes_of_others: u64,
    extremes: ExtremesCache,
    /// The requests that wait for observers to be read.
    parked: Parked,
    /// The rebuild commands that wait, and the one that is under way.
    commands: VecDeque<RebuildCommand>,
    rebuild: Option<(Rebuild, RebuildCommand)>,
    /// Whether the last slice belonged to the rebuild.
    rebuilt: bool,
}

impl RollupTask {
    /// A task that writes the requests of `queue` to `store`, and reports in `readiness` when it cannot.
    pub fn new(
        store: Arc<Store>,
        queue: Arc<Queue>,
        readiness: Arc<Readiness>,
        figures: Arc<ServerMetrics>,
        expiry: Expiry,
    ) -> Self {
        Self {
            upkeep: Upkeep::new(Arc::clone(&store), readiness, Arc::clone(&figures)),
            store,
            queue,
            figures,
            expiry,
            changes_of_others: 0,
            extremes: ExtremesCache::default(),
            parked: Parked::default(),
            commands: VecDeque::new(),
            rebuild: None,
            rebuilt: false,
        }
    }

    /// Overrides the limits of the cost of finding extremes.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.extremes = ExtremesCache::new(limits);
        self
    }

    /// Opens the store. As long as a database across a network cannot be reached, it tries again, until the server stops.
    pub fn open(&self) -> Result<(), StoreError> {
        self.upkeep.open()
    }

    /// Checks whether there is room for more data, unless a recent check has found some.
    pub fn find_room(&mut self) {
        self.upkeep.find_room();
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        while self.step() == Progress::Worked {}
        if self.upkeep.can_write()
            && let Err(error) = self.expiry.record(&self.store)
        {
            // The next start finds a record that is up to an hour old.
            tracing::debug!(error = chain(&error), "the time of the last run was not recorded");
        }
    }

    /// Waits for requests, commits a group of them and answers each; or takes a rebuild command. While requests are parked, it
    /// does not wait for new ones, and reads a slice for the parked ones. When no requests come for a second, it makes a
    /// checkpoint, so that the file opens at once after any crash. After a failure, it tries once a second to write again,
    /// whether requests come or not.
    pub fn step(&mut self) -> Progress {
        if self.upkeep.is_due() {
            self.upkeep.pause();
        }
        let until_expiry = self.upkeep.can_write().then(|| self.expiry.wait());
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

    /// Whether there is work to do in slices.
    pub fn is_busy(&self) -> bool {
        !self.parked.is_empty() || self.rebuild.is_some() || !self.commands.is_empty()
    }

    /// Does one slice of the long work. It either reads for the parked requests and commits those that need nothing more, or
    /// continues a rebuild. The two take turns. While the database cannot be written, all of it is answered with an error instead.
    pub fn slice(&mut self) {
        if !self.upkeep.can_write() {
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

    /// Reads for the parked requests, and commits those that need nothing more.
    fn read_slice(&mut self) {
        let read = AssertUnwindSafe(|| {
            let snapshot = self.store.snapshot_of_writer()?;
            self.notice_others();
            let slice_cost = self.extremes.limits().slice_cost;
            self.parked.read(&mut self.extremes, &mut &snapshot, slice_cost)
        });
        match catch_unwind(read) {
            Ok(Ok(ready)) => self.commit_pending(ready, None),
            Ok(Err(StoreError::Corrupt(damage))) => self.give_up(&damage.to_string()),
            Ok(Err(error)) => self.upkeep.failed(StorageOperation::Read, &error),
            Err(_) => self.give_up("a panic"),
        }
    }

    /// Fails the first parked request, because what it needs cannot be read.
    fn give_up(&mut self, reason: &str) {
        self.extremes.clear();
        if let Some(pending) = self.parked.take_first() {
            tracing::error!(error = reason, "a request could not be stored");
            answer(vec![pending.request], vec![Err(WriteFailed::Internal)]);
        }
    }

    /// Processes an item of the queue without waiting. If the item is nothing, does the work of a pause.
    pub fn work(&mut self, taken: QueueItem) -> Progress {
        match taken {
            QueueItem::Requests(mut requests) => {
                let store = Arc::clone(&self.store);
                let mut turn = None;
                if store.is_remote() && self.upkeep.can_write() {
                    // The turn may be long in coming. What came meanwhile goes along, or else servers that share a database would
                    // make many small commits.
                    turn = catch_unwind(AssertUnwindSafe(|| self.take_turn(&store))).ok();
                    self.queue.take_more(&mut requests, GROUP_BYTES);
                }
                let pending = requests.into_iter().map(|request| self.parked.admit(request)).collect();
                self.commit_pending(pending, turn);
            }
            QueueItem::RebuildCommand(command) => self.commands.push_back(command),
            QueueItem::Nothing => self.upkeep.pause(),
            QueueItem::Closed => {
                while self.is_busy() {
                    self.slice();
                }
                return Progress::Done;
            }
        }
        Progress::Worked
    }

    /// Deletes some of the data that is too old. Does nothing while the database cannot be written: a commit that fails ends all
    /// reading. A panic fails this step, but not the server: its unfinished changes are not committed, and requests need none of
    /// them.
    pub fn expire(&mut self) {
        if !self.upkeep.can_write() {
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
                if taken != Removed::default() {
                    self.upkeep.wrote();
                }
                // Expiry is the only deletion that does not report each event and rollup to the cache.
                self.extremes.forget_before(kept.events_from);
                self.figures.expired_events.inc_by(taken.events);
                self.figures.expired_rollups.inc_by(taken.rollups);
            }
            Err(StoreError::Corrupt(damage)) => {
                self.figures.count_storage_failure(StorageOperation::Expiry);
                tracing::error!(%damage, "what is too old cannot be taken away");
            }
            Err(error) => self.upkeep.failed(StorageOperation::Expiry, &error),
        }
    }

    /// Continues the rebuild of a day. Gives it up if no client waits for it any more.
    fn rebuild_slice(&mut self) {
        let next = || self.commands.pop_front().map(|command| (Rebuild::new(Some(command.date), true), command));
        let Some((mut rebuild, command)) = self.rebuild.take().or_else(next) else { return };
        if command.reply.is_closed() {
            return;
        }
        let slice = catch_unwind(AssertUnwindSafe(|| {
            let snapshot = self.store.snapshot_of_writer()?;
            if self.notice_others() {
                rebuild.restart();
            }
            let slice_cost = self.extremes.limits().slice_cost;
            rebuild.slice(&self.store, snapshot, &mut self.extremes, slice_cost)
        }));
        let result = match slice {
            Ok(Ok(None)) => {
                self.rebuild = Some((rebuild, command));
                return;
            }
            Ok(Ok(Some(examined))) => {
                if !examined.wrong.is_empty() {
                    self.upkeep.wrote();
                }
                Ok(examined)
            }
            Ok(Err(StoreError::Corrupt(damage))) => {
                tracing::error!(%damage, "the rollups of {} cannot be computed", command.date);
                Err(WriteFailed::Internal)
            }
            Ok(Err(error)) => {
                self.upkeep.failed(StorageOperation::Rebuild, &error);
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

    /// Begins a transaction, which may have to wait for other servers.
    fn take_turn<'db>(&mut self, store: &'db Store) -> Result<Transaction<'db>, StoreError> {
        self.upkeep.recover()?;
        let transaction = store.begin()?;
        self.notice_others();
        Ok(transaction)
    }

    /// Commits requests and answers them, except those that it parks. The first commit uses the transaction that was begun, if any.
    fn commit_pending(&mut self, mut pending: Vec<Pending>, mut turn: Option<Result<Transaction<'_>, StoreError>>) {
        let limits = self.extremes.limits();
        while !pending.is_empty() {
            let objects: Vec<_> =
                pending.iter_mut().map(|pending| std::mem::take(&mut pending.request.objects)).collect();
            let allowance = parked::allowance(&pending, limits.commit_cost, limits.replace_cost);
            let causes = match self.commit(&objects, allowance, turn.take()) {
                Ok(ControlFlow::Continue(receipts)) => {
                    drop(objects);
                    return answer(requests_of(pending), receipts.into_iter().map(Ok).collect());
                }
                Ok(ControlFlow::Break(causes)) => causes,
                Err(WriteFailed::Internal | WriteFailed::Overtaken) if objects.len() > 1 => {
                    // One of the requests is at fault. Each is committed alone, at any cost, to find out which one.
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

    /// Commits a single request, at any cost.
    fn commit_alone(&mut self, request: &[Vec<Object>]) -> Result<Receipt, WriteFailed> {
        match self.commit(request, ReadAllowance::unlimited(), None)? {
            ControlFlow::Continue(receipts) => Ok(receipts[0]),
            ControlFlow::Break(_) => Err(WriteFailed::Internal),
        }
    }

    /// Makes one commit. Breaks off and stores nothing if some of the requests remove extremes that would cost too much to find
    /// again. [`WriteFailed::Internal`] is the fault of one of the requests, or of the data that is stored for it;
    /// [`WriteFailed::Overtaken`] is the fault of one of the requests.
    fn commit(
        &mut self,
        requests: &[Vec<Object>],
        mut allowance: ReadAllowance,
        turn: Option<Result<Transaction<'_>, StoreError>>,
    ) -> Result<ControlFlow<Causes, Vec<Receipt>>, WriteFailed> {
        if !self.upkeep.can_write() {
            return Err(WriteFailed::Unavailable);
        }
        let (mut is_overtaken, mut journal) = (false, None);
        let store = Arc::clone(&self.store);
        let write = || {
            let mut transaction = match turn {
                Some(turn) => turn?,
                None => self.take_turn(&store)?,
            };
            is_overtaken = commit::are_overtaken(&transaction, requests);
            if is_overtaken {
                return Ok(ControlFlow::Break(Causes::default()));
            }
            journal = self.rebuild.as_ref().map(|(rebuild, _)| rebuild.journal());
            let (extremes, journal) = (&mut self.extremes, journal.as_mut());
            let applied = commit::apply_within(&mut transaction, requests, extremes, &mut allowance, journal)?;
            if applied.is_continue() {
                transaction.commit()?;
            }
            Ok(applied)
        };
        let began = Instant::now();
        let written = catch_unwind(AssertUnwindSafe(write));
        match &written {
            Ok(Ok(ControlFlow::Continue(_))) => {
                self.extremes.keep();
                if let Some(((rebuild, _), journal)) = self.rebuild.as_mut().zip(journal) {
                    rebuild.follow(journal);
                }
            }
            Ok(Ok(ControlFlow::Break(_))) => self.extremes.undo(),
            Ok(Err(_)) | Err(_) => self.discard_caches(),
        }
        match written {
            Ok(Ok(ControlFlow::Continue(applied))) => {
                self.figures.count_commit(began.elapsed());
                self.upkeep.wrote();
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
                self.upkeep.unwritable(&error);
                Err(WriteFailed::Unavailable)
            }
            // The panic's own message is logged already. The unwinding stack has dropped the unfinished transaction.
            Err(_) => Err(WriteFailed::Internal),
        }
    }

    /// Adds the effects of a commit to the server's figures.
    fn count(&self, Applied { outcomes, rollups, recomputed_hours }: Applied) -> Vec<Receipt> {
        for (kind, outcome, number) in outcomes.counts() {
            self.figures.count_objects(kind.name(), outcome, number);
        }
        self.figures.rollups.inc_by(rollups);
        self.figures.recomputed_hours.inc_by(recomputed_hours);
        outcomes.receipts
    }

    /// Discards what is known of the stored state, if another server has written meanwhile, and returns whether it has. Called
    /// after the task has begun a transaction or taken a snapshot.
    fn notice_others(&mut self) -> bool {
        let changes = self.store.changes_of_others();
        let have_written = std::mem::replace(&mut self.changes_of_others, changes) != changes;
        if have_written {
            self.discard_caches();
        }
        have_written
    }

    /// Discards the cached extremes after a failed commit, which may have taken effect, and after a commit of another server. The
    /// rebuild that is under way begins anew.
    fn discard_caches(&mut self) {
        self.extremes.clear();
        if let Some((rebuild, _)) = &mut self.rebuild {
            rebuild.restart();
        }
    }
}

fn requests_of(pending: Vec<Pending>) -> Vec<Request> {
    pending.into_iter().map(|pending| pending.request).collect()
}

/// Sends each request its result. Releases the memory of all requests before the first reply, since a client may send its next
/// request at once.
fn answer(requests: Vec<Request>, results: Vec<Result<Receipt, WriteFailed>>) {
    let replies: Vec<_> = requests.into_iter().map(|request| request.reply).collect();
    for (reply, result) in replies.into_iter().zip(results) {
        // The client may have gone; its request is done all the same.
        let _ = reply.send(result);
    }
}
