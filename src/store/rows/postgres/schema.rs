//! The tables on the server, and the statements that read and write them.

use std::fmt::Write as _;

use super::super::Table;

/// The number of the advisory lock under which tables are made: two servers may start on an empty database at once.
const MAKING: i64 = 0x7363_616c_656d_6574;

/// The row of `numbers` that every transaction which writes locks first. It is no number of the store.
pub(super) const TURN: &str = "turn";

/// The reason why writing cannot fail.
const TAKEN: &str = "a text takes all that is written to it";

/// How long the server lets a transaction that holds the turn do nothing.
const MOST_IDLE: &str = "5s";

/// The name of a table on the server.
pub(super) fn name(table: Table) -> &'static str {
    match table {
        Table::Definitions => "scale_metrics_definitions",
        Table::Blocks => "scale_metrics_blocks",
        Table::Index => "scale_metrics_index",
        Table::Rollups => "scale_metrics_rollups",
        Table::Totals => "scale_metrics_totals",
    }
}

/// Takes the turn and gives it back, with a commit that is written.
pub(super) const TAKE_A_TURN: &str =
    "BEGIN; UPDATE scale_metrics_numbers SET value = value + 1 WHERE name = 'turn'; COMMIT";

/// The size of all tables with their indexes, in bytes.
pub(super) const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class \
     WHERE relname LIKE 'scale\\_metrics\\_%' AND relkind = 'r' AND pg_table_is_visible(oid)";

/// The settings of every connection.
pub(super) const SETTINGS: &str =
    "SET synchronous_commit = on; SET lock_timeout = '9s'; SET client_min_messages = warning";

/// Begins a transaction that writes, and waits for its turn.
pub(super) fn begin_writing() -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL idle_in_transaction_session_timeout = '{MOST_IDLE}'; \
         SELECT value FROM scale_metrics_numbers WHERE name = '{TURN}' FOR UPDATE"
    )
}

/// Begins a transaction that reads one state.
pub(super) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Whether there are tables.
pub(super) const EXISTS: &str = "SELECT to_regclass('scale_metrics_numbers') IS NOT NULL";

/// The statements that make the tables, with these numbers, unless another process does at the same time.
pub(super) fn creation(first_numbers: &[(&str, u64)]) -> String {
    let mut statements = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({MAKING}); \
         CREATE TABLE IF NOT EXISTS scale_metrics_numbers (name text PRIMARY KEY, value bigint NOT NULL);"
    );
    for name in Table::ALL.map(name) {
        write!(statements, "CREATE TABLE IF NOT EXISTS {name} (key bytea PRIMARY KEY, value bytea NOT NULL);")
            .expect(TAKEN);
    }
    for (name, number) in first_numbers.iter().chain(&[(TURN, 0)]) {
        let number = number.cast_signed();
        write!(statements, "INSERT INTO scale_metrics_numbers VALUES ('{name}', {number}) ON CONFLICT DO NOTHING;")
            .expect(TAKEN);
    }
    statements + "COMMIT"
}
