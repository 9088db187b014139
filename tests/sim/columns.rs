//! All columns as the server would show them, against the oracle's, which knows neither contributions nor rollups.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use scale_metrics::catalog::{MetricsType, Percentiles, with_percentiles};
use scale_metrics::events::wire;
use scale_metrics::plot::{Bucket, Plot, Selection};
use scale_metrics::rollup::RollupScope;
use scale_metrics::store::{Part, RollupQuery, Snapshot, StoreError};
use scale_metrics::time::{Date, Resolution, Zone};
use scale_metrics::vocabulary::ChoiceId;
use serde_json::{Value, json};

use crate::oracle::{Oracle, fit};

/// The values of each column, by its name.
type Columns = BTreeMap<String, Vec<Value>>;

/// Compares every column of everything, by day and by hour, together and by choice. Days whose events are forgotten are left
/// out. Returns how many values were compared.
pub(crate) fn compare(snapshot: &Snapshot) -> Result<u64, StoreError> {
    let oracle = oracle(snapshot)?;
    let first = snapshot.kept().events_from;
    let mut compared = 0;
    for metrics in with_percentiles(&Percentiles::common()) {
        for selected in [&[][..], &[1, 2], &[1, 2, 3]] {
            for (resolution, name) in [(Resolution::Day, "day"), (Resolution::Hour, "hour")] {
                let shown = shown(snapshot, metrics, selected, resolution)?;
                let expected = expected(&oracle, metrics.name, selected, name, first);
                assert_eq!(shown.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
                for ((column, shown), expected) in shown.iter().zip(expected.values()) {
                    assert!(fit(shown, expected), "{column} of {selected:?} by {name}: {shown:?} for {expected:?}");
                }
                compared += shown.values().map(Vec::len).sum::<usize>() as u64;
            }
        }
    }
    Ok(compared)
}

/// An oracle that is told what is stored, as it is exported.
fn oracle(snapshot: &Snapshot) -> Result<Oracle, StoreError> {
    let mut lines = Vec::new();
    wire::write_choices(&mut lines, snapshot.definitions());
    for date in [None].into_iter().chain(snapshot.dates()?.into_iter().map(Some)) {
        snapshot.events(date, |event| {
            wire::write_event(&mut lines, event);
            Ok::<_, StoreError>(())
        })?;
    }
    let objects = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let objects: Vec<Value> = objects.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let mut oracle = Oracle::default();
    oracle.post(&objects).expect("every choice that is named is defined");
    Ok(oracle)
}

fn shown(
    snapshot: &Snapshot,
    metrics: &'static MetricsType,
    selected: &[u64],
    resolution: Resolution,
) -> Result<Columns, StoreError> {
    let Some((first, last)) = snapshot.dates()?.first().copied().zip(snapshot.dates()?.last().copied()) else {
        return Ok(metrics.columns.iter().map(|column| (column.name.clone(), Vec::new())).collect());
    };
    let selection = match selected {
        [] => Selection::All,
        ids => Selection::Choices(ids.iter().map(|&id| ChoiceId::new(id).unwrap()).collect()),
    };
    let columns: Vec<_> = metrics.columns.iter().collect();
    let mut plot = Plot::new(&columns, snapshot.definitions(), false);
    let wanted = RollupQuery {
        metrics: metrics.id,
        scopes: &selection.scopes(),
        dates: (first.max(snapshot.kept().events_from), last),
        parts: scale_metrics::plot::parts(&columns),
    };
    let is_whole = |_| resolution == Resolution::Day;
    snapshot.rollups(
        &wanted,
        is_whole,
        || Ok::<_, StoreError>(()),
        |date, part, scope, aggregate| {
            let start = match part {
                Part::Day => date.start(),
                Part::Hour(hour) => date.hour_start(hour),
            };
            plot.add(Bucket { start, scope }, aggregate);
            Ok(())
        },
    )?;
    let value = |(Bucket { start, scope }, value)| {
        let mut shown = json!({"datetime": Zone::UTC.text_at(start), "value": u64::try_from(value).unwrap()});
        if let RollupScope::Choice(id) = scope {
            shown["id"] = id.get().into();
        }
        shown
    };
    let series = plot.series().iter();
    Ok(series.map(|series| (series.column.name.clone(), plot.points(series).map(value).collect())).collect())
}

fn expected(oracle: &Oracle, metrics: &str, selected: &[u64], resolution: &str, first: Date) -> Columns {
    let first = first.to_string();
    let is_kept = |value: &Value| value["datetime"].as_str().unwrap() >= first.as_str();
    let series = oracle.plot(Tz::UTC, metrics, selected, resolution).into_iter();
    series
        .map(|mut series| {
            let values = series["values"].take().as_array().unwrap().iter().filter(|it| is_kept(it)).cloned().collect();
            (series["column"].as_str().unwrap().to_owned(), values)
        })
        .collect()
}
