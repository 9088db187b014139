//! Tables for people: columns side by side, without lines.

use std::borrow::Cow;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table as Columns};

/// Rows of texts, with a header.
pub(super) struct Table {
    columns: Columns,
}

/// A cell shows so many characters of its text.
pub(super) const MOST_CHARS: usize = 60;

/// What stands in a cell, and on which side of it.
pub(super) enum Cell {
    Text(String),
    Number(String),
}

impl Table {
    /// A table with these column headers. What a header's column has decides on which side it is.
    pub(super) fn new(header: impl IntoIterator<Item = Cell>) -> Self {
        let mut columns = Columns::new();
        columns.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let header: Vec<_> = header.into_iter().collect();
        columns.set_header(header.iter().map(Cell::shown));
        for (column, cell) in columns.column_iter_mut().zip(&header) {
            column.set_padding((0, 2));
            if matches!(cell, Cell::Number(_)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { columns }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn add(&mut self, row: impl IntoIterator<Item = String>) {
        self.columns.add_row(row.into_iter().map(|text| printable(&text)));
    }

    /// The lines of the table, without white space at their ends.
    pub(super) fn into_text(self) -> String {
        self.columns.trim_fmt()
    }
}

impl Cell {
    /// A column of texts.
    pub(super) fn text(name: &str) -> Self {
        Self::Text(name.to_owned())
    }

    /// A column of numbers.
    pub(super) fn number(name: &str) -> Self {
        Self::Number(name.to_owned())
    }

    fn shown(&self) -> String {
        let (Self::Text(text) | Self::Number(text)) = self;
        printable(text)
    }
}

/// The beginning of a text, with escapes in place of characters that would move the cursor, change colours or turn the direction of writing:
/// titles and names are whatever somebody has posted.
fn printable(text: &str) -> String {
    let drives = |c: char| {
        let is_hidden = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}');
        c.is_control() || is_hidden || matches!(c, '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in shortened(text, MOST_CHARS).chars() {
        if drives(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// The beginning of a text, with so many characters at most.
pub(super) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.chars().nth(most).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(most - 1).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_side_by_side_and_numbers_to_the_right() {
        let mut table = Table::new([Cell::text("name"), Cell::number("count")]);
        table.add(["a".to_owned(), "1".to_owned()]);
        table.add(["名前 longer".to_owned(), "1234567".to_owned()]);
        assert_eq!(table.into_text(), "name           count\na                  1\n名前 longer  1234567");
    }

    #[test]
    fn what_was_posted_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}c é"), "a\\u{1b}[2J\\nb\\u{202e}c é");
        assert_eq!(printable(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(printable(&"é".repeat(61)), "é".repeat(59) + "…");
    }
}
