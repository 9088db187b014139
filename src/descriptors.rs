//! The limit of files and connections that the process may have open at once.
//!
//! Each connection takes a file descriptor. If the limit is too low, connections are refused under load only. So the server
//! checks the limit when it starts: it raises the soft limit as far as the system allows, and warns if that is not enough.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The file descriptors that the process needs beside its connections: for the database, the listener, the log, exports, and the
/// event queues of its threads.
const SPARE: u64 = 100;

/// Raises the limit to allow that many connections; warns if the system does not permit it.
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
