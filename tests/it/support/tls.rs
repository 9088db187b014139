//! A client that speaks TLS and shows what was sent, and the certificates of `fixtures/tls` (`make.sh` there makes them).

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use scale_metrics::config::Config;
use scale_metrics::tls::client_config;

use super::GIVE_UP;

/// A file of the fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/tls").join(name)
}

/// The flags by which a server speaks HTTPS with a certificate of the fixtures.
pub(crate) fn https_flags(certificate: &str, key: &str) -> [String; 2] {
    let flag = |name: &str, file: &str| format!("--{name}={}", fixture(file).display());
    [flag("tls-certificate", certificate), flag("tls-key", key)]
}

/// Lets a server speak HTTPS.
pub(crate) fn speak_https(config: &mut Config) {
    config.server.tls_certificate = Some(fixture("server.pem"));
    config.server.tls_key = Some(fixture("server.key"));
}

/// What trusts the authority of the fixtures.
pub(crate) fn trusting() -> Arc<ClientConfig> {
    client_config(Some(&fixture("authority.pem"))).unwrap()
}

/// A connection with TLS.
pub(crate) struct TlsConnection(StreamOwned<ClientConnection, TcpStream>);

impl TlsConnection {
    /// Connects to a server on this machine, and makes the handshake.
    pub(crate) fn open(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(GIVE_UP))?;
        let connection = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        stream.flush()?;
        Ok(Self(stream))
    }

    /// What the handshake has agreed on.
    pub(crate) fn session(&self) -> &ClientConnection {
        &self.0.conn
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.0.sock
    }

    /// The certificate that the server has shown.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref())?;
        self.0.flush()
    }

    /// Says that nothing more comes.
    pub(crate) fn send_end(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()
    }

    /// The next bytes, as many as the buffer has.
    pub(crate) fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(buffer)
    }

    /// What comes until the server closes the connection. If it does so without saying it, that is an error, and what came is
    /// lost.
    pub(crate) fn rest(self) -> io::Result<String> {
        let (answer, ended) = self.rest_however_it_ends();
        ended.map(|()| answer)
    }

    /// What comes until the connection ends, and how it ends.
    pub(crate) fn rest_however_it_ends(mut self) -> (String, io::Result<()>) {
        let mut answer = Vec::new();
        let ended = self.0.read_to_end(&mut answer).map(drop);
        (String::from_utf8_lossy(&answer).into_owned(), ended)
    }
}

/// Sends these bytes on a connection of their own, and returns what comes back until the server closes it. They need a
/// `Connection: close`.
pub(crate) fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> io::Result<String> {
    let mut connection = TlsConnection::open(address, &trusting())?;
    connection.send(request)?;
    connection.rest()
}
