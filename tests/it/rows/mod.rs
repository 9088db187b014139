//! Rows and where they are stored: what every database has to do, and how many round trips the store needs.

mod conformance;
mod round_trips;
