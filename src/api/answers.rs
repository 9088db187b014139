//! Answers that are kept for the next who asks.
//!
//! They are found by what was asked ([`Question`]), and hold as long as the store has the version that they were computed
//! from: everybody who asks has looked at the store's version before, so that an answer never hides an event that was
//! acknowledged. What many ask at the same time is computed once.
//!
//! All answers together, in the making, kept or on their way to slow clients, share a budget of memory.

use std::pin::pin;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::answer::{Answer, Content, wants_gzip};
use super::v6::Question;
use super::{ApiError, off_thread};
use crate::figures::Figures;
use crate::memory::{Budget, Lease};
use crate::store::Snapshot;

/// Plain bodies up to this size are compressed on the async threads.
const SMALL_BYTES: usize = 64 << 10;

/// An answer may take at most this part of what all of them may take together.
const LARGEST_PART: usize = 2;

/// The answers of this server.
pub(crate) struct Answers {
    kept: Cache<Key, Kept, Weight>,
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
    /// the largest one still finds room.
    pub(crate) fn new(answer_bytes: usize, cache_bytes: usize, figures: Arc<Figures>) -> Self {
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
        Self { kept, budget: Budget::new(answer_bytes), limit, figures }
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

    /// The answer to what `ask` finds out, with a new snapshot each time that it is called. It is computed if none is kept
    /// that is as new as that.
    pub(crate) async fn answer(
        &self,
        ask: impl Fn() -> Result<(Question, Snapshot), ApiError>,
    ) -> Result<Arc<Answer>, ApiError> {
        let mut turn = None;
        loop {
            let (question, snapshot) = ask()?;
            let key = Key::Question(question.clone());
            let version = snapshot.version();
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
            let room = Room { lease: self.budget.lease(), limit: self.limit };
            let answer = if question.is_small() {
                question.answer(&snapshot, room)
            } else {
                off_thread(move || question.answer(&snapshot, room)).await?
            };
            self.figures.answers_computed.inc();
            return Ok(keep(turn, version, answer?));
        }
    }

    /// The response that sends an answer, compressed if the client asked for that.
    pub(crate) async fn send(&self, request: &HttpRequest, plain: Arc<Answer>) -> Result<HttpResponse, ApiError> {
        if let Some(response) = plain.not_modified(request) {
            return Ok(response);
        }
        if !wants_gzip(request) {
            return Ok(plain.respond());
        }
        let packed = match self.find(&Key::Packed(plain.hash()), 0).await {
            Ok(packed) => packed,
            Err(turn) => {
                let mut lease = self.budget.lease();
                lease.hold(plain.len())?;
                let packed = if plain.len() <= SMALL_BYTES {
                    plain.packed(Some(lease))
                } else {
                    off_thread(move || plain.packed(Some(lease))).await?
                };
                keep(turn, u64::MAX, packed)
            }
        };
        Ok(packed.respond())
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

/// Keeps an answer, and gives it to those who wait for it.
fn keep(turn: Turn<'_>, version: u64, answer: Answer) -> Arc<Answer> {
    let answer = Arc::new(answer);
    // Nobody else can have taken the turn away; if the answer is too large to be kept, it is not.
    let _ = turn.insert(Kept { version, answer: Arc::clone(&answer) });
    answer
}

/// The memory that an answer takes while it is made.
pub(crate) struct Room {
    lease: Lease,
    limit: usize,
}

impl Room {
    /// Makes sure that there is room for so many bytes.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes > self.limit {
            return Err(ApiError::AnswerTooLarge(self.limit));
        }
        Ok(self.lease.hold(bytes)?)
    }

    /// The finished answer, which holds what its body takes from now on.
    pub(crate) fn keep(mut self, content: Content) -> Result<Answer, ApiError> {
        self.lease.hold(content.body.len())?;
        self.lease.shrink(content.body.len());
        Ok(Answer::new(content, Some(self.lease)))
    }
}
