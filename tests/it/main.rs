//! Integration tests: the real program on a real port, asked over HTTP, one module for each endpoint or promise.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod access;
mod behind_nginx;
mod check;
mod cli;
mod completions;
mod counting;
mod details;
mod docs;
mod events_in;
mod export;
mod extremes;
mod formats;
mod framing;
mod hostile;
mod http_rules;
mod kept_answers;
mod memory;
mod metrics_list;
mod observability;
mod openapi;
mod oracle;
mod packaging;
mod paging;
mod parameter_names;
mod params;
mod pictures;
mod pipelining;
mod plot_data;
mod plots;
mod promises;
mod random_streams;
mod readme;
mod rebuild;
mod retention;
mod rows;
mod settings;
mod starting;
mod store;
mod supervision;
mod support;
mod tidy;
mod times;
mod totals;
mod wire;
