//! The file format: every table, its key order and the scans it serves. Names nothing of what the values mean.
//!
//! Values are sealed records (`codec`, `blocks`); numbers in keys order as numbers do.

use redb::TableDefinition;

/// The format that this program writes. A newer one is refused at the start; an older one would be migrated there.
pub(super) const FORMAT: u64 = 1;

/// `format` → the number above; `version` → how often rollups or definitions changed; `choices` → by which version the
/// definitions last changed.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// [`META`]'s key of the format.
pub(super) const META_FORMAT: &str = "format";
/// [`META`]'s key of the number of changes.
pub(super) const META_VERSION: &str = "version";
/// [`META`]'s key of the last change to the definitions.
pub(super) const META_CHOICES: &str = "choices";

/// (metrics type, choice id) → definition of the choice. Read as a whole.
pub(super) const CHOICES: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("choices");

/// (days since 1970, choice id, event kind, lower bound of the ids) → a block of events, ordered by id. The events of a
/// kind that end on one date of one choice stand in consecutive blocks; those that have no such home yet stand under
/// date 0 and choice 0. An id is in the block with the greatest lower bound that does not exceed it. The date comes first
/// because events come in the order of time: what is written together stands together, and full pages are left behind.
pub(super) const BLOCKS: TableDefinition<'_, (u32, u64, u8, u64), &[u8]> = TableDefinition::new("blocks");

/// (id / 256, event kind) → where each of these ids is kept. The ids come first because those of jobs and of their
/// executions rise side by side.
pub(super) const INDEX: TableDefinition<'_, (u64, u8), &[u8]> = TableDefinition::new("index");

/// (days since 1970, choice id, metrics type) → rollup of the day of a choice. Read by key; in the order of the blocks, so
/// that what is written together stands together here, too.
pub(super) const ROLLUPS: TableDefinition<'_, (u32, u64, u8), &[u8]> = TableDefinition::new("rollups");

/// (metrics type, days since 1970) → rollup of the day of all choices together. Scanned by date.
pub(super) const TOTALS: TableDefinition<'_, (u8, u32), &[u8]> = TableDefinition::new("totals");
