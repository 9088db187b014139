//! Clients for whom no authority has to vouch for the server: any certificate will do.
//!
//! `health` asks its own server by an address of this machine, for which no certificate is valid. So the certificate that the server
//! shows is compared with the one in the server's file. If they differ, this is logged, and the server is asked all the same: a server
//! keeps its old certificate when the new one is bad, and a supervisor that restarted it for that would end a server that works. The
//! request carries no secret, and without TLS nothing says either who answers at an address of this machine.
//!
//! The other is the client of a database whose address says `sslmode=require` or nothing.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{TlsError, certificates, provider, read};

/// The configuration of a client of the server on this machine whose certificate is in this file.
pub(crate) fn own_server_config(certificate: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider()?;
    let found = read(certificate).and_then(|pem| Ok(certificates(certificate, &pem)?.swap_remove(0)));
    let expected = found.inspect_err(|error| tracing::warn!("{error}")).ok();
    Ok(Arc::new(comparing(expected, provider)))
}

/// The configuration of a client that takes any certificate: the connection is secret, but nothing says who answers. This is what
/// `sslmode=require` means to every client of PostgreSQL.
pub(crate) fn unverified_config() -> Result<ClientConfig, TlsError> {
    Ok(comparing(None, provider()?))
}

fn comparing(expected: Option<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> ClientConfig {
    let verifier = Comparing { expected, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need");
    config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
}

/// Compares the certificate of the server with the expected one, if that could be read.
#[derive(Debug)]
struct Comparing {
    expected: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Comparing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.expected.as_ref().is_some_and(|expected| expected != end_entity) {
            tracing::warn!(
                "the server shows another certificate than that in the file: it has not looked yet, or the log of the server says \
                 why it keeps the old one"
            );
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
