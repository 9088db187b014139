//! A cache of computed answers.
//!
//! An answer is found by the query that it answers ([`CachedQuery`]), and is valid while the version of the store is the one
//! that it was computed from. Every request reads the store's version first, and no answer of an earlier version is sent. If
//! several requests ask for the same at the same time, it is computed once, off the async threads unless it is small
//! ([`super::jobs`]).
//!
//! All answers share one budget of memory: those that are being computed, cached, or sent to slow clients.
//!
//! Not here: which queries there are (`v6`).

use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::sync::OwnedSemaphorePermit;

use super::ApiError;
use super::answer::{Answer, wants_gzip};
use super::compute_budget::ComputeBudget;
use super::connection::Phase;
use super::jobs::{Bounds, Job, Jobs, Size};
use crate::memory::Budget;
use crate::store::{Snapshot, Store};
use crate::telemetry::server_metrics::ServerMetrics;

/// Plain bodies up to this size are compressed on the async threads.
const SMALL_BYTES: usize = 64 << 10;

/// Compressing a larger body is long: some hundred milliseconds.
const LONG_BYTES: usize = 16 << 20;

/// An answer may take at most this part of what all of them may take together.
const LARGEST_PART: usize = 2;

/// A query whose answer can be cached: equal queries have equal answers as long as nothing changes in the store.
pub(crate) trait CachedQuery: Clone + Eq + Hash + Send + Sync + 'static {
    /// How much memory it takes, in bytes, about.
    fn memory(&self) -> usize;

    /// Whether answering takes so little time that an async thread may do it.
    fn is_small(&self) -> bool;

    /// How much there is to do if it is not small.
    fn size(&self, snapshot: &Snapshot) -> Result<Size, ApiError>;

    /// Computes the answer.
    fn answer(&self, snapshot: &Snapshot, budget: ComputeBudget) -> Result<Answer, ApiError>;
}

/// The answers of this server.
pub(crate) struct ResponseCache<Q> {
    cached: Arc<Cache<Key<Q>, Cached, Weight>>,
    jobs: Arc<Jobs<Key<Q>>>,
    budget: Budget,
    /// The most memory that the making of one may take, in bytes.
    limit: usize,
    figures: Arc<ServerMetrics>,
}

/// What an answer is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key<Q> {
    /// The query that it answers.
    Query(Q),
    /// The hash of a plain body, for the same body compressed.
    Packed(u128),
}

#[derive(Debug, Clone)]
struct Cached {
    /// The version of the store that it was computed from; [`ALWAYS`] if it depends on no store.
    version: u64,
    answer: Arc<Answer>,
}

#[derive(Debug, Clone)]
struct Weight;

impl<Q: CachedQuery> Weighter<Key<Q>, Cached> for Weight {
    fn weight(&self, key: &Key<Q>, cached: &Cached) -> u64 {
        let key = if let Key::Query(query) = key { query.memory() } else { size_of::<Key<Q>>() };
        (key + size_of::<Answer>() + cached.answer.len()) as u64
    }
}

/// The right, and the duty, to compute an answer that others wait for.
type Turn<'a, Q> = quick_cache::sync::PlaceholderGuard<'a, Key<Q>, Cached, Weight, DefaultHashBuilder, Lifecycle<Q>>;
type Lifecycle<Q> = quick_cache::sync::DefaultLifecycle<Key<Q>, Cached>;

impl<Q: CachedQuery> ResponseCache<Q> {
    /// Answers that may take `answer_bytes` together, `cache_bytes` of them for those that are cached, but at most so many that
    /// the largest one still finds room. So many are computed `at_once`; each may wait as long as `timeout` for its turn, and
    /// then take as long.
    pub(crate) fn new(
        answer_bytes: usize,
        cache_bytes: usize,
        at_once: usize,
        timeout: Duration,
        figures: Arc<ServerMetrics>,
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
        let cached = Cache::with_options(options, Weight, DefaultHashBuilder::default(), Lifecycle::default());
        let jobs = Arc::new(Jobs::new(at_once, timeout));
        Self { cached: Arc::new(cached), jobs, budget: Budget::new(answer_bytes), limit, figures }
    }

    /// How much memory answers hold.
    pub(crate) fn bytes(&self) -> usize {
        self.budget.used()
    }

    /// How much they may hold.
    pub(crate) fn limit_bytes(&self) -> usize {
        self.budget.limit()
    }

    /// How many are cached.
    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    /// Waits for the turn to do something that takes milliseconds off the async threads, as long as the permit lives.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.jobs.turn().await
    }

    /// The answer to what `ask` finds out, with a new snapshot each time that it is called. It is computed if none is cached
    /// that is as new as that. When the client of a long computation closes its connection, it is an error.
    pub(crate) async fn answer(
        &self,
        store: &Arc<Store>,
        client: Option<&Phase>,
        ask: impl AsyncFn() -> Result<(Q, Snapshot), ApiError>,
    ) -> Result<Arc<Answer>, ApiError> {
        let mut turn = None;
        loop {
            let (query, snapshot) = ask().await?;
            let version = snapshot.version();
            if !query.is_small() {
                return self.compute_apart(query, snapshot, store, client).await;
            }
            let key = Key::Query(query.clone());
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
            let answer = query.answer(&snapshot, self.budget_within(Bounds::new(self.jobs.timeout())))?;
            self.figures.answers_computed.inc();
            return Ok(insert(turn, version, answer));
        }
    }

    /// The answer to a query that takes a while, computed off the async threads unless it is cached. The snapshot only says
    /// which version the client may expect; it is given back before anybody waits.
    async fn compute_apart(
        &self,
        query: Q,
        snapshot: Snapshot,
        store: &Arc<Store>,
        client: Option<&Phase>,
    ) -> Result<Arc<Answer>, ApiError> {
        let key = Key::Query(query.clone());
        let version = snapshot.version();
        let found = || self.cached.get(&key).filter(|cached| cached.version >= version).map(|cached| cached.answer);
        if let Some(answer) = found() {
            self.figures.answers_kept.inc();
            return Ok(answer);
        }
        let size = query.size(&snapshot)?;
        drop(snapshot);
        let (cache, figures, store) = (Arc::clone(&self.cached), Arc::clone(&self.figures), Arc::clone(store));
        let (budget, limit, place) = (self.budget.clone(), self.limit, key.clone());
        let compute = move |job: &Job, bounds: Bounds| {
            let snapshot = store.snapshot()?;
            let version = snapshot.version();
            job.reads(version);
            let budget = ComputeBudget::new(budget.lease(), limit, bounds);
            let answer = query.answer(&snapshot, budget).inspect_err(|error| {
                if matches!(error, ApiError::ClientGone | ApiError::AnswerTimeout(_)) {
                    figures.answers_stopped.inc();
                }
            });
            let answer = Arc::new(answer?);
            figures.answers_computed.inc();
            cache.insert(place, Cached { version, answer: Arc::clone(&answer) });
            Ok(answer)
        };
        // A client that closes only its half of the connection may well wait for what takes milliseconds.
        let client = client.filter(|_| size == Size::Long);
        unless_gone(client, self.jobs.wait(&key, version, size, found, compute)).await
    }

    /// What an answer may take that is computed within these bounds.
    fn budget_within(&self, bounds: Bounds) -> ComputeBudget {
        ComputeBudget::new(self.budget.lease(), self.limit, bounds)
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
                insert(turn, ALWAYS, plain.packed(Some(lease)))
            }
        };
        Ok(packed.respond())
    }

    /// A large answer, compressed off the async threads unless it is cached.
    async fn pack_apart(&self, key: Key<Q>, plain: Arc<Answer>) -> Result<Arc<Answer>, ApiError> {
        let found = || self.cached.get(&key).map(|cached| cached.answer);
        if let Some(packed) = found() {
            return Ok(packed);
        }
        let (cache, budget, place) = (Arc::clone(&self.cached), self.budget.clone(), key.clone());
        let compute = move |_: &Job, bounds: Bounds| {
            let mut lease = budget.lease();
            lease.hold(plain.len())?;
            let packed = Arc::new(plain.packed_while(|| bounds.check(), Some(lease))?);
            cache.insert(place, Cached { version: ALWAYS, answer: Arc::clone(&packed) });
            Ok(packed)
        };
        self.jobs.wait(&key, 0, Size::Short, found, compute).await
    }

    /// The cached answer, if it is of that version or a later one; or the turn to compute it. Waits while another request
    /// has the turn.
    async fn find(&self, key: &Key<Q>, version: u64) -> Result<Arc<Answer>, Turn<'_, Q>> {
        let is_new = |cached: &Cached| cached.version >= version;
        if let Some(cached) = self.cached.get(key).filter(is_new) {
            return Ok(cached.answer);
        }
        let choose = |_: &Key<Q>, cached: &mut Cached| {
            if is_new(cached) { EntryAction::Retain(Arc::clone(&cached.answer)) } else { EntryAction::ReplaceWithGuard }
        };
        match self.cached.entry_async(key, choose).await {
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

/// Caches an answer, and gives it to the requests that wait for it.
fn insert<Q: CachedQuery>(turn: Turn<'_, Q>, version: u64, answer: Answer) -> Arc<Answer> {
    let answer = Arc::new(answer);
    // Nobody else can have taken the turn away; if the answer is too large to be cached, it is not.
    let _ = turn.insert(Cached { version, answer: Arc::clone(&answer) });
    answer
}
