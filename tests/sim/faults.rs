//! What goes wrong with what a database stands on, a disk or a network: as the simulation says, and when it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// What is asked of a disk or of a database across a network, and can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    /// Growth of the file; nothing across a network.
    SetLen,
    /// What makes writes durable: a sync of the disk, or a commit.
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

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// It fails; whether it is done all the same.
    Failed {
        done: bool,
    },
    /// It does not fit, and is not done.
    Full,
    /// Everything stopped, before it or with it.
    Crashed,
}

/// The faults; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    crashed: bool,
    /// Faults are not counted towards, and do not happen.
    quiet: bool,
    operations: u64,
    /// How many operations of each kind there were, and how many faults were hit.
    counts: BTreeMap<&'static str, u64>,
}

impl Faults {
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

    /// Everything works again after a crash.
    pub(crate) fn restart(&self) {
        let mut state = self.0.lock();
        state.crashed = false;
        state.fault = None;
    }

    /// Whether all that is asked can be done, but for growth.
    pub(crate) fn are_merely_full(&self) -> bool {
        let state = self.0.lock();
        !state.crashed && matches!(state.fault, Some(Fault::Full { every_write: false }))
    }

    /// Whether a fault may happen at the moment.
    pub(crate) fn set_quiet(&self, quiet: bool) {
        self.0.lock().quiet = quiet;
    }

    /// How many operations there were, how many of them were syncs, and the faults that were hit.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let state = self.0.lock();
        let mut counts = state.counts.clone();
        counts.insert("operations", state.operations);
        counts
    }

    /// Decides about an operation; `grows`: it needs space.
    pub(crate) fn decide(&self, op: Op, grows: bool) -> Verdict {
        let mut state = self.0.lock();
        let verdict = state.decide(op, grows);
        if op == Op::Sync && !state.quiet && matches!(verdict, Verdict::Done | Verdict::Failed { done: true }) {
            state.count("syncs");
        }
        verdict
    }
}

impl State {
    fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    fn crash(&mut self) {
        self.crashed = true;
        self.count("crash");
    }

    fn decide(&mut self, op: Op, grows: bool) -> Verdict {
        if self.crashed {
            return Verdict::Crashed;
        }
        if self.quiet {
            return Verdict::Done;
        }
        self.operations += 1;
        match &mut self.fault {
            Some(Fault::Crash { after: 0 }) => {
                self.crash();
                Verdict::Crashed
            }
            Some(Fault::Crash { after }) => {
                *after -= 1;
                Verdict::Done
            }
            &mut Some(Fault::Fail { op: failing, after: 0, for_ever, done }) if failing == op => {
                if !for_ever {
                    self.fault = None;
                }
                self.count(match op {
                    Op::Read => "read fails",
                    Op::Write => "write fails",
                    Op::SetLen => "growth fails",
                    Op::Sync => "sync fails",
                });
                Verdict::Failed { done }
            }
            Some(Fault::Fail { op: failing, after, .. }) if *failing == op => {
                *after -= 1;
                Verdict::Done
            }
            &mut Some(Fault::Full { every_write }) if grows || every_write && op == Op::Write => {
                self.count("disk full");
                Verdict::Full
            }
            Some(Fault::Fail { .. } | Fault::Full { .. }) | None => Verdict::Done,
        }
    }
}
