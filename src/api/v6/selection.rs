//! Parameters that several endpoints share: columns, choices and the format.

use crate::api::ApiError;
use crate::api::error::SHOWN_BYTES;
use crate::api::params::Params;
use crate::catalog::{Column, MetricsType, Units};
use crate::config::Dialect;
use crate::events::Choices;
use crate::plot::Selection;
use crate::vocabulary::ChoiceId;

/// The values of `format`, and whether each is CSV; the first one is the default.
pub(in crate::api) const FORMATS: &[(&str, bool)] = &[("json", false), ("csv", true)];

/// The values of `units`, which are those of times; the first one is the default.
pub(in crate::api) const UNITS: &[(&str, Units)] =
    &[("seconds", Units::Seconds), ("milliseconds", Units::Milliseconds)];

/// Returns the requested columns, then those of each requested group, without duplicates; all columns if nothing is requested. Times
/// are in the requested units.
pub(super) fn columns(metrics: &'static MetricsType, params: &Params<'_>) -> Result<Vec<&'static Column>, ApiError> {
    let all = metrics.columns_in(params.word("units", UNITS)?.unwrap_or(UNITS[0].1));
    let mut selected: Vec<&'static Column> = Vec::new();
    let mut select = |column: &'static Column| {
        if !selected.contains(&column) {
            selected.push(column);
        }
    };
    let unknown = |parameter: &str, name: &str, names: Vec<&str>| {
        ApiError::parameter(parameter, name, format!("{} has: {}", metrics.name, names.join(", ")))
    };
    for name in params.distinct("column") {
        let column = all.iter().find(|column| column.name == name);
        let names = || all.iter().map(|column| column.name.as_str()).collect();
        select(column.ok_or_else(|| unknown("column", name, names()))?);
    }
    for name in params.distinct("group") {
        if !metrics.groups.iter().any(|group| group.name == name) {
            let names = metrics.groups.iter().map(|group| group.name).collect();
            return Err(unknown("group", name, names));
        }
        all.iter().filter(|column| column.group == name).for_each(&mut select);
    }
    // Every group has columns.
    Ok(if selected.is_empty() { all.iter().collect() } else { selected })
}

/// Returns the choices that `choice_id` and the filters of the type select together.
pub(super) fn selection(
    metrics: &'static MetricsType,
    params: &Params<'_>,
    choices: &Choices,
    dialect: Dialect,
) -> Result<Selection, ApiError> {
    let of = format!("one of the choices of {}", metrics.name);
    let asked = ids(params, "choice_id", &of, dialect, |id| choices.selectable(metrics.id, id).is_some())?;
    let found = filtered(metrics, params, choices);
    Ok(match (asked, found) {
        (None, None) => Selection::All,
        (Some(ids), None) | (None, Some(ids)) => Selection::Choices(ids),
        (Some(mut asked), Some(found)) => {
            keep_common(&mut asked, &found);
            Selection::Choices(asked)
        }
    })
}

/// Returns the ids that a parameter gives, ascending; `None` if it is not given. Each must be the id `of` something that is known. An
/// unknown one is an error, except in the dialect of Scale's own server, which has no values for it.
pub(super) fn ids(
    params: &Params<'_>,
    name: &str,
    of: &str,
    dialect: Dialect,
    is_known: impl Fn(ChoiceId) -> bool,
) -> Result<Option<Vec<ChoiceId>>, ApiError> {
    let given = params.distinct(name);
    if given.is_empty() {
        return Ok(None);
    }
    let mut ids = Vec::with_capacity(given.len());
    let mut unknown = Vec::new();
    for text in given {
        let is_integer = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_integer && text.parse::<i64>().is_err() {
            return Err(ApiError::parameter(name, text, format!("it must be an integer, the id of {of}")));
        }
        match text.parse().ok().and_then(ChoiceId::new).filter(|&id| is_known(id)) {
            Some(id) => ids.push(id),
            None => unknown.push(text),
        }
    }
    if !unknown.is_empty() && dialect == Dialect::Documented {
        return Err(ApiError::parameter(name, &listed(&unknown), format!("each must be the id of {of}")));
    }
    // An id can be written in several ways.
    ids.sort_unstable();
    ids.dedup();
    Ok(Some(ids))
}

/// Joins texts with commas, as many as a refusal shows.
fn listed(texts: &[&str]) -> String {
    const MORE_BYTES: usize = " and 65536 more".len();
    let mut list = String::new();
    for (place, text) in texts.iter().enumerate() {
        if place > 0 && list.len() + text.len() + MORE_BYTES > SHOWN_BYTES {
            return format!("{list} and {} more", texts.len() - place);
        }
        if place > 0 {
            list.push_str(", ");
        }
        list.push_str(text);
    }
    list
}

/// Returns the choices that pass the filters of their type, ordered by id; `None` if no filter is given. Values of one filter are
/// alternatives; different filters must all match.
pub(super) fn filtered(metrics: &MetricsType, params: &Params<'_>, choices: &Choices) -> Option<Vec<ChoiceId>> {
    let mut passed: Option<Vec<ChoiceId>> = None;
    for &filter in metrics.filters {
        let values = params.distinct(filter);
        if !values.is_empty() {
            // A choice has one value for each filter, so no choice is found twice.
            let found = values.iter().flat_map(|value| choices.found_by(metrics.id, filter, value));
            let mut found: Vec<_> = found.collect();
            found.sort_unstable();
            match &mut passed {
                Some(passed) => keep_common(passed, &found),
                None => passed = Some(found),
            }
        }
    }
    passed
}

/// Removes the ids that are not in the other list, which is ordered.
fn keep_common(ids: &mut Vec<ChoiceId>, others: &[ChoiceId]) {
    ids.retain(|id| others.binary_search(id).is_ok());
}
