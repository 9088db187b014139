//! `token`: creates a token.

use super::output::print;
use crate::access::{Scope, Token};

/// The name of a new token is invalid.
#[derive(Debug, thiserror::Error)]
#[error("the name of a token is not empty and has no colon, comma or white space")]
pub(super) struct BadName;

/// Prints a new token, and the line for it in the configuration.
pub(super) fn run(name: &str, scopes: &[Scope]) -> anyhow::Result<()> {
    let (secret, token) = Token::make(name, scopes).ok_or(BadName)?;
    print(&format!("token: {secret}\ntokens = [\"{token}\"]"))
}
