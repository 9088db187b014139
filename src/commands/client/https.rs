//! HTTPS for the HTTP client: a step of its chain of connectors that encrypts what the step before it connects.
//!
//! The client has connectors for TLS of its own. They cannot take a configuration that is made elsewhere, such as that of
//! `health` ([`crate::tls`]), so all commands would need a second one.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// Encrypts connections to addresses that begin with `https://`.
#[derive(Debug)]
pub(super) struct HttpsConnector {
    pub(super) config: Arc<ClientConfig>,
}

impl<Below: Transport> Connector<Below> for HttpsConnector {
    type Out = Either<Below, Encrypted<Below>>;

    fn connect(&self, details: &ConnectionDetails<'_>, below: Option<Below>) -> Result<Option<Self::Out>, Error> {
        let Some(below) = below else { return Ok(None) };
        if !details.needs_tls() || below.is_tls() {
            return Ok(Some(Either::A(below)));
        }
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::HostNotFound)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(std::io::Error::other)?;
        let mut socket = TransportAdapter::new(below, Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        let mut stream = StreamOwned::new(connection, socket);
        // Makes the handshake, so that a certificate that is refused is an error of connecting.
        stream.flush()?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Encrypted { stream, buffers })))
    }
}

/// A connection with TLS.
pub(super) struct Encrypted<Below: Transport> {
    stream: StreamOwned<ClientConnection, TransportAdapter<Below>>,
    buffers: LazyBuffers,
}

impl<Below: Transport> Transport for Encrypted<Below> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(self.stream.flush()?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl<Below: Transport> fmt::Debug for Encrypted<Below> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").field("below", &self.stream.sock.get_ref()).finish_non_exhaustive()
    }
}
