//! `token`: creates a token.

use super::CannotStart;
use super::output::print;
use crate::access::{Scope, Token};

/// Prints a new token, and the line for it in the configuration.
pub(super) fn run(name: &str, scopes: &[Scope]) -> anyhow::Result<()> {
    let Some((secret, token)) = Token::make(name, scopes) else {
        return Err(CannotStart::new("the name of a token is not empty and has no colon, comma or white space").into());
    };
    print(&format!("token: {secret}\ntokens = [\"{token}\"]"))
}
