//! Why a client refuses a server, in words for people who have not read a standard.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage, OtherError};
use rustls_pki_types::UnixTime;

use crate::time::Timestamp;

/// Why TLS refuses a server, if that is the cause of an error, with a hint if there is a next step. `None` for an error that may
/// pass. `authority` says how a user names an authority to trust.
pub fn reason(error: &(dyn std::error::Error + 'static), authority: &str) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return of_tls(error, authority);
        }
        cause = match error.downcast_ref::<io::Error>() {
            // Its source is that of what it holds.
            Some(error) => error.get_ref().map(|held| held as _),
            None => error.source(),
        };
    }
    None
}

fn of_tls(error: &Error, authority: &str) -> Option<String> {
    if let Error::InvalidCertificate(refused) = error {
        return Some(format!("the certificate of the server is refused: {}", of_certificate(refused, authority)));
    }
    let is_plain = *error == Error::InvalidMessage(InvalidMessage::InvalidContentType);
    is_plain.then(|| "the server speaks no TLS at this port (hint: http:// instead of https://)".to_owned())
}

fn of_certificate(error: &CertificateError, authority: &str) -> String {
    use CertificateError as Refused;
    if matches!(error, Refused::BadSignature | Refused::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }) {
        return format!(
            "this machine trusts an issuer of that name, but with another key (hint: {authority} names the certificate authority that \
             has issued it, or the certificate itself if it is its own issuer)"
        );
    }
    if matches!(error, Refused::UnsupportedSignatureAlgorithmContext { .. }) {
        return "it is signed in a way that is not supported, such as with SHA-1".to_owned();
    }
    if *error == CertificateError::UnknownIssuer {
        return format!(
            "this machine does not trust its issuer (hint: {authority} names a certificate authority to trust, or the certificate \
             itself if it is its own issuer)"
        );
    }
    if let CertificateError::NotValidForNameContext { expected, presented } = error {
        let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        return format!("it is for {names}, not for {}", expected.to_str());
    }
    if let CertificateError::ExpiredContext { not_after, .. } = error {
        return format!("it expired at {}", instant(*not_after));
    }
    if let CertificateError::NotValidYetContext { not_before, .. } = error {
        return format!("it is valid only from {} on (hint: is the clock right?)", instant(*not_before));
    }
    if let CertificateError::Other(OtherError(other)) = error
        && other.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
    {
        return "it is marked as that of a certificate authority (CA:TRUE), and such a one cannot be a server's (hint: make one with \
                `-addext basicConstraints=CA:FALSE`; docs/https.md has the whole command)"
            .to_owned();
    }
    error.to_string()
}

/// The name or the address in a text such as `DnsName("localhost")`.
fn bare(presented: &str) -> &str {
    let inner = presented.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"')
}

/// An instant as logs and answers write it; a number if it is beyond their range.
fn instant(time: UnixTime) -> String {
    let timestamp = time.as_secs().checked_mul(1_000_000).and_then(Timestamp::from_micros);
    timestamp.map_or_else(|| format!("{} s after 1970", time.as_secs()), |timestamp| timestamp.to_string())
}
