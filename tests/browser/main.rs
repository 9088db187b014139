//! The pages as people have them: a real browser, clicks and keys. Where no Chromium is installed, each test says so and
//! passes; in CI it fails.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod common;
mod docs_page;
mod explorer;
mod harness;
mod looks;
mod misleading;
#[path = "../it/support/nginx.rs"]
mod nginx;
mod overview;
mod prefix;
#[path = "../common/process.rs"]
#[allow(dead_code, reason = "a keeper ends the server")]
mod process;
mod server;
#[path = "../common/skip.rs"]
mod skip;
mod support;
mod views;
