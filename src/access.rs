//! Access control: tokens with scopes (docs/reference.md, Access).
//!
//! A token is random and long, so its SHA-256 is enough to check it. The configuration holds the hash only, so it cannot leak the
//! token.
//!
//! Not here: how a request carries a token (`api`), which request needs which scope (the handlers).

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::vocabulary::string_enum;

string_enum! {
    /// What a token may be good for. None implies another.
    #[derive(clap::ValueEnum)]
    pub Scope {
        /// Seeing metrics.
        Read = "read",
        /// Posting events.
        Write = "write",
        /// Looking after the server.
        Admin = "admin",
    }
}

/// A token as the server knows it, without its secret. Written `NAME:SCOPE[+SCOPE…]:HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The name of the token, for people.
    name: String,
    /// The scopes; at least one.
    scopes: Vec<Scope>,
    hash: [u8; 32],
}

/// The number of hexadecimal digits of a secret that this program makes.
pub const SECRET_DIGITS: usize = 64;

/// Replaces a secret in output that must not show it.
pub const MASK: &str = "***";

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// The text has another form.
    #[error(
        "a token is written NAME:SCOPE[+SCOPE]:HASH, with scopes of read, write and admin and 64 hexadecimal digits \
         (hint: `scale-metrics token` makes one)"
    )]
    Malformed,
    /// The text is the masked form of a token.
    #[error("a token has {MASK} in the place of its hash (hint: put in the hash that --print-config does not show)")]
    Masked,
}

impl Token {
    /// Makes a new token of that name; `None` if the name is empty or has a colon, a comma or white space in it, or there is no
    /// scope. Returns the secret, which cannot be recovered later, and the token.
    pub fn make(name: &str, scopes: &[Scope]) -> Option<(String, Self)> {
        let mut random = [0; SECRET_DIGITS / 2];
        getrandom::fill(&mut random).expect("the system has random numbers");
        let secret = hexadecimal(&random);
        let token = Self { name: name.to_owned(), scopes: scopes.to_vec(), hash: hash(secret.as_bytes()) };
        token.is_valid().then_some((secret, token))
    }

    /// The written form, with the hash masked.
    pub fn masked(&self) -> String {
        self.write(MASK)
    }

    fn write(&self, hash: &str) -> String {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.name()).collect();
        format!("{}:{}:{hash}", self.name, scopes.join("+"))
    }

    fn is_valid(&self) -> bool {
        let separates = |letter: char| letter == ':' || letter == ',' || letter.is_whitespace();
        !self.name.is_empty() && !self.name.contains(separates) && !self.scopes.is_empty()
    }
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let mut parts = text.trim().split(':');
        let (Some(name), Some(scopes), Some(digits), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoToken::Malformed);
        };
        let scopes = scopes.split('+').map(Scope::from_name).collect::<Option<_>>().ok_or(NoToken::Malformed)?;
        if digits == MASK {
            return Err(NoToken::Masked);
        }
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NoToken::Malformed);
        }
        for (place, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).map_err(|_| NoToken::Malformed)?;
        }
        Some(Self { name: name.to_owned(), scopes, hash }).filter(Self::is_valid).ok_or(NoToken::Malformed)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(&hexadecimal(&self.hash)))
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request carries no token, or an unknown one.
    #[error("a valid token is required: Authorization: Bearer …")]
    NoToken,
    /// The request carries a token without the scope.
    #[error("the token does not have the scope {}", .0.name())]
    NoScope(Scope),
}

/// The access rules of this server.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The known tokens. If there are none, every client may do everything.
    tokens: Vec<Token>,
    public_read: bool,
}

impl Access {
    /// Rules that admit these tokens; if `public_read`, every client may read.
    pub fn new(tokens: Vec<Token>, public_read: bool) -> Self {
        Self { tokens, public_read }
    }

    /// Checks whether a client with that secret, or without one, has the scope.
    pub fn check(&self, secret: Option<&[u8]>, scope: Scope) -> Result<(), Denied> {
        if self.tokens.is_empty() || scope == Scope::Read && self.public_read {
            return Ok(());
        }
        let (is_known, has_scope) = self.find(secret.ok_or(Denied::NoToken)?, scope);
        if has_scope { Ok(()) } else { Err(if is_known { Denied::NoScope(scope) } else { Denied::NoToken }) }
    }

    /// Whether the secret belongs to a known token. The time does not depend on the content, only on the length.
    pub fn knows(&self, secret: &[u8]) -> bool {
        !self.tokens.is_empty() && self.find(secret, Scope::Read).0
    }

    /// Whether a token with that secret exists, and whether it has the scope. A token that is listed several times has the scopes
    /// of all its entries. Every entry is compared to its end, so that the time does not say which
    /// one matches.
    fn find(&self, secret: &[u8], scope: Scope) -> (bool, bool) {
        let hash = hash(secret);
        self.tokens.iter().fold((false, false), |(is_known, has_scope), token| {
            let is_it = bool::from(token.hash.ct_eq(&hash));
            (is_known | is_it, has_scope | (is_it & token.scopes.contains(&scope)))
        })
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes all that is written to it");
        text
    })
}
