//! The tables on the server, and the statements that read and write them.

use std::fmt::Write as _;

use super::super::Table;

/// The number of the advisory lock under which tables are made: two servers may start on an empty database at once.
const MAKING: i64 = 0x7363_616c_656d_6574;

/// The row of `numbers` that every transaction which writes locks first. It is no number of the store. It never changes: processes
/// that wait for a row while it gets new versions may come to wait for each other.
const TURN: &str = "turn";

/// The name of the number of commits of all processes. It is no number of the store.
pub(super) const COMMITS: &str = "commits";

/// The reason why writing cannot fail.
const TAKEN: &str = "a text takes all that is written to it";

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

/// The size of all tables with their indexes, in bytes.
pub(super) const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class \
     WHERE relname LIKE 'scale\\_metrics\\_%' AND relkind = 'r' AND pg_table_is_visible(oid)";

/// The settings of every connection. The server ends one whose host vanished without a word, also in the middle of an answer, and
/// one that leaves a transaction open and does nothing.
pub(super) const SETTINGS: &str = "SET synchronous_commit = on; SET client_min_messages = warning; \
     SET idle_in_transaction_session_timeout = '60s'; SET tcp_user_timeout = '10s'; \
     SET tcp_keepalives_idle = '5s'; SET tcp_keepalives_interval = '2s'; SET tcp_keepalives_count = 2";

/// How long a transaction waits for its turn before it looks whether somebody holds it up, again and again. Together that is less
/// than [`PATIENCE`](super::PATIENCE).
pub(super) const TURN_WAITS: [&str; 3] = ["3s"; 3];

/// Begins a transaction that writes, and waits for its turn. (`lock_timeout` would limit each of several waits.)
pub(super) fn begin_writing(wait: &str) -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = '{wait}'; \
         SELECT value FROM scale_metrics_numbers WHERE name = '{TURN}' FOR UPDATE; SET LOCAL statement_timeout TO DEFAULT"
    )
}

/// Ends the connections of processes that have the turn and do not go on: the server has waited for them for five seconds.
pub(super) const END_FROZEN_TURNS: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) \
     WHERE relation = 'scale_metrics_numbers'::regclass AND mode = 'RowShareLock' AND granted \
     AND pid <> pg_backend_pid() AND wait_event_type = 'Client' AND state_change < clock_timestamp() - interval '5 s'";

/// Begins a transaction that reads one state.
pub(super) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What is another text after the server was started, after a replica took over, and after the tables were made anew.
pub(super) const IDENTITY: &str =
    "SELECT concat(pg_postmaster_start_time(), ' ', to_regclass('scale_metrics_numbers')::oid)";

/// The name of the number that says that Citus distributes the tables of [`is_distributed`]. It is no number of the store.
pub(super) const DISTRIBUTED: &str = "distributed";

/// Whether Citus, where it is installed, distributes a table over its workers. It has no snapshot across machines, so what readers
/// read stays on the coordinator.
pub(super) fn is_distributed(table: Table) -> bool {
    matches!(table, Table::Blocks | Table::Index)
}

/// Whether the server can only be read, and the names of those of our tables that this user may not write, or that are missing.
pub(super) fn limits() -> String {
    let names = Table::ALL.map(name).into_iter().chain(["scale_metrics_numbers"]);
    let names = names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let may = ["SELECT", "INSERT", "UPDATE", "DELETE"]
        .map(|privilege| format!("has_table_privilege(to_regclass(name)::oid, '{privilege}')"));
    format!(
        "SELECT current_setting('transaction_read_only')::bool OR pg_is_in_recovery(), \
         coalesce(string_agg(name, ', ') FILTER (WHERE ({}) IS NOT TRUE), '') FROM unnest(ARRAY[{names}]) AS name",
        may.join(" AND ")
    )
}

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
    for (name, number) in first_numbers.iter().chain(&[(TURN, 0), (COMMITS, 0)]) {
        let number = number.cast_signed();
        write!(statements, "INSERT INTO scale_metrics_numbers VALUES ('{name}', {number}) ON CONFLICT DO NOTHING;")
            .expect(TAKEN);
    }
    let distributed = Table::ALL.into_iter().filter(|table| is_distributed(*table)).map(name);
    let distribute = distributed.map(|name| format!("PERFORM create_distributed_table('{name}', 'key');"));
    write!(
        statements,
        "DO $$ BEGIN IF to_regproc('create_distributed_table') IS NOT NULL \
         AND NOT EXISTS (SELECT FROM scale_metrics_numbers WHERE name = '{DISTRIBUTED}') THEN {} \
         INSERT INTO scale_metrics_numbers VALUES ('{DISTRIBUTED}', 1); END IF; END $$;",
        distribute.collect::<String>()
    )
    .expect(TAKEN);
    statements + "COMMIT"
}
