//! Listings: which events a question selects, in which order they come, how many there are according to the rollups, and which groups
//! they make.
//!
//! A [`Filter`] is what was asked for. Together with the definitions of errors, it makes a [`Selector`], which decides about each
//! [`Outline`](crate::events::Outline). A [`Ranking`] keeps the first events of an [`Order`], and a [`Search`]
//! finds where far pages begin. A [`Counting`] reads off an aggregate how
//! many events a filter selects, where the aggregate tells that, so that a page need not read what is not on it.
//!
//! What a count column of a bucket counts is what a filter of that bucket lists (docs/reference.md, Lists of events).
//!
//! Not here: the syntax of a question (`api::v6::event_list`), reading outlines (`store`).

mod counting;
mod filter;
mod grouping;
mod ranking;

pub use counting::Counting;
pub use filter::{Bounds, Filter, Selector};
pub use grouping::{By, Common, Group, Grouping, Groups, ManyGroups};
pub use ranking::{Order, Place, Rank, Ranking, Search};
