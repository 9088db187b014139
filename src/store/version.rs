//! The version of a state of the store, by which answers and definitions are cached.

/// The version of a state. The same version means the same state; a later state has a greater version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Grows when the database may have gone back to an earlier state ([`super::rows::Stamp::era`]).
    pub era: u64,
    /// The number of changes of rollups, definitions or events that count up to this state.
    pub number: u64,
}
