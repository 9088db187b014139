//! Reads what the events of a day contribute, where the day's rollup does not tell enough: to buckets that begin within an hour.

use std::ops::Range;

use super::blocks::decode_events;
use super::error::StoreError;
use super::keys::BlockKey;
use super::location::BlockPrefix;
use super::reads::scan;
use super::snapshot::Snapshot;
use crate::events::{Contribution, Partition};
use crate::rollup::RollupScope;
use crate::time::{Date, Timestamp};
use crate::vocabulary::MetricsTypeId;

impl Snapshot {
    /// Visits what the stored events of a date contribute to some scopes, in ascending order, of a metrics type; with the time at
    /// which each event counts. Calls `go_on` before each block and stops if it fails.
    pub fn contributions<E: From<StoreError>>(
        &self,
        date: Date,
        metrics: MetricsTypeId,
        scopes: &[RollupScope],
        go_on: impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Timestamp, RollupScope, &Contribution) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut read = |range: Range<BlockKey>| {
            scan(self.rows(), range, |key: BlockKey, block| {
                go_on()?;
                let prefix = BlockPrefix::of_block(key).map_err(StoreError::from)?;
                for event in decode_events(prefix, block).map_err(StoreError::from)? {
                    let Some(ended) = event.ended() else { continue };
                    for contribution in event.contributions().iter().flatten() {
                        let Partition { date: home, metrics: of, choice } = contribution.partition;
                        for scope in [RollupScope::All, RollupScope::Choice(choice)] {
                            if (home, of) == (date, metrics) && scopes.binary_search(&scope).is_ok() {
                                visit(ended, scope, contribution)?;
                            }
                        }
                    }
                }
                Ok(())
            })
        };
        let days = date.days();
        let choices = scopes.iter().filter_map(|scope| scope.choice());
        if metrics == MetricsTypeId::Errors || scopes.contains(&RollupScope::All) {
            // Executions are kept under their job types.
            return read(BlockKey::first_of(days)..BlockKey::first_of(days + 1));
        }
        for choice in choices {
            let from = |choice| BlockKey { days, choice, kind: 0, lower: 0 };
            read(from(choice.get())..from(choice.get() + 1))?;
        }
        Ok(())
    }
}
