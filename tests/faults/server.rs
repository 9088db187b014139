//! A client of the program as a process, which keeps its connections, and to which a broken one is no surprise.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

pub(crate) use crate::process::{GIVE_UP, SERVE, program, wait_until};

/// The program as a process.
pub(crate) type Server = crate::process::Serving<Client>;

/// Runs a command to its end.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    program(directory, arguments).output().unwrap()
}

/// Who asks a server, again and again over the same connections.
#[derive(Clone)]
pub(crate) struct Client {
    origin: String,
    agent: ureq::Agent,
}

impl From<SocketAddr> for Client {
    fn from(address: SocketAddr) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        Self { origin: format!("http://{address}"), agent: config.timeout_global(Some(GIVE_UP)).build().new_agent() }
    }
}

impl Client {
    /// Host and port, for whoever speaks by raw socket.
    pub(crate) fn address(&self) -> &str {
        self.origin.strip_prefix("http://").unwrap()
    }

    /// Posts objects; the status and the answer, or `None` if the connection broke.
    pub(crate) fn post(&self, objects: &[Value]) -> Option<(u16, Value)> {
        self.send("/v6/events/", objects)
    }

    /// Deletes events; the status and the answer, or `None` if the connection broke.
    pub(crate) fn delete(&self, keys: &[(String, u64)]) -> Option<(u16, Value)> {
        let keys: Vec<_> = keys.iter().map(|(kind, id)| json!({"kind": kind, "id": id})).collect();
        self.send("/v6/events/delete/", &keys)
    }

    fn send(&self, path: &str, objects: &[Value]) -> Option<(u16, Value)> {
        let body = serde_json::to_vec(objects).unwrap();
        let request = self.agent.post(format!("{}{path}", self.origin)).content_type("application/json");
        let mut answer = request.send(body).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap()))
    }

    /// Asks for a path, with the tag of what is there already; status, tag and text, or `None` if the connection broke.
    pub(crate) fn ask(&self, path: &str, tag: Option<&str>) -> Option<(u16, String, String)> {
        let mut request = self.agent.get(format!("{}{path}", self.origin));
        if let Some(tag) = tag {
            request = request.header("If-None-Match", tag);
        }
        let mut answer = request.call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        let tag = answer.headers().get("ETag").map_or("", |tag| tag.to_str().unwrap()).to_owned();
        Some((answer.status().as_u16(), tag, text))
    }

    /// What stands at a path that can be read; `None` if the connection broke.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        let mut answer = self.agent.get(format!("{}{path}", self.origin)).call().ok()?;
        let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap()))
    }
}
