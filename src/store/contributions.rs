//! Reads what the events of a day contribute, where the day's rollup does not tell enough: to buckets that begin within an hour.

use super::error::StoreError;
use super::outlines::{Detail, OutlineQuery};
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
        detail: Detail,
        go_on: impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Timestamp, RollupScope, &Contribution) -> Result<(), E>,
    ) -> Result<(), E> {
        // Executions are kept under their job types.
        let are_all = metrics == MetricsTypeId::Errors || scopes.contains(&RollupScope::All);
        let choices: Vec<_> = scopes.iter().filter_map(|scope| scope.choice()).collect();
        let kinds = metrics.event_kinds();
        let choices = (!are_all).then_some(&choices[..]);
        let query = OutlineQuery { dates: date..=date, kinds, choices, detail };
        self.outlines(
            &query,
            |_| go_on(),
            |outline| {
                for contribution in outline.contributions().iter().flatten() {
                    let Partition { metrics: of, choice, .. } = contribution.partition;
                    for scope in [RollupScope::All, RollupScope::Choice(choice)] {
                        if of == metrics && scopes.binary_search(&scope).is_ok() {
                            visit(outline.ended, scope, contribution)?;
                        }
                    }
                }
                Ok(())
            },
        )
    }
}
