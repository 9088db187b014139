//! The connection of a client, with the deadlines that the framework leaves open.
//!
//! The framework has a deadline for the head of the first request, one for idle connections that also cuts off answers, and
//! none for a client that does not read what it asked for. So it gets no bare socket, but a [`Connection`], which fails when
//! a request does not come in time, or an answer does not go out fast enough: the connection is closed then, and whatever the
//! answer held in memory is free again. It also gives a body to the refusals that the framework makes by itself ([`refusal`]).
//!
//! The framework makes requests of all that it has read, some 6 KB of memory each, before it answers one; and a head takes as
//! little as 26 bytes. So it gets one head at a time, and the next one when the answer is on its way: whatever else has come is
//! kept as it is ([`Connection::ahead`]). Of a body it gets what belongs to it, which is known by its length or its chunks
//! ([`Chunks`]). In between, whoever sends much gives way to the others. Of a client that does not take its answers, nothing is
//! read.
//!
//! The framework would switch protocols, which nothing here can, and send `100 Continue` for every body. So it does not see the
//! options that ask for that ([`heads`]). `100 Continue` is sent here, when a handler wants the body and none of it has come.
//!
//! A request that is worked on may take as long as it likes, and its body has to be read; so the connection shares its
//! [`Phase`] with the requests that come by it. How long a body may take to arrive is told in `events`.

mod chunks;
mod heads;
mod refusal;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::LogLevel;
use crate::telemetry::{RequestLine, milliseconds, new_request_id, say_request};
use chunks::Chunks;
use heads::Heads;
use refusal::Refusal;

/// How much of an answer has to go out before the client is waited for once more, in bytes. The system takes it in lumps of
/// half of [`UNSENT`], so that more would cut off clients that are merely slow.
const LEAST_SENT: usize = 16 << 10;

/// How much of an answer the system holds beyond what is on its way to the client, in bytes. Without a bound it is megabytes,
/// and it says nothing until a third of them is out: nobody could tell a slow client from one that reads nothing.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// Tells a client that its body is wanted.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How much is read at once where no body comes, in bytes.
const PIECE: usize = 8 << 10;

/// How far a connection has come with a request. A clone is the same phase.
#[derive(Clone)]
pub(crate) struct Phase(Rc<Shared>);

struct Shared {
    stage: Cell<Stage>,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// Who would read on in another stage.
    reader: Cell<Option<Waker>>,
    /// Whether somebody wants to know that the client closes the connection while a request is worked on.
    is_watched: Cell<bool>,
    /// Whether it did.
    is_closed: Cell<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// It waits for a request, since then.
    Waiting(Instant),
    /// The body of a request arrives; so many bytes of it are still to come, if anybody knows.
    Receiving(Option<u64>),
    /// A request is worked on, and all that is wanted of it is there.
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

    /// There is a request. `may_expect` says whether it may have the client wait for `100 Continue`.
    pub(super) fn begin(&self, may_expect: bool) {
        if !may_expect {
            self.0.expects_continue.set(false);
        }
        self.enter(Stage::Working);
    }

    /// Whether the client sends no body unless it is told that the body is wanted.
    pub(super) fn expects_continue(&self) -> bool {
        self.0.expects_continue.get()
    }

    /// Its body is wanted, which has so many bytes; `None` if it ends where it says so itself.
    pub(super) fn receive(&self, bytes: Option<u64>) {
        self.enter(Stage::Receiving(bytes));
    }

    /// No more of the body is wanted.
    pub(super) fn received(&self) {
        self.enter(Stage::Working);
    }

    /// Its answer was handed over.
    pub(super) fn end(&self) {
        self.enter(Stage::Waiting(Instant::now()));
    }

    /// Ready when the client has closed the connection, or its half of it, while a request is worked on. Whatever it has sent
    /// ahead has to be read first, so then it is not noticed. Polled by the task of the connection, which is woken for it.
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
    socket: TcpStream,
    /// How long it may get nowhere.
    stall: Duration,
    phase: Phase,
    alarm: Alarm,
    heads: Heads,
    chunks: Chunks,
    /// What came behind that which the framework may have.
    ahead: Vec<u8>,
    /// There may be more of what was just read: the others come first.
    gives_way: bool,
    /// `None` while the client takes all that is sent.
    blocked: Option<Blocked>,
    /// What goes out in place of a refusal of the framework, and how much of it is out.
    refusal: Option<(Vec<u8>, usize)>,
    /// What is still to be sent of [`CONTINUE`].
    interim: &'static [u8],
}

/// The client does not take all that is sent at the moment.
struct Blocked {
    since: Instant,
    /// What it took since then, in bytes.
    sent: usize,
}

impl Connection {
    /// A new connection, which may get nowhere for that long. Fails if it is closed already.
    pub(crate) fn new(socket: TcpStream, stall: Duration) -> io::Result<Self> {
        // Or else the last piece of an answer waits until the client confirms the ones before.
        socket.set_nodelay(true)?;
        // A system that cannot is served as well.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT);
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

    /// The phase, for the requests that come by this connection.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.clone()
    }

    /// Receives what the framework may have of what has come.
    fn receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Stage::Working | Stage::Receiving(Some(0)) = self.phase.0.stage.get() {
            self.phase.0.reader.set(Some(context.waker().clone()));
            if self.phase.0.is_watched.get() && self.ahead.is_empty() {
                let mut next = [0];
                // Nothing but the end or a failure can be seen without reading on.
                let peeked = self.socket.poll_peek(context, &mut ReadBuf::new(&mut next));
                self.phase.0.is_closed.set(matches!(peeked, Poll::Ready(Ok(0) | Err(_))));
            }
            return Poll::Pending;
        }
        if self.chunks == Chunks::Broken {
            // For the framework it ends too early, and whoever wants it hears of that.
            return Poll::Ready(Ok(()));
        }
        // Whoever sent some of the body already waits for nothing.
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
                ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
                self.gives_way = buffer.remaining() == 0;
            } else {
                let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(PIECE));
                ready!(Pin::new(&mut self.socket).poll_read(context, &mut piece))?;
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

    /// How much the framework may have of these bytes, which come next. Replaces what it must not see of a head.
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
                    // First it is told whether a body comes.
                    self.gives_way = true;
                }
                portion
            }
        }
    }

    /// Sends what is left of an interim answer. It goes straight to the socket: when a body is read, all of the answer before
    /// it is out, since nothing is read while the client does not take that.
    fn send_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(context, self.interim))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.interim = &self.interim[sent..],
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends some of `bytes`; instead of a refusal of the framework's, the same with a body.
    fn send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.send_interim(context))?;
        if self.refusal.is_none()
            && let Stage::Waiting(since) = self.phase.0.stage.get()
        {
            match refusal::find(bytes) {
                Some(0) => self.refuse(bytes, since),
                // First what is to go out before it.
                Some(start) => return Pin::new(&mut self.socket).poll_write(context, &bytes[..start]),
                None => {}
            }
        }
        let Some((refusal, sent)) = &mut self.refusal else {
            return Pin::new(&mut self.socket).poll_write(context, bytes);
        };
        while *sent < refusal.len() {
            match Pin::new(&mut self.socket).poll_write(context, &refusal[*sent..]) {
                Poll::Ready(Ok(more @ 1..)) => *sent += more,
                stopped @ (Poll::Ready(_) | Poll::Pending) => return stopped,
            }
        }
        self.refusal = None;
        Poll::Ready(Ok(bytes.len()))
    }

    /// Completes a refusal of the framework's, and tells of it, as of a request.
    fn refuse(&mut self, head: &[u8], since: Instant) {
        let id = new_request_id();
        let Some(Refusal { status, detail, bytes }) = Refusal::new(head, &id) else { return };
        let line = RequestLine {
            method: "-",
            path: "-",
            status: Some(status),
            bytes: bytes.len() as u64,
            elapsed_ms: milliseconds(since.elapsed()),
            client: self.socket.peer_addr().ok().map(|address| address.ip()),
            request_id: &id,
            gone: false,
            error: Some(detail),
        };
        say_request(LogLevel::Info, &line);
        self.refusal = Some((bytes, 0));
    }

    /// Whether the client has not taken enough for so long that the connection is to be closed.
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
        // The answer that goes out has a deadline of its own, and whoever sends it wakes the task when it is out.
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
                    // The client could not know before that it may ask for more.
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
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// One timer for all deadlines. It is seldom set: when it goes off for a deadline that has moved on, it is set again.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether it is over at `deadline`. If not, the task is woken then, or earlier, to ask again.
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
