//! TLS in pure Rust: the cryptography, the certificate of the server, and what clients trust.
//!
//! The usual providers of cryptography for `rustls` are C libraries, so a build would need a C compiler. This one is written in
//! Rust and assembly. It needs a processor with instructions for AES, as nearly all have that were made since 2014; another one
//! is refused with a message rather than at the first handshake.
//!
//! Not here: the sockets (`api::connection` for the server, `commands::client` for the commands).

mod client;
mod reason;
mod server;
mod unverified;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};

pub use client::client_config;
pub use reason::reason;
pub(crate) use server::ServerCertificate;
pub(crate) use unverified::{own_server_config, unverified_config};

/// The largest file that is read, in bytes. All certificates that a system trusts take a quarter of it.
const MOST_BYTES: u64 = 1 << 20;

/// Why TLS cannot be used. The message is one line, and names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system, which is in the message.
        cause: io::Error,
    },
    /// A file has no certificate.
    #[error("there is no certificate in `{}`, which has to be a PEM file (`-----BEGIN CERTIFICATE-----`)", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no private key.
    #[error("there is no private key in `{}`, which has to be a PEM file (`-----BEGIN PRIVATE KEY-----`) without a password", .0.display())]
    NoKey(PathBuf),
    /// A file is damaged, or has something else.
    #[error("`{}` cannot be used: {detail}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The key is not that of the certificate.
    #[error("the private key in `{}` does not belong to the certificate in `{}`", .key.display(), .certificate.display())]
    OtherKey {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// There is nothing to trust.
    #[error(
        "this system trusts no certificate authority{detail} (hint: install ca-certificates, or name one with --ca)"
    )]
    NoRoots {
        /// What went wrong when the system was asked, with a colon before it; empty if nothing did.
        detail: String,
    },
    /// The processor is too old.
    #[error("TLS needs a processor with instructions for {0}")]
    Processor(&'static str),
}

/// The cryptography of all TLS connections.
fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    #[cfg(target_arch = "x86_64")]
    {
        let has_all = std::arch::is_x86_feature_detected!("aes")
            && std::arch::is_x86_feature_detected!("ssse3")
            && std::arch::is_x86_feature_detected!("pclmulqdq")
            && std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("adx")
            && std::arch::is_x86_feature_detected!("bmi2");
        if !has_all {
            return Err(TlsError::Processor("AES, SSSE3, PCLMULQDQ, AVX2, ADX and BMI2"));
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let has_all = std::arch::is_aarch64_feature_detected!("neon")
            && std::arch::is_aarch64_feature_detected!("aes")
            && std::arch::is_aarch64_feature_detected!("pmull")
            && std::arch::is_aarch64_feature_detected!("sha2");
        if !has_all {
            return Err(TlsError::Processor("NEON, AES, PMULL and SHA2"));
        }
    }
    Ok(Arc::new(rustls_graviola::default_provider()))
}

/// Reads a file of moderate size.
fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|cause| TlsError::Unreadable { path: path.to_owned(), cause })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(TlsError::Unusable {
            path: path.to_owned(),
            detail: format!("it has more than {MOST_BYTES} bytes"),
        });
    }
    Ok(bytes)
}

/// Why a PEM file cannot be read, in words: the errors of its reader have lines as lists of bytes.
fn unusable_pem(path: &Path, error: &pem::Error) -> TlsError {
    let detail = if let pem::Error::MissingSectionEnd { end_marker } = error {
        format!("it ends before its line `-----END {}-----`", String::from_utf8_lossy(end_marker))
    } else if let pem::Error::IllegalSectionStart { .. } = error {
        "a line that begins with `-----` is none of a PEM file".to_owned()
    } else {
        error.to_string()
    };
    TlsError::Unusable { path: path.to_owned(), detail }
}

/// The certificates in the content of a PEM file; at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| unusable_pem(path, &error))?;
    if certificates.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(certificates) }
}
