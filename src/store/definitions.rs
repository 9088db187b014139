//! A cache of the definitions of recent states, so that readers need not read the table.
//!
//! A transaction that commits new definitions has them in memory, and adds them. A reader with a snapshot of an earlier state finds
//! its definitions among the recent ones. The table is read when the database is opened. Later, a reader reads it only if another
//! process has changed the definitions, or if those of its snapshot have left the cache, after more than [`RECENT`] later changes.
//! One reader at a time does so. Nobody else waits for it but those who would have to read, too.
//!
//! Not here: what definitions mean (`events::choice`).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::StoreError;
use super::version::Version;
use crate::events::Choices;

/// The number of states whose definitions are cached. They share nearly all of their memory.
const RECENT: usize = 16;

/// Recent definitions, by the version at which they took effect.
#[derive(Debug, Default)]
pub(super) struct RecentDefinitions {
    known: Mutex<BTreeMap<Version, Arc<Choices>>>,
    /// Held by the reader of the table.
    reading: Mutex<()>,
    #[cfg(test)]
    reads: std::sync::atomic::AtomicUsize,
}

impl RecentDefinitions {
    /// Returns the definitions that took effect at a version. Calls `read` if they are not in the cache.
    pub(super) fn get(
        &self,
        version: Version,
        read: impl FnOnce() -> Result<Choices, StoreError>,
    ) -> Result<Arc<Choices>, StoreError> {
        if let Some(choices) = self.known(version) {
            return Ok(choices);
        }
        let _reading = self.reading.lock();
        // Another reader may have read them in the meantime.
        if let Some(choices) = self.known(version) {
            return Ok(choices);
        }
        let choices = Arc::new(read()?);
        self.add(version, Arc::clone(&choices));
        #[cfg(test)]
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(choices)
    }

    /// The definitions that took effect at a version, if they are in the cache.
    pub(super) fn known(&self, version: Version) -> Option<Arc<Choices>> {
        self.known.lock().get(&version).cloned()
    }

    /// Adds the definitions that took effect at a version.
    pub(super) fn add(&self, version: Version, choices: Arc<Choices>) {
        let mut known = self.known.lock();
        known.insert(version, choices);
        if known.len() > RECENT {
            known.pop_first();
        }
    }

    /// Clears the cache. After a failed commit, its version may be used again with other definitions.
    pub(super) fn clear(&self) {
        self.known.lock().clear();
    }

    /// Returns how often the table was read.
    #[cfg(test)]
    pub(super) fn reads(&self) -> usize {
        self.reads.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OpenOptions, Store};
    use super::*;
    use crate::events::{Choice, Strike};
    use crate::vocabulary::{ChoiceId, MetricsTypeId};

    fn strike(id: u64) -> Choice {
        let id = ChoiceId::new(id).expect("an id");
        Choice::Strike(Arc::new(Strike { id, name: "a".to_owned(), title: "A".to_owned(), description: None }))
    }

    #[test]
    fn the_table_is_read_when_the_database_is_opened_and_never_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).expect("it opens");
        let mut snapshots = Vec::new();
        for id in 1..=40 {
            store
                .write(|transaction| {
                    transaction.define(&[&strike(id)]);
                    Ok(())
                })
                .expect("it is stored");
            snapshots.push(store.snapshot().expect("it is read"));
        }
        for (snapshot, count) in snapshots.iter().zip(1..) {
            assert_eq!(snapshot.definitions().count(MetricsTypeId::Ingests), count, "a snapshot keeps its definitions");
        }
        assert_eq!(store.definitions.reads(), 1);
        store.reopen().expect("it opens again");
        let reread = store.snapshot().expect("it is read");
        assert_eq!(reread.definitions(), snapshots[39].definitions());
        assert_eq!(store.definitions.reads(), 2);
    }

    #[test]
    fn who_waits_for_definitions_does_not_read_them_as_well() {
        let definitions = RecentDefinitions::default();
        let mut choices = Choices::default();
        choices.define(strike(7));
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    let read = definitions.get(Version::default(), || Ok(choices.clone())).expect("they are read");
                    assert_eq!(*read, choices);
                });
            }
        });
        assert_eq!(definitions.reads(), 1);
    }
}
