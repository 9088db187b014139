//! A headless Chromium and its pages, driven over the Chrome `DevTools` Protocol.
//!
//! Not here: what the pages show, and the server that sends them.

mod browser;
mod keys;
mod page;

pub(crate) use browser::{Browser, browser};
pub(crate) use page::{Accessible, Page};
