//! Answers that are kept for the next who asks.
//!
//! They are found by what was asked ([`Question`]), and hold as long as the store has the version that they were computed
//! from: everybody who asks has looked at the store's version before, so that an answer never hides an event that was
//! acknowledged. What many ask at the same time is computed once, off the async threads unless it is short ([`super::work`]).
//!
//! All answers together, in the making, kept or on their way to slow clients, share a budget of memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::sync::OwnedSemaphorePermit;

use super::ApiError;
use super::answer::{Answer, Content, wants_gzip};
use super::connection::Phase;
use super::v6::Question;
use super::work::{Bounds, Job, Jobs, Size};
use crate::figures::Figures;
use crate::memory::{Budget, Lease};
use crate::store::{Snapshot, Store};

/// Plain bodies up to this size are compressed on the async threads.
const SMALL_BYTES: usize = 64 << 10;

/// Compressing a larger body is long: some hundred milliseconds.
const LONG_BYTES: usize = 16 << 20;

/// An answer may take at most this part of what all of them may take together.
const LARGEST_PART: usize = 2;

/// The answers of this server.
pub(crate) struct Answers {
    kept: Arc<Cache<Key, Kept, Weight>>,
    jobs: Arc<Jobs<Key>>,
    budget: Budget,
    /// The most memory that the making of one may take, in bytes.
    limit: usize,
    figures: Arc<Figures>,
}

/// What an answer is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// What was asked.
    Question(Question),
    /// The hash of a plain body, for the same body compressed.
    Packed(u128),
}

#[derive(Debug, Clone)]
struct Kept {
    /// The version of the store that it was computed from; what depends on no store never gets old.
    version: u64,
    answer: Arc<Answer>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Kept> for Weight {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        let key = if let Key::Question(question) = key { question.memory() } else { size_of::<Key>() };
        (key + size_of::<Answer>() + kept.answer.len()) as u64
    }
}

/// The right, and the duty, to compute an answer that others wait for.
type Turn<'a> = quick_cache::sync::PlaceholderGuard<'a, Key, Kept, Weight, DefaultHashBuilder, DefaultLifecycle>;
type DefaultLifecycle = quick_cache::sync::DefaultLifecycle<Key, Kept>;

impl Answers {
    /// Answers that may take `answer_bytes` together, `cache_bytes` of them for those that are kept, but at most so many that
    /// the largest one still finds room. So many are computed `at_once`; each may wait as long as `timeout` for its turn, and then
    /// take as long.
    pub(crate) fn new(
        answer_bytes: usize,
        cache_bytes: usize,
        at_once: usize,
        timeout: Duration,
        figures: Arc<Figures>,
    ) -> Self {
        let limit = answer_bytes / LARGEST_PART;
        let cache_bytes = cache_bytes.min(answer_bytes - limit);
        let options = OptionsBuilder::new()
            .weight_capacity(cache_bytes as u64)
            .estimated_items_capacity(cache_bytes / SMALL_BYTES)
            // Each shard has its share of the capacity; with one, a large answer finds room.
            .shards(1)
            .build()
            .expect("capacity and number of items are given");
        let kept = Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        let jobs = Arc::new(Jobs::new(at_once, timeout));
        Self { kept: Arc::new(kept), jobs, budget: Budget::new(answer_bytes), limit, figures }
    }

    /// How much memory answers hold.
    pub(crate) fn bytes(&self) -> usize {
        self.budget.used()
    }

    /// How much they may hold.
    pub(crate) fn limit_bytes(&self) -> usize {
        self.budget.limit()
    }

    /// How many are kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Waits for the turn to do something that takes milliseconds off the async threads, as long as the permit lives.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.jobs.turn().await
    }

    /// The answer to what `ask` finds out, with a new snapshot each time that it is called. It is computed if none is kept
    /// that is as new as that. When the client of a long computation closes its connection, it is an error.
    pub(crate) async fn answer(
        &self,
        store: &Arc<Store>,
        client: Option<&Phase>,
        ask: impl AsyncFn() -> Result<(Question, Snapshot), ApiError>,
    ) -> Result<Arc<Answer>, ApiError> {
        let mut turn = None;
        loop {
            let (question, snapshot) = ask().await?;
            let version = snapshot.version();
            if !question.is_small() {
                return self.compute_apart(question, snapshot, store, client).await;
            }
            let key = Key::Question(question.clone());
            let turn = match turn.take() {
                Some((asked, turn)) if asked == key => turn,
                _ => {
                    let mut find = pin!(self.find(&key, version));
                    match find.as_mut().now_or_never() {
                        Some(Ok(answer)) => {
                            self.figures.answers_kept.inc();
                            return Ok(answer);
                        }
                        Some(Err(turn)) => turn,
                        None => {
                            // Somebody is computing it. Whatever comes of that: by then this snapshot is old.
                            drop(snapshot);
                            match find.await {
                                Ok(answer) => {
                                    self.figures.answers_kept.inc();
                                    return Ok(answer);
                                }
                                Err(it) => turn = Some((key.clone(), it)),
                            }
                            continue;
                        }
                    }
                }
            };
            let answer = question.answer(&snapshot, self.room(Bounds::new(self.jobs.timeout())))?;
            self.figures.answers_computed.inc();
            return Ok(keep(turn, version, answer));
        }
    }

    /// The answer to a question that takes a while, computed off the async threads unless it is kept. The snapshot only says
    /// which version the client may expect; it is given back before anybody waits.
    async fn compute_apart(
        &self,
        question: Question,
        snapshot: Snapshot,
        store: &Arc<Store>,
        client: Option<&Phase>,
    ) -> Result<Arc<Answer>, ApiError> {
        let key = Key::Question(question.clone());
        let version = snapshot.version();
        let found = || self.kept.get(&key).filter(|kept| kept.version >= version).map(|kept| kept.answer);
        if let Some(answer) = found() {
            self.figures.answers_kept.inc();
            return Ok(answer);
        }
        let size = question.size(&snapshot)?;
        drop(snapshot);
        let (kept, figures, store) = (Arc::clone(&self.kept), Arc::clone(&self.figures), Arc::clone(store));
        let (budget, limit, place) = (self.budget.clone(), self.limit, key.clone());
        let compute = move |job: &Job, bounds: Bounds| {
            let snapshot = store.snapshot()?;
            let version = snapshot.version();
            job.reads(version);
            let room = Room { lease: budget.lease(), limit, bounds, looks: 0 };
            let answer = question.answer(&snapshot, room).inspect_err(|error| {
                if matches!(error, ApiError::ClientGone | ApiError::AnswerTimeout(_)) {
                    figures.answers_stopped.inc();
                }
            });
            let answer = Arc::new(answer?);
            figures.answers_computed.inc();
            kept.insert(place, Kept { version, answer: Arc::clone(&answer) });
            Ok(answer)
        };
        // A client that closes only its half of the connection may well wait for what takes milliseconds.
        let client = client.filter(|_| size == Size::Long);
        unless_gone(client, self.jobs.wait(&key, version, size, found, compute)).await
    }

    /// The memory for an answer that is made within these bounds.
    fn room(&self, bounds: Bounds) -> Room {
        Room { lease: self.budget.lease(), limit: self.limit, bounds, looks: 0 }
    }

    /// The response that sends an answer, compressed if the client asked for that.
    pub(crate) async fn send(&self, request: &HttpRequest, plain: Arc<Answer>) -> Result<HttpResponse, ApiError> {
        if let Some(response) = plain.not_modified(request) {
            return Ok(response);
        }
        if !wants_gzip(request) {
            return Ok(plain.respond());
        }
        let key = Key::Packed(plain.hash());
        if plain.len() > SMALL_BYTES {
            let client = request.conn_data::<Phase>().filter(|_| plain.len() > LONG_BYTES);
            let packed = unless_gone(client, self.pack_apart(key, plain)).await?;
            return Ok(packed.respond());
        }
        let packed = match self.find(&key, 0).await {
            Ok(packed) => packed,
            Err(turn) => {
                let mut lease = self.budget.lease();
                lease.hold(plain.len())?;
                keep(turn, ALWAYS, plain.packed(Some(lease)))
            }
        };
        Ok(packed.respond())
    }

    /// A large answer, compressed off the async threads unless it is kept.
    async fn pack_apart(&self, key: Key, plain: Arc<Answer>) -> Result<Arc<Answer>, ApiError> {
        let found = || self.kept.get(&key).map(|kept| kept.answer);
        if let Some(packed) = found() {
            return Ok(packed);
        }
        let (kept, budget, place) = (Arc::clone(&self.kept), self.budget.clone(), key.clone());
        let compute = move |_: &Job, bounds: Bounds| {
            let mut lease = budget.lease();
            lease.hold(plain.len())?;
            let packed = Arc::new(plain.packed_while(|| bounds.check(), Some(lease))?);
            kept.insert(place, Kept { version: ALWAYS, answer: Arc::clone(&packed) });
            Ok(packed)
        };
        self.jobs.wait(&key, 0, Size::Short, found, compute).await
    }

    /// The answer that is kept, if it is of that version or a later one; or the turn to compute it. Waits while somebody
    /// else has the turn.
    async fn find(&self, key: &Key, version: u64) -> Result<Arc<Answer>, Turn<'_>> {
        let is_new = |kept: &Kept| kept.version >= version;
        if let Some(kept) = self.kept.get(key).filter(is_new) {
            return Ok(kept.answer);
        }
        let choose = |_: &Key, kept: &mut Kept| {
            if is_new(kept) { EntryAction::Retain(Arc::clone(&kept.answer)) } else { EntryAction::ReplaceWithGuard }
        };
        match self.kept.entry_async(key, choose).await {
            EntryResult::Retained(answer) => Ok(answer),
            EntryResult::Vacant(turn) | EntryResult::Replaced(turn, _) => Err(turn),
            EntryResult::Removed(..) | EntryResult::Timeout => unreachable!("nobody asks for that"),
        }
    }
}

/// The outcome of a long computation, or an error as soon as the client closes its connection.
async fn unless_gone<T>(
    client: Option<&Phase>,
    computed: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let Some(client) = client else { return computed.await };
    tokio::select! {
        biased;
        outcome = computed => outcome,
        () = client.gone() => Err(ApiError::ClientGone),
    }
}

/// The version of what depends on no store.
const ALWAYS: u64 = u64::MAX;

/// Keeps an answer, and gives it to those who wait for it.
fn keep(turn: Turn<'_>, version: u64, answer: Answer) -> Arc<Answer> {
    let answer = Arc::new(answer);
    // Nobody else can have taken the turn away; if the answer is too large to be kept, it is not.
    let _ = turn.insert(Kept { version, answer: Arc::clone(&answer) });
    answer
}

/// The memory that an answer takes while it is made, and what bounds its making.
pub(crate) struct Room {
    lease: Lease,
    limit: usize,
    bounds: Bounds,
    /// How often it was asked for memory.
    looks: u32,
}

/// After how many requests for memory the clock is looked at: some microseconds later.
const LOOK_EVERY: u32 = 256;

impl Room {
    /// What the making keeps to, for loops that ask for no memory.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds.clone()
    }

    /// Makes sure that there is room for so many bytes, and time. Loops ask for each item.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(LOOK_EVERY) {
            self.bounds.check()?;
        }
        if bytes > self.limit {
            return Err(ApiError::AnswerTooLarge(self.limit));
        }
        Ok(self.lease.hold(bytes)?)
    }

    /// The finished answer, which holds what its body takes from now on.
    pub(crate) fn keep(mut self, content: Content) -> Result<Answer, ApiError> {
        self.hold(content.body.len())?;
        self.lease.shrink(content.body.len());
        Ok(Answer::new(content, Some(self.lease)))
    }
}
