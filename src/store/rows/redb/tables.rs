//! The tables of the file, as `redb` defines them.
//!
//! The names of tables and key types are part of every file since format 1. `redb` compares them when it opens a table.

use std::cmp::Ordering;
use std::path::Path;

use redb::{Database, Key, ReadableTable, TableDefinition, TableHandle, TypeName, Value, WriteTransaction};

use crate::store::rows::{Cause, RowsError, Table};

/// The type of the keys of a table, which is given by its number.
#[derive(Debug)]
pub(super) struct RowKey<const TABLE: usize>;

/// The names of these types, which begin with the name of the program, and the lengths of the keys in bytes.
const KEY_TYPES: [(&str, usize); Table::ALL.len()] = [
    ("scale-metrics DefinitionKey", 9),
    ("scale-metrics BlockKey", 21),
    ("scale-metrics PageKey", 9),
    ("scale-metrics DayKey", 13),
    ("scale-metrics TotalKey", 5),
];

impl<const TABLE: usize> Value for RowKey<TABLE> {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        Some(KEY_TYPES[TABLE].1)
    }

    fn from_bytes<'a>(bytes: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        bytes
    }

    fn as_bytes<'a, 'b: 'a>(key: &'a &'b [u8]) -> &'a [u8]
    where
        Self: 'b,
    {
        key
    }

    fn type_name() -> TypeName {
        TypeName::new(KEY_TYPES[TABLE].0)
    }
}

impl<const TABLE: usize> Key for RowKey<TABLE> {
    fn compare(one: &[u8], other: &[u8]) -> Ordering {
        one.cmp(other)
    }
}

type Rows<const TABLE: usize> = TableDefinition<'static, RowKey<TABLE>, &'static [u8]>;

pub(super) const DEFINITIONS: Rows<{ Table::Definitions as usize }> = TableDefinition::new("choices");
pub(super) const BLOCKS: Rows<{ Table::Blocks as usize }> = TableDefinition::new("blocks");
pub(super) const INDEX: Rows<{ Table::Index as usize }> = TableDefinition::new("index");
pub(super) const ROLLUPS: Rows<{ Table::Rollups as usize }> = TableDefinition::new("rollups");
pub(super) const TOTALS: Rows<{ Table::Totals as usize }> = TableDefinition::new("totals");

/// The table of named numbers.
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Opens a table in a transaction and evaluates an expression with it. The tables have different Rust types, because their key
/// types differ.
macro_rules! with_table {
    ($transaction:expr, $name:expr, $found:ident => $body:expr) => {{
        use $crate::store::rows::Table;
        use $crate::store::rows::redb::tables;
        match $name {
            Table::Definitions => {
                let $found = &mut $transaction.open_table(tables::DEFINITIONS)?;
                $body
            }
            Table::Blocks => {
                let $found = &mut $transaction.open_table(tables::BLOCKS)?;
                $body
            }
            Table::Index => {
                let $found = &mut $transaction.open_table(tables::INDEX)?;
                $body
            }
            Table::Rollups => {
                let $found = &mut $transaction.open_table(tables::ROLLUPS)?;
                $body
            }
            Table::Totals => {
                let $found = &mut $transaction.open_table(tables::TOTALS)?;
                $body
            }
        }
    }};
}
pub(super) use with_table;

/// Creates the tables of a new database and sets its first numbers. Refuses a database that another program made.
pub(super) fn prepare(database: &Database, path: &Path, first_numbers: &[(&str, u64)]) -> Result<(), RowsError> {
    let transaction = database.begin_write()?;
    let tables: Vec<_> = transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    if tables.is_empty() {
        let mut numbers = transaction.open_table(NUMBERS)?;
        for (name, number) in first_numbers {
            numbers.insert(*name, number)?;
        }
        drop(numbers);
        for table in Table::ALL {
            with_table!(transaction, table, _rows => ());
        }
        return Ok(transaction.commit()?);
    }
    let is_ours = {
        let numbers = transaction.open_table(NUMBERS)?;
        first_numbers
            .iter()
            .try_fold(true, |all, (name, _)| Ok::<_, RowsError>(all && numbers.get(*name)?.is_some()))?
    };
    transaction.abort()?;
    if is_ours {
        Ok(())
    } else {
        Err(RowsError::Unusable(Cause::new(format!("the database `{}` is another program's", path.display()))))
    }
}

/// Rewrites a number with its own value, so that the commit writes something.
pub(super) fn touch(transaction: &WriteTransaction) -> Result<(), RowsError> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    let first = numbers.first()?.map(|(name, number)| (name.value().to_owned(), number.value()));
    if let Some((name, number)) = first {
        numbers.insert(&*name, number)?;
    }
    Ok(())
}
