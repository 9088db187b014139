//! A cache of computed answers.
//!
//! An answer is found by the query that it answers ([`ReadQuery`]), and is valid while the version of the store is the one that
//! it was computed from. Every request reads the store's version first ([`super::look`]), and no answer of an earlier version is
//! sent. A small answer is computed on the async thread that asks for it, unless the database is across a network. Others are
//! computed off the async threads, and once if several requests ask for the same at the same time ([`super::jobs`]).
//!
//! All answers share one budget of memory: those that are being computed, cached, or sent to slow clients.
//!
//! Not here: which queries there are (`v6`).

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::answer::{Answer, wants_gzip};
use super::compute_budget::ComputeBudget;
use super::connection::Phase;
use super::jobs::{Bounds, Jobs, Size};
use super::look::Look;
use super::v6::ReadQuery;
use super::{ApiError, off_thread};
use crate::memory::Budget;
use crate::store::{Snapshot, Store, Version};
use crate::telemetry::server_metrics::ServerMetrics;

/// Plain bodies up to this size are compressed on the async threads.
const SMALL_BYTES: usize = 64 << 10;

/// Compressing a larger body is long: some hundred milliseconds.
const LONG_BYTES: usize = 16 << 20;

/// One answer may take at most 1/`LARGEST_PART` of the budget.
const LARGEST_PART: usize = 2;

/// The version of an answer that depends on no store.
const ANY_VERSION: Version = Version { era: 0, number: 0 };

/// The answers of this server.
pub(crate) struct ResponseCache {
    cached: Cache<Key, Cached, Weight>,
    pub(super) jobs: Arc<Jobs<Key>>,
    /// The memory of all answers.
    pub(super) budget: Budget,
    /// The most memory that the making of one may take, in bytes.
    limit: usize,
    figures: Arc<ServerMetrics>,
}

/// The key of a cached answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The query that it answers.
    Query(ReadQuery),
    /// The hash of a plain body, for the same body compressed.
    Packed(u128),
}

#[derive(Debug, Clone)]
struct Cached {
    /// The version of the store that it was computed from; [`ANY_VERSION`] if it depends on no store.
    version: Version,
    answer: Arc<Answer>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Cached> for Weight {
    fn weight(&self, key: &Key, cached: &Cached) -> u64 {
        let key = if let Key::Query(query) = key { query.memory() } else { size_of::<Key>() };
        (key + size_of::<Answer>() + cached.answer.len()) as u64
    }
}

impl ResponseCache {
    /// A cache of at most `cache_bytes`, less if the largest answer would not fit beside it, within a budget of `answer_bytes` for
    /// all answers. `at_once` answers of each size are computed at a time; each may wait for `timeout`, and then run as long.
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
        let cached = Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        let jobs = Arc::new(Jobs::new(at_once, timeout));
        Self { cached, jobs, budget: Budget::new(answer_bytes), limit, figures }
    }

    /// How many are cached.
    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    /// The answer to a query, at least as new as the look at the store that the query was parsed with. It is computed if none is
    /// cached. When the client of a long computation closes its connection, it is an error.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        query: ReadQuery,
        Look { state, snapshot }: Look,
        store: &Arc<Store>,
        client: Option<&Phase>,
    ) -> Result<Arc<Answer>, ApiError> {
        let (key, version) = (Key::Query(query.clone()), state.version());
        let found = || self.find(&key, version);
        if let Some(answer) = found() {
            self.figures.answers_kept.inc();
            return Ok(answer);
        }
        let size = match snapshot {
            Some(snapshot) if query.is_small() => return self.compute(query, &snapshot, self.jobs.bounds()),
            Some(snapshot) => query.size(&snapshot)?,
            None if query.is_small() => Size::Short,
            None => {
                let (query, store) = (query.clone(), Arc::clone(store));
                off_thread(move || query.size(&store.snapshot()?)).await??
            }
        };
        let (cache, store) = (Arc::clone(self), Arc::clone(store));
        let compute = move |bounds: Bounds| {
            bounds.begin();
            let snapshot = store.snapshot()?;
            bounds.reads(snapshot.version());
            cache.compute(query, &snapshot, bounds).inspect_err(|error| {
                if matches!(error, ApiError::ClientGone | ApiError::AnswerTimeout(_)) {
                    cache.figures.answers_stopped.inc();
                }
            })
        };
        // A client that closes only its half of the connection may well wait for what takes milliseconds.
        let client = client.filter(|_| size == Size::Long);
        unless_gone(client, self.jobs.wait(&key, version, size, found, compute)).await
    }

    /// Computes an answer within these bounds.
    fn compute(&self, query: ReadQuery, snapshot: &Snapshot, bounds: Bounds) -> Result<Arc<Answer>, ApiError> {
        let budget = ComputeBudget::new(self.budget.lease(), self.limit, bounds);
        let answer = query.answer(snapshot, budget)?;
        self.figures.answers_computed.inc();
        Ok(self.insert(Key::Query(query), snapshot.version(), answer))
    }

    /// The response that sends an answer, compressed if the client asked for that.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: &HttpRequest,
        plain: Arc<Answer>,
    ) -> Result<HttpResponse, ApiError> {
        if let Some(response) = plain.not_modified(request) {
            return Ok(response);
        }
        if !wants_gzip(request) {
            return Ok(plain.respond());
        }
        let key = Key::Packed(plain.hash());
        let found = || self.find(&key, ANY_VERSION);
        let packed = match found() {
            Some(packed) => packed,
            None if plain.len() <= SMALL_BYTES => self.pack(&plain, || Ok(()))?,
            None => {
                let client = request.conn_data::<Phase>().filter(|_| plain.len() > LONG_BYTES);
                let cache = Arc::clone(self);
                let compute = move |bounds: Bounds| cache.pack(&plain, || bounds.check());
                unless_gone(client, self.jobs.wait(&key, ANY_VERSION, Size::Short, found, compute)).await?
            }
        };
        Ok(packed.respond())
    }

    /// Compresses an answer as long as `go_on` allows it.
    fn pack(&self, plain: &Answer, go_on: impl Fn() -> Result<(), ApiError>) -> Result<Arc<Answer>, ApiError> {
        let mut lease = self.budget.lease();
        lease.hold(plain.len())?;
        let packed = plain.packed(go_on, Some(lease))?;
        Ok(self.insert(Key::Packed(plain.hash()), ANY_VERSION, packed))
    }

    /// The cached answer, if it is of that version or a later one.
    fn find(&self, key: &Key, version: Version) -> Option<Arc<Answer>> {
        self.cached.get(key).filter(|cached| cached.version >= version).map(|cached| cached.answer)
    }

    fn insert(&self, key: Key, version: Version, answer: Answer) -> Arc<Answer> {
        let answer = Arc::new(answer);
        self.cached.insert(key, Cached { version, answer: Arc::clone(&answer) });
        answer
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
