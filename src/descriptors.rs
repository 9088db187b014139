//! How many files and connections the process may have open at once.
//!
//! Each connection takes a file descriptor. Where the limit is too low, connections are refused under load only, so that is looked
//! at when the server starts: the soft limit is raised as far as the system allows, and what is missing is told.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process needs beside its connections: the database, the listener, the log, exports, what its threads wait with.
const SPARE: u64 = 100;

/// Raises the limit so that there may be that many connections; warns if the system does not allow it.
pub(crate) fn make_room(connections: usize) {
    let needed = (connections as u64).saturating_add(SPARE);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if is_enough(current) {
        return;
    }
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    let limit = if raised.is_ok() { Some(wanted) } else { current };
    if !is_enough(limit) {
        tracing::warn!(
            "at most {} files may be open at once, but {connections} connections need {needed}: raise the limit (`ulimit -n`, \
             `LimitNOFILE`) or lower `server.max_connections`",
            limit.unwrap_or(u64::MAX)
        );
    }
}
