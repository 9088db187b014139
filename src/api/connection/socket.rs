//! The socket of a connection, with or without TLS. All above it sees plain bytes.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncBufRead as _, AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_rustls::server::TlsStream;

/// How many bytes are encrypted at a time: what one record of TLS holds.
const RECORD: usize = 16 << 10;

pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<Encrypted>),
}

/// A socket with TLS.
pub(crate) struct Encrypted {
    stream: TlsStream<TcpStream>,
    /// How many bytes are encrypted, but not yet handed to the system.
    unsent: usize,
}

impl Socket {
    pub(super) fn encrypted(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(Encrypted { stream, unsent: 0 }))
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(socket) => socket.stream.get_ref().0,
        }
    }

    /// Whether the client has closed the connection, or its half of it. Reads nothing that the client has sent, so it is not
    /// noticed behind unread bytes. The task is woken when there is more to see.
    pub(super) fn is_closed(&mut self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Plain(socket) => {
                let polled = socket.poll_peek(context, &mut ReadBuf::new(&mut [0]));
                matches!(polled, Poll::Ready(Ok(0) | Err(_)))
            }
            Self::Tls(socket) => {
                let polled = Pin::new(&mut socket.stream).poll_fill_buf(context);
                matches!(polled, Poll::Ready(Ok([]) | Err(_)))
            }
        }
    }

    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(socket) => match ready!(Pin::new(&mut socket.stream).poll_read(context, buffer)) {
                // The client has closed the connection without a word of TLS. Requests say where they end, so nothing that is
                // cut off is taken as a whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => Poll::Ready(read),
            },
        }
    }

    /// Sends some of `bytes`. After [`Poll::Pending`], the next call has to begin with the same bytes, since some may be
    /// encrypted already. Bytes count as sent when the system has them, as without TLS: what was merely encrypted would be lost
    /// when the connection is closed.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(socket) => {
                if socket.unsent == 0 {
                    let piece = &bytes[..bytes.len().min(RECORD)];
                    socket.unsent = ready!(Pin::new(&mut socket.stream).poll_write(context, piece))?;
                }
                ready!(Pin::new(&mut socket.stream).poll_flush(context))?;
                Poll::Ready(Ok(mem::take(&mut socket.unsent)))
            }
        }
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(socket) => Pin::new(&mut socket.stream).poll_flush(context),
        }
    }

    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(socket) => Pin::new(&mut socket.stream).poll_shutdown(context),
        }
    }
}
