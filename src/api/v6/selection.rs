//! Parameters that several endpoints share: columns, choices and the format.

use crate::api::ApiError;
use crate::api::error::SHOWN_BYTES;
use crate::api::params::Params;
use crate::catalog::{Column, MetricsType};
use crate::config::Dialect;
use crate::events::Choices;
use crate::plot::Selection;
use crate::vocabulary::ChoiceId;

/// The values of `format`, and whether each is CSV; the first one is the default.
pub(in crate::api) const FORMATS: &[(&str, bool)] = &[("json", false), ("csv", true)];

/// Returns the requested columns, then those of each requested group, without duplicates; all columns if nothing is requested.
pub(super) fn columns(metrics: &'static MetricsType, params: &Params<'_>) -> Result<Vec<&'static Column>, ApiError> {
    let mut selected: Vec<&'static Column> = Vec::new();
    let mut select = |column: &'static Column| {
        if !selected.contains(&column) {
            selected.push(column);
        }
    };
    let mut asked = false;
    for name in params.distinct("column") {
        asked = true;
        let column = metrics.columns.iter().find(|column| column.name == name);
        select(column.ok_or_else(|| {
            let names: Vec<_> = metrics.columns.iter().map(|column| column.name.as_str()).collect();
            ApiError::parameter("column", name, format!("{} has: {}", metrics.name, names.join(", ")))
        })?);
    }
    for name in params.distinct("group") {
        asked = true;
        if !metrics.groups.iter().any(|group| group.name == name) {
            let names: Vec<_> = metrics.groups.iter().map(|group| group.name).collect();
            return Err(ApiError::parameter("group", name, format!("{} has: {}", metrics.name, names.join(", "))));
        }
        metrics.columns.iter().filter(|column| column.group == name).for_each(&mut select);
    }
    Ok(if asked { selected } else { metrics.columns.iter().collect() })
}

/// Returns the choices that `choice_id` and the filters of the type select together.
pub(super) fn selection(
    metrics: &'static MetricsType,
    params: &Params<'_>,
    choices: &Choices,
    dialect: Dialect,
) -> Result<Selection, ApiError> {
    let asked = choice_ids(metrics, params, choices, dialect)?;
    let found = filtered(metrics, params, choices);
    Ok(match (asked, found) {
        (None, None) => Selection::All,
        (Some(ids), None) | (None, Some(ids)) => Selection::Choices(ids),
        (Some(asked), Some(found)) => Selection::Choices(intersection(&asked, &found)),
    })
}

/// Returns the choices that `choice_id` names, ordered by id; `None` if it is not given. An unknown choice is an error, except in
/// the dialect of Scale's own server, which has no values for it.
fn choice_ids(
    metrics: &MetricsType,
    params: &Params<'_>,
    choices: &Choices,
    dialect: Dialect,
) -> Result<Option<Vec<ChoiceId>>, ApiError> {
    let given = params.distinct("choice_id");
    if given.is_empty() {
        return Ok(None);
    }
    let mut ids = Vec::with_capacity(given.len());
    let mut unknown = Vec::new();
    for text in given {
        let is_integer = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_integer && text.parse::<i64>().is_err() {
            let allowed = format!("it must be an integer, the id of one of the choices of {}", metrics.name);
            return Err(ApiError::parameter("choice_id", text, allowed));
        }
        let id = text.parse().ok().and_then(ChoiceId::new);
        match id.filter(|&id| choices.selectable(metrics.id, id).is_some()) {
            Some(id) => ids.push(id),
            None => unknown.push(text),
        }
    }
    if !unknown.is_empty() && dialect == Dialect::Documented {
        let allowed = format!("each must be the id of one of the choices of {}", metrics.name);
        return Err(ApiError::parameter("choice_id", &listed(&unknown), allowed));
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
            passed = Some(match passed {
                Some(passed) => intersection(&passed, &found),
                None => found,
            });
        }
    }
    passed
}

/// Returns the ids that are in both of two ordered lists.
pub(super) fn intersection(one: &[ChoiceId], other: &[ChoiceId]) -> Vec<ChoiceId> {
    let mut other = other.iter().peekable();
    let stands_there = |id: &&ChoiceId| {
        while other.next_if(|next| next < id).is_some() {}
        other.peek() == Some(id)
    };
    one.iter().filter(stands_there).copied().collect()
}
