//! A look at the store's current state, which every request that reads or validates takes first.
//!
//! A request must see what was acknowledged before it came, also by another server. With a file, a look is a snapshot, which takes
//! a microsecond. Across a network it takes a round trip, so requests that come at the same time share one: those that come while
//! a look is on its way share the next, since that one may have missed what they must see.
//!
//! Not here: what is known of a state ([`StoreState`]), the answers that are cached by its version (`response_cache`).

use std::sync::Arc;
use std::thread;

use actix_web::web;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ApiError;
use crate::store::{Snapshot, Store, StoreError, StoreState};

/// What a request has seen.
pub(crate) struct Look {
    pub(super) state: StoreState,
    /// The snapshot with that state, unless the look is shared.
    pub(super) snapshot: Option<Snapshot>,
}

/// The looks at a store.
pub(crate) struct Looks {
    store: Arc<Store>,
    waiting: Mutex<Waiting>,
}

/// The requests that wait for the next look.
#[derive(Default)]
struct Waiting {
    requests: Vec<oneshot::Sender<Seen>>,
    /// Whether a thread takes looks until nobody waits.
    is_looking: bool,
}

type Seen = Result<StoreState, Arc<StoreError>>;

impl Looks {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, waiting: Mutex::default() }
    }

    /// A look that begins after this is called.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Look, ApiError> {
        if !self.store.is_remote() {
            let snapshot = self.store.snapshot()?;
            return Ok(Look { state: snapshot.state().clone(), snapshot: Some(snapshot) });
        }
        let (tell, seen) = oneshot::channel();
        let is_looking = {
            let mut waiting = self.waiting.lock();
            waiting.requests.push(tell);
            std::mem::replace(&mut waiting.is_looking, true)
        };
        if !is_looking {
            let looks = Arc::clone(self);
            drop(web::block(move || looks.look_while_somebody_waits()));
        }
        match seen.await {
            Ok(Ok(state)) => Ok(Look { state, snapshot: None }),
            Ok(Err(error)) => Err(ApiError::from(error)),
            Err(_) => Err(ApiError::Internal),
        }
    }

    fn look_while_somebody_waits(&self) {
        let _looking = Looking(self);
        loop {
            let requests = {
                let mut waiting = self.waiting.lock();
                if waiting.requests.is_empty() {
                    waiting.is_looking = false;
                    return;
                }
                std::mem::take(&mut waiting.requests)
            };
            let seen = self.store.look().map_err(Arc::new);
            for request in requests {
                // The client may have gone.
                let _ = request.send(seen.clone());
            }
        }
    }
}

/// A thread that takes looks. If it panics, the requests that wait get an error, and the next one starts another thread.
struct Looking<'a>(&'a Looks);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            *self.0.waiting.lock() = Waiting::default();
        }
    }
}
