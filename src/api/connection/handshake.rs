//! The start of a connection with TLS.
//!
//! A client that speaks plain HTTP gets an answer that says so, since its user sees nothing but a closed connection otherwise.
//! The first byte tells it apart: a handshake never begins with a letter, and a request does.

use std::io;
use std::time::{Duration, Instant};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::refusal::Refusal;
use super::socket::Socket;
use crate::telemetry::log::new_request_id;

/// How much of a refused request is read, in bytes. If the connection were closed while there is more, the system would drop
/// the answer.
const MOST_READ: u64 = 256 << 10;
/// How long the client of a refused request may take to close the connection.
const CLOSE_WAITS: Duration = Duration::from_secs(1);

/// Makes a connection with TLS of a socket, within the time `patience`.
pub(crate) async fn accept_tls(socket: TcpStream, tls: &TlsAcceptor, patience: Duration) -> io::Result<Socket> {
    let client = socket.peer_addr().ok();
    let accepted =
        timeout(patience, handshake(socket, tls)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    accepted.inspect_err(|error| tracing::debug!(?client, %error, "there is no TLS connection"))
}

async fn handshake(socket: TcpStream, tls: &TlsAcceptor) -> io::Result<Socket> {
    let mut first = [0];
    socket.peek(&mut first).await?;
    if first[0].is_ascii_uppercase() {
        refuse(socket).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks plain HTTP"));
    }
    tls.accept(socket).await.map(Socket::encrypted)
}

/// Answers a request in plain HTTP, and logs it like other refused requests.
async fn refuse(mut socket: TcpStream) -> io::Result<()> {
    let (started, id) = (Instant::now(), new_request_id());
    let refusal = Refusal::of_plain_http(&id);
    refusal.log(&id, socket.peer_addr().ok(), started.elapsed());
    socket.write_all(&refusal.bytes).await?;
    socket.shutdown().await?;
    let (mut rest, mut nowhere) = (socket.take(MOST_READ), sink());
    // The client may go on sending. It was told.
    timeout(CLOSE_WAITS, copy(&mut rest, &mut nowhere)).await.map_or(Ok(()), |read| read.map(drop))
}
