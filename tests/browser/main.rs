//! The pages as people have them: a real browser, clicks and keys. Where no Chromium is installed, each test says so and
//! passes; in CI it fails.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod dashboard;
mod docs_page;
mod harness;
mod server;
mod support;
