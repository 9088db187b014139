//! The series of a picture, one for each column and choice, and their names.

use super::text::{clean, shorten};
use crate::catalog::{Column, Units};
use crate::events::{Choice, Choices};
use crate::plot::Query;
use crate::rollup::RollupScope;

/// The maximum number of letters of a name in the legend.
const NAME_LETTERS: usize = 40;
/// How many letters of a choice's name are shown before its id, so that the legend has room for both.
const SAME_LETTERS: usize = 12;
/// The maximum number of letters that are used of a title or version. A posted one may be as long as a body.
const TITLE_LETTERS: usize = 200;

/// One column of one scope.
pub(super) struct Series {
    /// Its number among all series, hidden or not. The number determines the colour.
    pub(super) number: usize,
    /// Its name in a query.
    pub(super) key: String,
    /// Its name for people.
    pub(super) title: String,
    /// The beginning of the title that the legend has room for.
    pub(super) name: String,
    pub(super) units: Units,
}

/// The scopes of the values that a query asks for. A query whose filters match no choice has series, too; these are empty.
pub(super) fn scopes(query: &Query) -> Vec<RollupScope> {
    let scopes = query.selection.scopes();
    if scopes.is_empty() { vec![RollupScope::All] } else { scopes }
}

/// The columns and scopes of all series, in their order.
fn pairs<'a>(query: &'a Query, scopes: &'a [RollupScope]) -> impl Iterator<Item = (&'static Column, RollupScope)> + 'a {
    query.columns.iter().flat_map(move |&column| scopes.iter().map(move |&scope| (column, scope)))
}

/// The names of the series in a query: the name of the column, and the id of the choice if values have ids.
pub fn keys(query: &Query, with_ids: bool) -> Vec<String> {
    let key = |(column, scope): (&Column, RollupScope)| match scope {
        RollupScope::Choice(id) if with_ids => format!("{}:{}", column.name, id.get()),
        RollupScope::Choice(_) | RollupScope::All => column.name.clone(),
    };
    pairs(query, &scopes(query)).map(key).collect()
}

/// All series of a query, with their names for people.
pub(super) fn all(query: &Query, choices: &Choices, with_ids: bool) -> Vec<Series> {
    let names: Vec<_> = scopes(query).iter().map(|&scope| choice(query, choices, scope)).collect();
    let title = |column: &Column, scope| match (choice(query, choices, scope), scope) {
        // Several choices may have the same title. Then each of their series shows the id.
        (Some(choice), RollupScope::Choice(id))
            if with_ids && names.iter().flatten().filter(|name| **name == choice).count() > 1 =>
        {
            format!("{} · {} (id {})", column.title, shorten(&choice, SAME_LETTERS), id.get())
        }
        (Some(choice), _) if with_ids => format!("{} · {choice}", column.title),
        _ => column.title.clone(),
    };
    pairs(query, &scopes(query))
        .zip(keys(query, with_ids))
        .enumerate()
        .map(|(number, ((column, scope), key))| {
            let title = title(column, scope);
            Series { number, key, name: shorten(&title, NAME_LETTERS), title, units: column.units }
        })
        .collect()
}

/// The title of a picture: the metrics type, and the choice if there is only one and the series do not name it.
pub(super) fn title(query: &Query, choices: &Choices, with_ids: bool) -> String {
    let title = query.metrics.describe().title;
    match query.selection.scopes().as_slice() {
        &[scope] if !with_ids => match choice(query, choices, scope) {
            Some(choice) => format!("{title} · {}", shorten(&choice, NAME_LETTERS)),
            None => title.to_owned(),
        },
        _ => title.to_owned(),
    }
}

/// Describes for people which choices the values belong to.
pub(super) fn whose(query: &Query, choices: &Choices) -> String {
    /// The maximum number of choices that are named.
    const NAMED: usize = 3;
    let scopes = query.selection.scopes();
    let names = scopes.iter().filter_map(|&scope| choice(query, choices, scope)).take(NAMED);
    let names: Vec<_> = names.map(|name| shorten(&name, NAME_LETTERS)).collect();
    match scopes.as_slice() {
        [RollupScope::All] => "all choices together".to_owned(),
        [] => "no choice".to_owned(),
        all if all.len() > names.len() => format!("{} and {} more", names.join(", "), all.len() - names.len()),
        _ => names.join(", "),
    }
}

/// The name of a choice for people: its title, and its version if it has one.
fn choice(query: &Query, choices: &Choices, scope: RollupScope) -> Option<String> {
    let RollupScope::Choice(id) = scope else { return None };
    let begin = |text: &str| shorten(text, TITLE_LETTERS);
    let name = match choices.selectable(query.metrics, id)? {
        Choice::JobType(it) => format!("{} {}", begin(&it.title), begin(&it.version)),
        Choice::Strike(it) => begin(&it.title),
        Choice::Error(it) => begin(&it.title),
    };
    Some(clean(&name).trim().to_owned())
}
