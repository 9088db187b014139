//! A whole request: all its objects are valid, or it is refused with what is wrong.

use super::Object;
use super::choice::{Choices, Known};
use super::wire::{Problem, Read};

/// Why a request is refused. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invalid} of {total} events are invalid; nothing was stored.")]
pub struct Invalid {
    /// How many of its objects are wrong.
    pub invalid: usize,
    /// How many objects it has.
    pub total: usize,
    /// What is wrong with which object, counted from 0; in their order.
    pub problems: Vec<(usize, Problem)>,
}

/// The objects of a request, if all are valid and every choice that they name is known: stored, or defined earlier in the
/// request. A choice never becomes unknown again, so what holds here still holds when the objects are stored.
pub fn check(read: Vec<Read>, stored: &Choices) -> Result<Vec<Object>, Invalid> {
    let total = read.len();
    let mut known = Known::new(stored);
    let mut objects = Vec::with_capacity(total);
    let mut problems = Vec::new();
    let mut invalid = 0;
    for (index, object) in read.into_iter().enumerate() {
        let found = match object {
            Ok(object) => {
                let found = known.check(&object);
                objects.push(object);
                found
            }
            Err(found) => found,
        };
        invalid += usize::from(!found.is_empty());
        problems.extend(found.into_iter().map(|problem| (index, problem)));
    }
    if invalid == 0 { Ok(objects) } else { Err(Invalid { invalid, total, problems }) }
}
