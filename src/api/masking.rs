//! Masking: replaces tokens, and texts that may be tokens, in the client data that is logged.
//!
//! Tokens belong in one header, which is not logged. People and programs put them elsewhere all the same: in a path, a parameter
//! or a request id. The server knows only the hashes of the configured tokens, so the parts of a text are compared with these
//! hashes. A text with at least as many hexadecimal digits as [`Token::make`](crate::access::Token::make) gives a token is always
//! masked: it may be a token of another server, or a former token of this one.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::ROUTES;
use crate::access::{Access, MASK, SECRET_DIGITS};

/// How many bytes of a path are shown.
pub(super) const SHOWN_BYTES: usize = 1_000;
/// How many slashes of a path are tried as the bounds of a token with slashes.
const MOST_PARTS: usize = 16;
/// How often a text is unescaped: proxies and careless clients escape text that is escaped already.
const UNESCAPES: usize = 3;

/// Returns the beginning of a path and its query, with a mask in place of each part that may be secret.
pub(super) fn path(whole: &str, access: &Access) -> String {
    let (path, query) = whole.split_once('?').map_or((whole, None), |(path, query)| (path, Some(query)));
    // The paths of the routes contain no secret.
    let mut shown = if ROUTES.contains_key(path) { path.to_owned() } else { masked_path(path, access) };
    for (place, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        if shown.len() > SHOWN_BYTES {
            break;
        }
        shown.push(if place == 0 { '?' } else { '&' });
        // A token may end with equals signs.
        let parts = if access.knows(pair.as_bytes()) { None } else { pair.split_once('=') };
        let parts = pair.rsplit_once('=').filter(|(name, _)| access.knows(name.as_bytes())).or(parts);
        match parts {
            Some((name, value)) => {
                shown.push_str(&masked(name, access));
                shown.push('=');
                shown.push_str(&if is_secret(name) { Cow::Borrowed(MASK) } else { masked(value, access) });
            }
            None => shown.push_str(&masked(pair, access)),
        }
    }
    shown.truncate(shown.floor_char_boundary(SHOWN_BYTES));
    if whole.len() > SHOWN_BYTES {
        shown.push('…');
    }
    shown
}

/// Returns the shown part of a path without its query, with a mask for each part that may be a token.
fn masked_path(path: &str, access: &Access) -> String {
    if let Some((start, end)) = token_with_slashes(path, access) {
        return [&masked_path(&path[..start], access), MASK, &masked_path(&path[end..], access)].concat();
    }
    let mut shown = String::new();
    for (place, part) in path.split('/').enumerate() {
        if shown.len() > SHOWN_BYTES {
            break;
        }
        if place > 0 {
            shown.push('/');
        }
        shown.push_str(&masked(part, access));
    }
    shown
}

/// Finds a token that spans several parts of a path, since other programs make tokens with slashes. Returns its start and end.
fn token_with_slashes(path: &str, access: &Access) -> Option<(usize, usize)> {
    if path.len() > SHOWN_BYTES {
        return None;
    }
    let slashes: Vec<_> = path.match_indices('/').map(|(slash, _)| slash).take(MOST_PARTS).collect();
    let starts = slashes.iter().map(|slash| slash + 1).enumerate();
    let mut ranges = starts.flat_map(|(place, start)| {
        slashes[place + 1..].iter().skip(1).chain([&path.len()]).map(move |&end| (start, end)).collect::<Vec<_>>()
    });
    ranges.find(|&(start, end)| access.knows(&path.as_bytes()[start..end]))
}

/// Returns the text, or a mask if the text may be a token or contain one.
pub(super) fn masked<'a>(text: &'a str, access: &Access) -> Cow<'a, str> {
    Cow::Borrowed(if may_be_token(text, access) { MASK } else { text })
}

/// Whether a text is a token, contains one, or contains something that looks like one, escaped or not.
pub(super) fn may_be_token(text: &str, access: &Access) -> bool {
    let mut bytes = Cow::Borrowed(text.as_bytes());
    for _ in 0..=UNESCAPES {
        // A plus sign may stand for itself or for a blank.
        let with_blanks = || bytes.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect::<Vec<_>>();
        if has_token(&bytes, access) || bytes.contains(&b'+') && has_token(&with_blanks(), access) {
            return true;
        }
        let Cow::Owned(unescaped) = Cow::from(percent_decode(&bytes)) else { return false };
        bytes = Cow::Owned(unescaped);
    }
    false
}

fn has_token(bytes: &[u8], access: &Access) -> bool {
    let mut digits = bytes.split(|byte| !byte.is_ascii_hexdigit());
    if digits.any(|digits| digits.len() >= SECRET_DIGITS) || access.knows(bytes) {
        return true;
    }
    // The text after the name of a scheme, as in an `Authorization` header.
    let behind_scheme = bytes.iter().position(|&byte| byte == b' ').map(|blank| bytes[blank..].trim_ascii());
    if behind_scheme.is_some_and(|secret| access.knows(secret)) {
        return true;
    }
    // The characters that tokens of other programs consist of.
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let mut words = bytes.split(|byte| !is_part(byte)).filter(|word| !word.is_empty() && word.len() < bytes.len());
    words.any(|word| access.knows(word))
}

/// Whether a parameter of this name may hold a token or another secret. No endpoint knows such a parameter, and no name of a
/// known one needs escapes.
fn is_secret(name: &str) -> bool {
    const WORDS: [&[u8]; 5] = [b"token", b"secret", b"password", b"auth", b"key"];
    let name = name.as_bytes();
    let has = |word: &[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    name.contains(&b'%') || WORDS.iter().any(|word| has(word))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::access::{Scope, Token};

    fn nobody() -> Access {
        Access::default()
    }

    /// Access rules with a token that another program made.
    fn knowing(secret: &str) -> Access {
        let hash = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        Access::new(vec![format!("a:read:{hash}").parse::<Token>().unwrap()], false)
    }

    #[test]
    fn a_long_path_is_cut_and_what_may_be_secret_is_left_out() {
        let shown = |text: &str| path(text, &nobody());
        assert_eq!(shown("/v6/metrics/?column=a&&started=P7D"), "/v6/metrics/?column=a&&started=P7D");
        assert_eq!(shown("//a//b/?"), "//a//b/?");
        assert_eq!(
            shown("/?a=1&Access_Token=s3cr&b&%74oken=s3cr&apiKey=&c=2"),
            "/?a=1&Access_Token=***&b&%74oken=***&apiKey=***&c=2"
        );
        let long = format!("/?a={}ä", "x".repeat(SHOWN_BYTES - 5));
        assert_eq!(shown(&long), format!("/?a={}…", "x".repeat(SHOWN_BYTES - 5)));
        assert_eq!(shown(&format!("{long}&token=s3cr")), shown(&long));
        assert_eq!(shown(&format!("/?token={long}")), "/?token=***…");
    }

    #[test]
    fn what_looks_like_a_token_is_masked_wherever_it_stands() {
        let (secret, _) = Token::make("a", &[Scope::Read]).unwrap();
        let escaped = secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let twice = escaped.replace('%', "%25");
        for secret in
            [&secret, &secret.to_uppercase(), &escaped, &twice, &format!("x-{secret}-y"), &format!("{secret}0")]
        {
            let shown = |text: &str| path(&text.replace("TOKEN", secret), &nobody());
            assert_eq!(shown("/TOKEN"), "/***");
            assert_eq!(shown("/v6/TOKEN/metrics/?page=1"), "/v6/***/metrics/?page=1");
            assert_eq!(
                shown("/v6/?q=TOKEN&TOKEN&TOKEN=1"),
                if secret.contains('%') { "/v6/?q=***&***&***=***" } else { "/v6/?q=***&***&***=1" }
            );
            assert_eq!(shown("/v6/?q=Bearer+TOKEN&a=b"), "/v6/?q=***&a=b");
            assert!(may_be_token(secret, &nobody()));
        }
        let cut = path(&format!("/{}/{secret}", "x".repeat(SHOWN_BYTES - 10)), &nobody());
        assert!(!cut.contains(&secret[..4]), "{cut}");
        assert!(!may_be_token(&secret[1..], &nobody()));
    }

    #[test]
    fn a_token_that_is_known_is_masked_whatever_it_looks_like() {
        for (secret, escaped) in [("s3cret", "s3%63ret"), ("ab/c+d==", "ab%2Fc%2Bd%3D%3D"), ("ä b:c", "%C3%A4+b%3Ac")]
        {
            let access = knowing(secret);
            for text in [secret, escaped] {
                assert_eq!(path(&format!("/v6/{text}/x/{escaped}"), &access), "/v6/***/x/***");
                assert_eq!(path(&format!("/v6/{text}"), &access), "/v6/***");
                assert_eq!(path(&format!("/v6/{text}/?a=b"), &access), "/v6/***/?a=b");
                assert_eq!(path(&format!("/v6/?page=1&q={text}"), &access), "/v6/?page=1&q=***");
                assert_eq!(
                    path(&format!("/v6/?{text}&{text}=1"), &access),
                    "/v6/?***&***=1".replace("***=1", if text.contains('%') { "***=***" } else { "***=1" })
                );
                assert_eq!(path(&format!("/v6/?q=Bearer%20{text}"), &access), "/v6/?q=***");
                assert!(may_be_token(text, &access));
            }
            assert_eq!(path("/v6/metrics/?column=a&q=other", &access), "/v6/metrics/?column=a&q=other");
        }
        assert_eq!(path("/v6/?q=%22s3cret%22,1", &knowing("s3cret")), "/v6/?q=***");
    }
}
