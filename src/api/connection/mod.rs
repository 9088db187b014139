//! The connection of a client, with the deadlines that the framework (actix) lacks.
//!
//! The framework has a deadline for the head of the first request, and one for idle connections, which also cuts off answers.
//! The framework has none for a client that does not read its answer. So the framework gets a [`Connection`] rather than a bare
//! socket. Reading or writing a [`Connection`] fails if a request does not arrive in time, or if an answer is not sent fast
//! enough. Then the connection is closed, and the memory that the answer held is free again. The connection also adds a body to
//! the refusals that the framework makes by itself ([`refusal`]).
//!
//! The framework parses all bytes that it has read into requests, about 6 KB of memory each, before it answers the first one; and
//! a head may be as short as 26 bytes. So it gets one head at a time, and the next one when the answer is being sent. Bytes that
//! came early are kept unparsed ([`Connection::ahead`]). Of a body, the framework gets exactly the bytes that belong to it; its
//! length or its chunks ([`Chunks`]) say where it ends. The task of a client that sends much yields after each
//! portion. Nothing is read from a client that does not take its answers.
//!
//! The framework would switch protocols, which nothing here can do, and would send `100 Continue` for every body. So the options
//! that ask for this are hidden from it ([`heads`]). `100 Continue` is sent here, when a handler wants the body and none of it
//! has arrived.
//!
//! All of this holds with TLS as without it: [`Socket`] encrypts below everything else.
//!
//! There is no deadline here for processing a request, and the handler decides when its body is read. So the connection shares
//! its [`Phase`] with its requests.
//!
//! Not here: the deadline of a body (`post_events`).

mod chunks;
mod handshake;
mod heads;
mod refusal;
mod socket;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::telemetry::log::new_request_id;
use chunks::Chunks;
pub(crate) use handshake::accept_tls;
use heads::Heads;
use refusal::Refusal;
pub(crate) use socket::Socket;

/// How much of an answer a blocked client has to take within one stall timeout, so that it gets another one, in bytes. The system
/// accepts bytes in lumps of half of [`UNSENT`], so a larger minimum would cut off clients that are merely slow.
const LEAST_SENT: usize = 16 << 10;

/// How many unsent bytes of an answer the system holds, beyond those on their way to the client. Without this bound it holds
/// megabytes, and accepts no more until a third of them is sent: a slow client could not be told from one that reads nothing.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// The interim answer that tells a client to send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How much is read at once while no body arrives, in bytes.
const PIECE: usize = 8 << 10;

/// The phase of a connection: its progress with a request. Clones share one phase.
#[derive(Clone)]
pub(crate) struct Phase(Rc<Shared>);

struct Shared {
    stage: Cell<Stage>,
    /// Whether the client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// Wakes the task of the connection when the stage changes, so that it can read on.
    reader: Cell<Option<Waker>>,
    /// Whether a request waits for the client to close the connection ([`Phase::gone`]).
    is_watched: Cell<bool>,
    /// Whether the client has closed the connection.
    is_closed: Cell<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The connection waits for a request, since this instant.
    Waiting(Instant),
    /// The body of a request arrives. The value is the number of bytes still to come; `None` if the body comes in chunks.
    Receiving(Option<u64>),
    /// A request is processed, and no more of its body is wanted.
    Working,
}

impl Phase {
    fn waiting() -> Self {
        Self(Rc::new(Shared {
            stage: Cell::new(Stage::Waiting(Instant::now())),
            expects_continue: Cell::default(),
            reader: Cell::default(),
            is_watched: Cell::default(),
            is_closed: Cell::default(),
        }))
    }

    /// Enters the working stage for a new request. `may_expect` says whether the request can make the client wait for `100
    /// Continue`.
    pub(super) fn begin(&self, may_expect: bool) {
        if !may_expect {
            self.0.expects_continue.set(false);
        }
        self.enter(Stage::Working);
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.0.expects_continue.get()
    }

    /// Starts to receive the body of the request. `bytes` is its length; `None` if it comes in chunks.
    pub(super) fn receive(&self, bytes: Option<u64>) {
        self.enter(Stage::Receiving(bytes));
    }

    /// Stops receiving: no more of the body is wanted.
    pub(super) fn received(&self) {
        self.enter(Stage::Working);
    }

    /// Ends the request: the answer was handed over, and the connection waits for the next one.
    pub(super) fn end(&self) {
        self.enter(Stage::Waiting(Instant::now()));
    }

    /// Returns when the client has closed the connection, or its half of it, while a request is processed. This is not noticed
    /// while there are unread bytes that the client has sent ahead. Only the task of the connection may poll it, since that task
    /// is woken.
    pub(super) async fn gone(&self) {
        self.0.is_watched.set(true);
        self.wake_reader();
        poll_fn(|_| if self.0.is_closed.get() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn enter(&self, stage: Stage) {
        self.0.stage.set(stage);
        self.0.is_watched.set(false);
        self.wake_reader();
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.0.stage.get(), Stage::Waiting(_))
    }
}

/// The connection of a client.
pub(crate) struct Connection {
    socket: Socket,
    /// How long the connection may make no progress.
    stall: Duration,
    phase: Phase,
    alarm: Alarm,
    heads: Heads,
    chunks: Chunks,
    /// Bytes that have arrived, but that the framework may not have yet.
    ahead: Vec<u8>,
    /// Whether the next read yields to other connections first: there may be more bytes of what was just read.
    gives_way: bool,
    /// The state of a client that is slow to read; `None` while the client takes all that is sent.
    blocked: Option<Blocked>,
    /// The bytes that are sent in place of a refusal of the framework, and how many of them are sent.
    refusal: Option<(Vec<u8>, usize)>,
    /// The unsent rest of [`CONTINUE`].
    interim: &'static [u8],
}

/// The progress of a client that does not take all that is sent at the moment.
struct Blocked {
    since: Instant,
    /// How much the client has taken since then, in bytes.
    sent: usize,
}

impl Connection {
    /// Creates a connection that may make no progress for `stall`. Fails if the socket is closed already.
    pub(crate) fn new(socket: Socket, stall: Duration) -> io::Result<Self> {
        // Without this, the last piece of an answer waits until the client has confirmed the earlier ones.
        socket.tcp().set_nodelay(true)?;
        // A system without this option is supported as well.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(socket.tcp()).set_tcp_notsent_lowat(UNSENT);
        Ok(Self {
            socket,
            stall,
            phase: Phase::waiting(),
            alarm: Alarm::default(),
            heads: Heads::default(),
            chunks: Chunks::Start,
            ahead: Vec::new(),
            gives_way: false,
            blocked: None,
            refusal: None,
            interim: &[],
        })
    }

    /// The phase, which the requests of this connection share.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.clone()
    }

    /// Reads the next bytes that the framework may have.
    fn receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Stage::Working | Stage::Receiving(Some(0)) = self.phase.0.stage.get() {
            self.phase.0.reader.set(Some(context.waker().clone()));
            if self.phase.0.is_watched.get() && self.ahead.is_empty() {
                self.phase.0.is_closed.set(self.socket.is_closed(context));
            }
            return Poll::Pending;
        }
        if self.chunks == Chunks::Broken {
            // The framework sees the connection end too early, and reports this to the handler that reads the body.
            return Poll::Ready(Ok(()));
        }
        // A client that has already sent a part of the body does not wait for `100 Continue`.
        if matches!(self.phase.0.stage.get(), Stage::Receiving(_))
            && self.phase.0.expects_continue.take()
            && self.ahead.is_empty()
        {
            self.interim = CONTINUE;
        }
        ready!(self.send_interim(context))?;
        if self.ahead.is_empty() {
            let before = buffer.filled().len();
            if buffer.remaining() <= PIECE || matches!(self.phase.0.stage.get(), Stage::Receiving(_)) {
                ready!(self.socket.poll_read(context, buffer))?;
                self.gives_way = buffer.remaining() == 0;
            } else {
                let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(PIECE));
                ready!(self.socket.poll_read(context, &mut piece))?;
                let read = piece.filled().len();
                self.gives_way = read == PIECE;
                buffer.advance(read);
            }
            let end = before + self.portion(&mut buffer.filled_mut()[before..]);
            self.ahead.extend_from_slice(&buffer.filled()[end..]);
            self.gives_way |= !self.ahead.is_empty();
            buffer.set_filled(end);
        } else {
            let mut ahead = mem::take(&mut self.ahead);
            let most = ahead.len().min(buffer.remaining());
            let end = self.portion(&mut ahead[..most]);
            buffer.put_slice(&ahead[..end]);
            if end < ahead.len() {
                ahead.drain(..end);
                self.ahead = ahead;
            }
            self.gives_way = true;
        }
        Poll::Ready(Ok(()))
    }

    /// How many of the next `bytes` the framework may have. Replaces the options of a head that it must not see.
    fn portion(&mut self, bytes: &mut [u8]) -> usize {
        match self.phase.0.stage.get() {
            Stage::Receiving(Some(left)) => {
                let portion = usize::try_from(left).map_or(bytes.len(), |left| bytes.len().min(left));
                self.phase.0.stage.set(Stage::Receiving(Some(left - portion as u64)));
                portion
            }
            Stage::Receiving(None) => {
                let portion = self.chunks.end_in(bytes);
                if self.chunks == Chunks::End {
                    self.phase.0.stage.set(Stage::Receiving(Some(0)));
                }
                portion
            }
            Stage::Waiting(_) | Stage::Working => {
                self.chunks = Chunks::Start;
                let (portion, is_end) = self.heads.pass(bytes);
                if is_end {
                    self.phase.0.expects_continue.set(self.heads.take_expectation());
                    // The handler first has to say whether it wants a body.
                    self.gives_way = true;
                }
                portion
            }
        }
    }

    /// Sends the rest of an interim answer, straight to the socket. The answer before it is sent completely by then, since
    /// nothing is read, and so no body either, while the client does not take an answer.
    fn send_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            match ready!(self.socket.poll_write(context, self.interim))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.interim = &self.interim[sent..],
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends some of `bytes`. If they end with a refusal of the framework, sends the same refusal with a body instead.
    fn send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.send_interim(context))?;
        if self.refusal.is_none()
            && let Stage::Waiting(since) = self.phase.0.stage.get()
        {
            match refusal::find(bytes) {
                Some(0) => self.refuse(bytes, since),
                // The bytes before the refusal are sent first.
                Some(start) => return self.socket.poll_write(context, &bytes[..start]),
                None => {}
            }
        }
        let Some((refusal, sent)) = &mut self.refusal else {
            return self.socket.poll_write(context, bytes);
        };
        while *sent < refusal.len() {
            match self.socket.poll_write(context, &refusal[*sent..]) {
                Poll::Ready(Ok(more @ 1..)) => *sent += more,
                stopped @ (Poll::Ready(_) | Poll::Pending) => return stopped,
            }
        }
        self.refusal = None;
        Poll::Ready(Ok(bytes.len()))
    }

    /// Completes a refusal of the framework, and logs it like a request.
    fn refuse(&mut self, head: &[u8], since: Instant) {
        let id = new_request_id();
        let Some(refusal) = Refusal::new(head, &id) else { return };
        refusal.log(&id, self.socket.tcp().peer_addr().ok(), since.elapsed());
        self.refusal = Some((refusal.bytes, 0));
    }

    /// Whether the client has taken too little for too long, so that the connection has to be closed.
    fn is_stuck(&mut self, context: &mut Context<'_>) -> bool {
        let blocked = self.blocked.get_or_insert_with(|| Blocked { since: Instant::now(), sent: 0 });
        if !self.alarm.is_over(blocked.since + self.stall, context) {
            return false;
        }
        if blocked.sent < LEAST_SENT {
            return true;
        }
        *blocked = Blocked { since: Instant::now(), sent: 0 };
        self.alarm.is_over(blocked.since + self.stall, context)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if mem::take(&mut this.gives_way) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // The answer that is being sent has a deadline of its own, and `poll_write` wakes the task when it is sent.
        if this.blocked.is_some() {
            return Poll::Pending;
        }
        let polled = this.receive(context, buffer);
        if polled.is_pending()
            && let Stage::Waiting(since) = this.phase.0.stage.get()
            && this.alarm.is_over(since + this.stall, context)
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.send(context, bytes);
        match &polled {
            Poll::Ready(Ok(sent)) if self.blocked.is_some() => {
                if *sent < bytes.len() {
                    self.blocked.as_mut().expect("there is one").sent += sent;
                } else {
                    self.blocked = None;
                    context.waker().wake_by_ref();
                    // The client could not send the next request before it had the answer, so its deadline starts now.
                    if self.phase.is_waiting() {
                        self.phase.end();
                    }
                }
            }
            Poll::Pending if self.is_stuck(context) => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Ready(_) | Poll::Pending => {}
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(context)
    }
}

/// One timer for all deadlines of a connection. It is seldom set: if it fires for a deadline that has moved, it is set to the new
/// deadline.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether `deadline` has passed. If not, the task is woken then or earlier, and asks again.
    fn is_over(&mut self, deadline: Instant, context: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() == deadline {
                return true;
            }
            sleep.as_mut().reset(deadline);
        }
        false
    }
}
