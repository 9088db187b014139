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

const SECTOR: usize = 512;
type Sector = [u8; SECTOR];

/// What the database asks of a disk and what can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    SetLen,
    Sync,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Everything stops after so many operations.
    Crash { after: u64 },
    /// The operation of that kind fails after so many others, once or from then on; whether it is done all the same.
    Fail { op: Op, after: u64, for_ever: bool, done: bool },
    /// Nothing more fits: no growth, or no write at all.
    Full { every_write: bool },
}

/// The faults that were injected: those that were hit, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hits(pub(crate) BTreeMap<&'static str, u64>);

impl Hits {
    fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }
}

/// The disk; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: Rng,
    /// What a reader sees.
    bytes: Vec<u8>,
    /// What is sure to be there after a crash.
    synced: Vec<u8>,
    /// The versions of each sector since the last sync, oldest first.
    unsynced: BTreeMap<usize, Vec<Sector>>,
    fault: Option<Fault>,
    crashed: bool,
    /// Faults are not counted towards, and do not happen.
    quiet: bool,
    operations: u64,
    syncs: u64,
    hits: Hits,
}

impl Disk {
    /// An empty disk; `seed` decides what crashes leave.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Rng::with_seed(seed),
            bytes: Vec::new(),
            synced: Vec::new(),
            unsynced: BTreeMap::new(),
            fault: None,
            crashed: false,
            quiet: false,
            operations: 0,
            syncs: 0,
            hits: Hits::default(),
        })))
    }

    /// From now on that goes wrong, and nothing else.
    pub(crate) fn fail(&self, fault: Fault) {
        self.0.lock().fault = Some(fault);
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        self.0.lock().fault = None;
    }

    /// Whether everything has stopped.
    pub(crate) fn has_crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// Stops everything now.
    pub(crate) fn crash(&self) {
        self.0.lock().crash();
    }

    /// Whether it can do all that it is asked but grow.
    pub(crate) fn is_merely_full(&self) -> bool {
        let state = self.0.lock();
        !state.crashed && matches!(state.fault, Some(Fault::Full { every_write: false }))
    }

    /// Whether a fault may happen at the moment.
    pub(crate) fn set_quiet(&self, quiet: bool) {
        self.0.lock().quiet = quiet;
    }

    /// Starts again with what the crash left.
    pub(crate) fn restart(&self) {
        let mut state = self.0.lock();
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
        state.crashed = false;
        state.fault = None;
    }

    /// How many operations there were, how many of them were syncs, and the faults that were hit.
    pub(crate) fn counts(&self) -> (u64, u64, Hits) {
        let state = self.0.lock();
        (state.operations, state.syncs, state.hits.clone())
    }
}

fn failure(kind: ErrorKind) -> io::Error {
    kind.into()
}

impl State {
    fn crash(&mut self) {
        self.crashed = true;
        self.hits.count("crash");
    }

    /// Does an operation, unless the fault forbids; `grows`: it needs space.
    fn run<T>(&mut self, op: Op, grows: bool, operation: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.crashed {
            return Err(failure(ErrorKind::NotConnected));
        }
        if self.quiet {
            return operation(self);
        }
        self.operations += 1;
        match &mut self.fault {
            Some(Fault::Crash { after: 0 }) => {
                self.crash();
                Err(failure(ErrorKind::NotConnected))
            }
            Some(Fault::Crash { after }) => {
                *after -= 1;
                operation(self)
            }
            &mut Some(Fault::Fail { op: failing, after: 0, for_ever, done }) if failing == op => {
                if !for_ever {
                    self.fault = None;
                }
                self.hits.count(match op {
                    Op::Read => "read fails",
                    Op::Write => "write fails",
                    Op::SetLen => "growth fails",
                    Op::Sync => "sync fails",
                });
                if done {
                    operation(self)?;
                }
                Err(io::Error::other("injected"))
            }
            Some(Fault::Fail { op: failing, after, .. }) if *failing == op => {
                *after -= 1;
                operation(self)
            }
            &mut Some(Fault::Full { every_write }) if grows || every_write && op == Op::Write => {
                self.hits.count("disk full");
                Err(failure(ErrorKind::StorageFull))
            }
            Some(Fault::Fail { .. } | Fault::Full { .. }) | None => operation(self),
        }
    }
}

fn place(offset: u64, length: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).expect("it is in memory");
    start..start + length
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let state = self.0.lock();
        if state.crashed { Err(failure(ErrorKind::NotConnected)) } else { Ok(state.bytes.len() as u64) }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.lock().run(Op::Read, false, |state| {
            let there = state.bytes.get(place(offset, out.len())).ok_or_else(|| failure(ErrorKind::UnexpectedEof))?;
            out.copy_from_slice(there);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        let length = place(len, 0).start;
        let grows = length > state.bytes.len();
        state.run(Op::SetLen, grows, |state| {
            state.bytes.resize(length, 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().run(Op::Sync, false, |state| {
            state.syncs += 1;
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
        self.0.lock().run(Op::Write, false, |state| {
            let place = place(offset, data.len());
            let there = state.bytes.get_mut(place.clone()).ok_or_else(|| failure(ErrorKind::UnexpectedEof))?;
            there.copy_from_slice(data);
            for sector in place.start / SECTOR..place.end.div_ceil(SECTOR) {
                let version = state.bytes[sector * SECTOR..].first_chunk().expect("the length is in sectors");
                state.unsynced.entry(sector).or_default().push(*version);
            }
            Ok(())
        })
    }
}
