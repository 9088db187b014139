//! What clients trust: the certificate authorities of the system, and one that the user names.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::{TlsError, certificates, provider, read};

/// The configuration of a client that trusts the certificate authorities of the system and those in the PEM file `ca`. A
/// certificate that is its own authority may be there, too.
pub fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider()?;
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // The system may have certificates that are of no use to anybody.
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca {
        for certificate in certificates(path, &read(path)?)? {
            let unusable =
                |error: rustls::Error| TlsError::Unusable { path: path.to_owned(), detail: error.to_string() };
            roots.add(certificate).map_err(unusable)?;
        }
    }
    if roots.is_empty() {
        let detail = system.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(TlsError::NoRoots { detail });
    }
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need");
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
