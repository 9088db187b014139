//! What the parameters ask for, as a [`Query`] that means the same however it was spelled.

use crate::api::ApiError;
use crate::api::error::SHOWN_BYTES;
use crate::api::params::Params;
use crate::api::v6::details::{filtered, intersection};
use crate::catalog::{Column, MetricsType};
use crate::config::Dialect;
use crate::events::{ChoiceId, Choices};
use crate::plot::{Query, Resolution, Selection};
use crate::time::Timestamp;

/// What `resolution` may be; the first one is the default of the documented dialect.
pub(in crate::api) const RESOLUTIONS: &[(&str, Resolution)] = &[("day", Resolution::Day), ("hour", Resolution::Hour)];

pub(in crate::api) fn parse(
    metrics: &'static MetricsType,
    params: &Params<'_>,
    choices: &Choices,
    dialect: Dialect,
    now: Timestamp,
) -> Result<Query, ApiError> {
    let resolution = params.word("resolution", RESOLUTIONS)?;
    let resolution = resolution.unwrap_or(match dialect {
        Dialect::Documented => Resolution::Day,
        Dialect::Scale => Resolution::Hour,
    });
    let columns = columns(metrics, params)?;
    let selection = selection(metrics, params, choices, dialect)?;
    let range = params.time_range(now)?;
    let range = match resolution {
        Resolution::Day => range.of_days(),
        Resolution::Hour => range.of_hours(),
    };
    Ok(Query { metrics: metrics.id, columns, selection, resolution, range })
}

/// The columns asked for, then those of each group asked for, none twice; all if nothing was asked for.
pub(in crate::api::v6) fn columns(
    metrics: &'static MetricsType,
    params: &Params<'_>,
) -> Result<Vec<&'static Column>, ApiError> {
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

/// The choices that `choice_id` and the type's own filters select together.
pub(in crate::api::v6) fn selection(
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

/// The choices that `choice_id` names, if it was given, ordered by id. What is no choice is an error; Scale's own server just
/// has no values for it.
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
    // One id may be written in several ways.
    ids.sort_unstable();
    ids.dedup();
    Ok(Some(ids))
}

/// Some texts side by side, as many as a refusal shows.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::known_at;
    use crate::catalog::MetricsTypeId;
    use crate::events::request::Draft;
    use crate::events::{Object, wire};

    /// What a query string means at noon of 2015-01-31; choices 1 and 2 are called `a`, 3 is called `b`.
    fn meaning(query: &str) -> Query {
        let mut choices = Choices::default();
        let nothing = Choices::default();
        let mut draft = Draft::new(&nothing);
        for (id, name) in [(1, "a"), (2, "a"), (3, "b")] {
            let line = format!(r#"{{"kind": "job_type", "id": {id}, "name": "{name}", "version": "1"}}"#);
            wire::read_ndjson(line.as_bytes(), |object| draft.take(object)).expect("it is JSON");
        }
        for object in draft.finish().expect("it is valid") {
            if let Object::Choice(choice) = object {
                choices.define(*choice);
            }
        }
        let now = "2015-01-31T12:00:00Z".parse().expect("it is a time");
        let metrics = MetricsTypeId::JobTypes.describe();
        let params =
            Params::parse(query, known_at("/v6/metrics/job-types/plot-data/")).expect("no name is nearly right");
        parse(metrics, &params, &choices, Dialect::Documented, now).expect("it is a good query")
    }

    #[test]
    fn what_means_the_same_is_the_same_query() {
        let same: [&[&str]; 7] = [
            &["", "&", "resolution=day", "started=null&column=&foo=bar", "ended=2015-01-31", "started=1970-01-01"],
            &["ended=2015-01-31T12:59:59Z", "ended=2015-01-31T00:00:01%2B00:00", "ended=PT1H", "ended=PT0S"],
            &["started=2015-01-01", "started=2015-01-01T23:59:59", "started=P30D", "started=PT720H"],
            &[
                "name=a",
                "choice_id=1&choice_id=2",
                "choice_id=2&choice_id=1&choice_id=2",
                "choice_id[]=2&choice_id%5B%5D=1",
                "name=a&choice_id=02&choice_id=1",
            ],
            &["name=a&name=b", "choice_id=3&choice_id=2&choice_id=1", "version=1"],
            &[
                "group=overview",
                "group=overview&column=completed_count",
                "column=completed_count&column=failed_count&column=canceled_count&column=total_count",
                "column=completed_count&column=failed_count&group=overview&column=failed_count",
            ],
            &[
                "resolution=hour&ended=2015-01-31T12:30:00",
                "resolution=hour",
                "resolution=hour&ended=2015-01-31T12:00:00Z",
            ] as &[&str],
        ];
        for same in same {
            for query in same {
                assert_eq!(meaning(query), meaning(same[0]), "{query} and {}", same[0]);
            }
        }
    }

    #[test]
    fn what_means_something_else_is_another_query() {
        let different = [
            "",
            "resolution=hour",
            "resolution=hour&ended=PT1S",
            "ended=2015-01-30T23:59:59Z",
            "started=2015-01-01",
            "started=2015-01-02",
            "choice_id=1",
            "choice_id=3",
            "name=b&choice_id=1",
            "column=completed_count&column=failed_count",
            "column=failed_count&column=completed_count",
            "group=errors",
        ];
        for (place, one) in different.iter().enumerate() {
            for other in &different[place + 1..] {
                assert_ne!(meaning(one), meaning(other), "{one} and {other}");
            }
        }
    }
}
