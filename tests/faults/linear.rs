//! Whether what many clients saw at once is explained by some order of what they asked for.
//!
//! A history is linearizable if all operations can be put into one order in which each has the outcome that it had, and in
//! which one that ended before another began comes first. The test searches for that order with the algorithm of Wing and Gong:
//! it tries each operation that may come next on a copy of the oracle, and does not try a set of operations again that led
//! nowhere from the same state.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::oracle::{Oracle, fit};

/// What somebody asked for, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// When it was sent.
    pub(crate) began: Duration,
    /// When its answer was there. If none came: when it was sure that nothing would come of it any more.
    pub(crate) ended: Duration,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Objects were posted.
    Post { objects: Vec<Value>, outcome: Outcome },
    /// Events were deleted.
    Delete { keys: Vec<(String, u64)>, outcome: Outcome },
    /// All columns were read of the selected choices, or of all together.
    Plot { metrics: &'static str, selected: Vec<u64>, resolution: &'static str, shown: Vec<Value> },
    /// The choices of a metrics type were read.
    Choices { metrics: &'static str, shown: Vec<Value> },
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It was stored, with this answer.
    Stored(Value),
    /// It was refused: nothing of it may ever be seen.
    Refused,
    /// No answer came: all of it was stored, or nothing.
    Unknown,
}

impl Operation {
    /// The state after it, if it has this outcome in that state.
    fn apply(&self, state: &Oracle) -> Option<Oracle> {
        let is_explained = match &self.what {
            What::Post { objects, outcome } => {
                let mut after = state.clone();
                let answer = after.post(objects);
                return match outcome {
                    Outcome::Stored(shown) => (answer.as_ref() == Some(shown)).then_some(after),
                    Outcome::Refused => Some(state.clone()),
                    Outcome::Unknown => answer.map(|_| after),
                };
            }
            What::Delete { keys, outcome } => {
                let mut after = state.clone();
                let (deleted, missing) = after.delete(keys);
                let answer = json!({"deleted": deleted, "missing": missing});
                return match outcome {
                    Outcome::Stored(shown) => (answer == *shown).then_some(after),
                    Outcome::Refused => Some(state.clone()),
                    Outcome::Unknown => Some(after),
                };
            }
            What::Plot { metrics, selected, resolution, shown } => {
                fit(shown, &state.plot(Tz::UTC, metrics, selected, resolution))
            }
            What::Choices { metrics, shown } => state.choices(metrics) == *shown,
        };
        is_explained.then(|| state.clone())
    }

    /// Whether it surely happened, or surely did not.
    pub(crate) fn is_sure(&self) -> bool {
        let outcome = match &self.what {
            What::Post { outcome, .. } | What::Delete { outcome, .. } => outcome,
            What::Plot { .. } | What::Choices { .. } => return true,
        };
        *outcome != Outcome::Unknown
    }
}

/// Finds an order of operations that explains them all, from an empty store on; or the longest that was found, and what could
/// not come next: those that were tried.
pub(crate) fn explain(history: &[Operation]) -> Result<Vec<usize>, String> {
    let mut search = Search {
        history,
        taken: vec![false; history.len()],
        order: Vec::new(),
        longest: Vec::new(),
        failed: HashSet::new(),
        hasher: RandomState::new(),
    };
    if search.go_on(&Oracle::default(), Duration::ZERO) { Ok(search.order) } else { Err(search.report()) }
}

struct Search<'a> {
    history: &'a [Operation],
    taken: Vec<bool>,
    order: Vec<usize>,
    longest: Vec<usize>,
    /// The operations that were taken and the states that they had led to, by hash, from where there is no way on.
    failed: HashSet<u64>,
    hasher: RandomState,
}

impl Search<'_> {
    /// Whether the rest can follow; `latest` is when the latest of those that were taken began.
    fn go_on(&mut self, state: &Oracle, latest: Duration) -> bool {
        let next = self.next(latest);
        if next.is_empty() && self.history.iter().zip(&self.taken).all(|(it, taken)| *taken || !it.is_sure()) {
            return true;
        }
        let place = self.hasher.hash_one((&self.taken, state));
        if self.failed.contains(&place) {
            return false;
        }
        for operation in next {
            let Some(after) = self.history[operation].apply(state) else { continue };
            self.taken[operation] = true;
            self.order.push(operation);
            if self.order.len() > self.longest.len() {
                self.longest.clone_from(&self.order);
            }
            if self.go_on(&after, latest.max(self.history[operation].began)) {
                return true;
            }
            self.order.pop();
            self.taken[operation] = false;
        }
        self.failed.insert(place);
        false
    }

    /// What may come next: none that began after another had ended that is still to come.
    fn next(&self, latest: Duration) -> Vec<usize> {
        let left = || (0..self.history.len()).filter(|&it| !self.taken[it]);
        let sure = left().filter(|&it| self.history[it].is_sure());
        let Some(first_end) = sure.map(|it| self.history[it].ended).min() else { return Vec::new() };
        let may_come = |it: &usize| {
            let operation = &self.history[*it];
            operation.began <= first_end && (operation.is_sure() || operation.ended >= latest)
        };
        let mut next: Vec<_> = left().filter(may_come).collect();
        next.sort_by_key(|&it| (!self.history[it].is_sure(), self.history[it].ended));
        next
    }

    fn report(mut self) -> String {
        let longest = std::mem::take(&mut self.longest);
        let latest = longest.iter().map(|&it| self.history[it].began).max().unwrap_or_default();
        for &it in &longest {
            self.taken[it] = true;
        }
        let shown = |it: &usize| format!("{it}: {:?}\n", self.history[*it]);
        let before: String = longest.iter().rev().take(12).rev().map(shown).collect();
        let next: String = self.next(latest).iter().map(shown).collect();
        format!(
            "after {} of {} operations, the last of them\n{before}none of these can come next:\n{next}",
            longest.len(),
            self.history.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: u64 = u64::MAX;

    fn at(began: u64, ended: u64, what: What) -> Operation {
        Operation { began: Duration::from_millis(began), ended: Duration::from_millis(ended), what }
    }

    fn job(id: u64) -> Value {
        json!({"kind": "job", "id": id, "job_type": 1, "status": "COMPLETED", "ended": "2015-01-01T00:00:00Z"})
    }

    fn stored(created: u64, unchanged: u64) -> Outcome {
        let accepted = created + unchanged;
        Outcome::Stored(
            json!({"accepted": accepted, "created": created, "updated": 0, "unchanged": unchanged, "stale": 0}),
        )
    }

    fn post(ids: &[u64], outcome: Outcome) -> What {
        What::Post { objects: ids.iter().copied().map(job).collect(), outcome }
    }

    /// A plot of so many completed jobs.
    fn plot(jobs: u64) -> What {
        let mut oracle = Oracle::default();
        oracle.post(&[definition()]).unwrap();
        oracle.post(&(0..jobs).map(|id| job(NOBODY - id)).collect::<Vec<_>>()).unwrap();
        What::Plot {
            metrics: "job-types",
            selected: Vec::new(),
            resolution: "day",
            shown: oracle.plot(Tz::UTC, "job-types", &[], "day"),
        }
    }

    fn definition() -> Value {
        json!({"kind": "job_type", "id": 1, "name": "a", "version": "1"})
    }

    /// A history that begins with the definition of the job type.
    fn explained(operations: &[Operation]) -> bool {
        let define = What::Post { objects: vec![definition()], outcome: stored(1, 0) };
        explain(&[&[at(0, 1, define)], operations].concat()).is_ok()
    }

    #[test]
    fn what_happens_at_once_may_have_happened_in_any_order() {
        let write = at(10, 20, post(&[1], stored(1, 0)));
        for (began, ended, jobs, is_right) in [
            (5, 9, 0, true),
            (5, 9, 1, false),
            (5, 15, 0, true),
            (5, 15, 1, true),
            (12, 25, 0, true),
            (12, 25, 1, true),
            (21, 25, 1, true),
            // It is stale.
            (21, 25, 0, false),
            // It is counted twice.
            (21, 25, 2, false),
        ] {
            assert_eq!(explained(&[write.clone(), at(began, ended, plot(jobs))]), is_right, "{began} {ended} {jobs}");
        }
        // Nobody may see the write, and then somebody not.
        let reads = |first, second| [write.clone(), at(11, 13, plot(first)), at(14, 16, plot(second))];
        assert!(explained(&reads(0, 1)) && explained(&reads(0, 0)) && explained(&reads(1, 1)));
        assert!(!explained(&reads(1, 0)));
    }

    #[test]
    fn what_is_deleted_is_gone_for_everybody_from_then_on() {
        let delete = |ids: &[u64], outcome| What::Delete {
            keys: ids.iter().map(|&id| ("job".to_owned(), id)).collect(),
            outcome,
        };
        let deleted = |deleted: u64, missing: u64| Outcome::Stored(json!({"deleted": deleted, "missing": missing}));
        let write = at(10, 20, post(&[1, 2], stored(2, 0)));
        let gone = [write.clone(), at(30, 40, delete(&[1, 7], deleted(1, 1)))];
        for (jobs, is_right) in [(0, false), (1, true), (2, false)] {
            assert_eq!(explained(&[&gone[..], &[at(50, 60, plot(jobs))]].concat()), is_right, "{jobs}");
        }
        assert!(!explained(&[write.clone(), at(30, 40, delete(&[1], deleted(0, 1)))]));
        let unknown = [write, at(30, 40, delete(&[1], Outcome::Unknown))];
        for (jobs, is_right) in [(0, false), (1, true), (2, true)] {
            assert_eq!(explained(&[&unknown[..], &[at(50, 60, plot(jobs))]].concat()), is_right, "{jobs}");
        }
    }

    #[test]
    fn requests_are_stored_whole_or_not_at_all() {
        let write = at(10, 20, post(&[1, 2, 3], stored(3, 0)));
        for jobs in 0..=3 {
            assert_eq!(explained(&[write.clone(), at(12, 18, plot(jobs))]), jobs % 3 == 0, "{jobs}");
        }
        let refused = at(10, 20, post(&[1, 2, 3], Outcome::Refused));
        for jobs in 0..=3 {
            assert_eq!(explained(&[refused.clone(), at(12, 18, plot(jobs))]), jobs == 0, "{jobs}");
        }
    }

    #[test]
    fn whoever_posts_second_is_told_so() {
        let both = |one, other| [at(10, 20, post(&[1], one)), at(12, 18, post(&[1], other))];
        assert!(explained(&both(stored(1, 0), stored(0, 1))));
        assert!(explained(&both(stored(0, 1), stored(1, 0))));
        assert!(!explained(&both(stored(1, 0), stored(1, 0))));
        assert!(!explained(&both(stored(0, 1), stored(0, 1))));
    }

    #[test]
    fn what_got_no_answer_happened_in_its_time_or_never() {
        let unknown = at(10, 20, post(&[1, 2], Outcome::Unknown));
        for jobs in 0..=2 {
            assert_eq!(explained(&[unknown.clone(), at(30, 40, plot(jobs))]), jobs != 1, "{jobs}");
        }
        let reads = |first, second| [unknown.clone(), at(21, 25, plot(first)), at(30, 40, plot(second))];
        assert!(explained(&reads(0, 0)) && explained(&reads(2, 2)));
        assert!(!explained(&reads(0, 2)) && !explained(&reads(2, 0)));
    }
}
