//! The certificate of the server and its private key, from two PEM files that may change while the server runs.
//!
//! The files are read once a second, and compared by their content: programs replace files in many ways, and the time of a file
//! may be that of its source. A change counts when it has stood for one look, since the two files change one after the other.
//! New files that cannot be used are logged once, and the server keeps its certificate.
//!
//! Not here: the thread that looks (`app`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{self, PemObject as _};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use xxhash_rust::xxh3::xxh3_128;

use super::{TlsError, certificates, provider, read, unusable_pem};

/// The protocol above TLS. There is no other one.
const HTTP_1_1: &[u8] = b"http/1.1";

/// The certificate that the server shows, with its key.
pub(crate) struct ServerCertificate {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    looked: Mutex<Looked>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The fingerprints of what was in the files.
struct Looked {
    /// At the last look.
    last: u128,
    /// When they were tried last, whether they could be used or not.
    tried: u128,
}

impl ServerCertificate {
    /// Reads the two files.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let provider = provider()?;
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let content = files.read();
        let found = fingerprint(&content);
        let current = files.parse(&content?, &provider)?;
        if let Err(error) = files.refuse_expired(&current) {
            tracing::warn!(error = error.to_string(), "clients will refuse the certificate");
        }
        let looked = Mutex::new(Looked { last: found, tried: found });
        Ok(Arc::new(Self { files, provider, current: RwLock::new(Arc::new(current)), looked }))
    }

    /// The configuration of a server that shows this certificate, at each handshake the one of that moment.
    pub(crate) fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need")
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Arc::new(config)
    }

    /// Looks whether the files have changed, and uses what is new.
    pub(crate) fn look(&self) {
        let content = self.files.read();
        let found = fingerprint(&content);
        let mut looked = self.looked.lock();
        let was = std::mem::replace(&mut looked.last, found);
        if found != was || found == looked.tried {
            return;
        }
        looked.tried = found;
        let new = content.and_then(|content| self.files.parse(&content, &self.provider));
        match new.and_then(|new| self.files.refuse_expired(&new).map(|()| new)) {
            Ok(new) => {
                *self.current.write() = Arc::new(new);
                tracing::info!("the certificate in `{}` is in use", self.files.certificate.display());
            }
            Err(error) => {
                tracing::error!(
                    error = error.to_string(),
                    "the new certificate cannot be used, and the old one stays in use"
                );
            }
        }
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("file", &self.files.certificate).finish_non_exhaustive()
    }
}

/// The content of both files: certificate and key.
type Content = (Vec<u8>, Vec<u8>);

impl Files {
    fn read(&self) -> Result<Content, TlsError> {
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn parse(&self, (certificate, key): &Content, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.certificate, certificate)?;
        let unusable = |path: &Path, detail: String| TlsError::Unusable { path: path.to_owned(), detail };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            let is_missing = matches!(error, pem::Error::NoItemsFound);
            if is_missing { TlsError::NoKey(self.key.clone()) } else { unusable_pem(&self.key, &error) }
        })?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| {
            unusable(&self.key, format!("it has to be an RSA, P-256, P-384 or Ed25519 key ({error})"))
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => {
                Err(TlsError::OtherKey { key: self.key.clone(), certificate: self.certificate.clone() })
            }
            Err(error) => Err(unusable(&self.certificate, error.to_string())),
        }
    }

    fn refuse_expired(&self, certified: &CertifiedKey) -> Result<(), TlsError> {
        let Some(own) = certified.cert.first() else { return Ok(()) };
        let read = Certificate::from_der(own).map(|own| own.tbs_certificate.validity.not_after);
        match read {
            Ok(end) if end.to_system_time() < SystemTime::now() => {
                Err(TlsError::Unusable { path: self.certificate.clone(), detail: format!("it expired at {end}") })
            }
            Ok(_) => Ok(()),
            Err(error) => Err(TlsError::Unusable { path: self.certificate.clone(), detail: error.to_string() }),
        }
    }
}

/// A number that differs when the content does, or the reason why there is none.
fn fingerprint(content: &Result<Content, TlsError>) -> u128 {
    match content {
        Ok((certificate, key)) => xxh3_128(certificate) ^ xxh3_128(key).rotate_left(64),
        Err(error) => xxh3_128(error.to_string().as_bytes()),
    }
}
