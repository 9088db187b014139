//! A disk in memory that knows what is synced, and fails as it is told.
//!
//! Reading sees every write at once, as it does in a running system. After a crash there is what was synced; of each sector
//! that was written since, any one of its versions, or the start of one with the end of another.
//! A sync that fails leaves what it did not write to be written by the next.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;
use scale_metrics::store::StorageBackend;

use super::faults::{Faults, Op, Verdict};

const SECTOR: usize = 512;
type Sector = [u8; SECTOR];

/// The disk; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    faults: Faults,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    /// What a reader sees.
    bytes: Vec<u8>,
    /// What is sure to be there after a crash.
    synced: Vec<u8>,
    /// The versions of each sector since the last sync, oldest first.
    unsynced: BTreeMap<usize, Vec<Sector>>,
}

impl Disk {
    /// An empty disk; `seed` decides what crashes leave.
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let state =
            State { rng: Rng::with_seed(seed), bytes: Vec::new(), synced: Vec::new(), unsynced: BTreeMap::new() };
        Self { faults, state: Arc::new(Mutex::new(state)) }
    }

    /// Does an operation, unless the fault forbids; `grows`: it needs space.
    fn run<T>(&self, op: Op, grows: bool, operation: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let verdict = self.faults.decide(op, grows);
        match verdict {
            Verdict::Done => return operation(&mut self.state.lock()),
            Verdict::Failed { done: true } => _ = operation(&mut self.state.lock())?,
            Verdict::Failed { done: false } | Verdict::Full | Verdict::Crashed => {}
        }
        Err(match verdict {
            Verdict::Full => ErrorKind::StorageFull.into(),
            Verdict::Crashed => ErrorKind::NotConnected.into(),
            Verdict::Done | Verdict::Failed { .. } => io::Error::other("injected"),
        })
    }

    /// Starts again with what the crash left.
    pub(crate) fn restart(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let length = if state.rng.bool() { state.bytes.len() } else { state.synced.len() };
        state.synced.resize(length, 0);
        for (sector, versions) in std::mem::take(&mut state.unsynced) {
            let Some(there) = state.synced.get_mut(sector * SECTOR..(sector + 1) * SECTOR) else { continue };
            let chosen = |rng: &mut Rng, there: &[u8]| match rng.usize(..=versions.len()) {
                0 => there.to_vec(),
                version => versions[version - 1].to_vec(),
            };
            let mut left = chosen(&mut state.rng, there);
            if state.rng.u8(..8) == 0 {
                let other = chosen(&mut state.rng, there);
                let cut = state.rng.usize(..SECTOR);
                left[cut..].copy_from_slice(&other[cut..]);
            }
            there.copy_from_slice(&left);
        }
        state.bytes.clone_from(&state.synced);
    }
}

fn place(offset: u64, length: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).expect("it is in memory");
    start..start + length
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        if self.faults.has_crashed() {
            return Err(ErrorKind::NotConnected.into());
        }
        Ok(self.state.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.run(Op::Read, false, |state| {
            let there = state.bytes.get(place(offset, out.len())).ok_or(ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(there);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = place(len, 0).start;
        let grows = length > self.state.lock().bytes.len();
        self.run(Op::SetLen, grows, |state| {
            state.bytes.resize(length, 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.run(Op::Sync, false, |state| {
            let length = state.bytes.len();
            state.synced.resize(length, 0);
            for (sector, _) in std::mem::take(&mut state.unsynced) {
                let place = sector * SECTOR..((sector + 1) * SECTOR).min(length);
                if place.start < length {
                    state.synced[place.clone()].copy_from_slice(&state.bytes[place]);
                }
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.run(Op::Write, false, |state| {
            let place = place(offset, data.len());
            let there = state.bytes.get_mut(place.clone()).ok_or(ErrorKind::UnexpectedEof)?;
            there.copy_from_slice(data);
            for sector in place.start / SECTOR..place.end.div_ceil(SECTOR) {
                let version = state.bytes[sector * SECTOR..].first_chunk().expect("the length is in sectors");
                state.unsynced.entry(sector).or_default().push(*version);
            }
            Ok(())
        })
    }
}
