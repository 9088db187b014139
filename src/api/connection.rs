//! Connections that get nowhere are closed.
//!
//! The server itself gives up on the first head of a connection that is slow, and on a connection that is idle. What it does
//! not see: a later head that never becomes complete, and an answer that nobody reads, which holds memory. So each
//! connection notes when it got somewhere, and a task looks after it. Bodies of requests have limits of their own
//! (`events`); a request that is worked on may take as long as it likes.

use std::any::Any;
use std::cell::Cell;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt;

/// How often it is looked at least whether a connection is still there.
const LOOK: Duration = Duration::from_secs(5);

/// What a connection notes of itself.
pub(crate) struct Connection {
    socket: TcpStream,
    stall: Duration,
    /// When it is closed unless it gets somewhere; `None` while a request is worked on.
    deadline: Cell<Option<Instant>>,
}

impl Connection {
    /// Has a new connection looked after, which may get nowhere for that long.
    pub(crate) fn watch(io: &dyn Any, data: &mut Extensions, stall: Duration) {
        let Some(stream) = io.downcast_ref::<rt::net::TcpStream>() else { return };
        // Where there are no more file descriptors, it goes on without.
        let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return };
        let connection = Rc::new(Self { socket: socket.into(), stall, deadline: Cell::new(None) });
        connection.gets_on();
        rt::spawn(look_after(Rc::downgrade(&connection)));
        data.insert(connection);
    }

    /// A request is worked on.
    pub(crate) fn works(&self) {
        self.deadline.set(None);
    }

    /// It got somewhere, and has to do so again.
    pub(crate) fn gets_on(&self) {
        self.deadline.set(Instant::now().checked_add(self.stall));
    }
}

/// Closes the connection when it gets nowhere.
async fn look_after(connection: Weak<Connection>) {
    while let Some(connection) = connection.upgrade() {
        let now = Instant::now();
        let deadline = connection.deadline.get();
        if deadline.is_some_and(|deadline| deadline <= now) {
            // Fails only if the client has closed it. The server finds it closed and lets go of everything.
            let _ = connection.socket.shutdown(Shutdown::Both);
            return;
        }
        drop(connection);
        let wait = deadline.map_or(LOOK, |deadline| (deadline - now).min(LOOK));
        rt::time::sleep(wait).await;
    }
}
