//! The network between servers and their database: it can break in the middle of a commit.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use memchr::memmem::find;
use parking_lot::Mutex;

use super::process::wait_until;

/// What is in a commit, and in the answer to it.
const COMMIT: &[u8] = b"COMMIT\0";

/// Where a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// Before the database gets the commit.
    Before,
    /// After the database has committed, before it says so.
    After,
}

/// Passes everything on to a database, until it is told to break a connection.
pub(crate) struct Relay {
    /// The database's address, through here.
    pub(crate) address: String,
    next: Arc<Mutex<Option<Break>>>,
}

impl Relay {
    /// The way to this database.
    pub(crate) fn to(database: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (before, name) = database.rsplit_once('/').unwrap();
        let (user, place) = before.rsplit_once('@').unwrap();
        let address = format!("{user}@{}/{name}", listener.local_addr().unwrap());
        let (place, next): (SocketAddr, Arc<Mutex<Option<Break>>>) = (place.parse().unwrap(), Arc::default());
        let of_connections = Arc::clone(&next);
        // Ends with the process.
        thread::spawn(move || {
            for program in listener.incoming() {
                // Whoever connects while the database is away sees a connection that ends.
                if let (Ok(program), Ok(database)) = (program, TcpStream::connect(place)) {
                    pass_on(program, database, Arc::clone(&of_connections));
                }
            }
        });
        Self { address, next }
    }

    /// Breaks the connection of the next commit.
    pub(crate) fn break_next(&self, place: Break) {
        *self.next.lock() = Some(place);
    }

    /// Waits until that has happened, as long as `goes_on`; returns whether it has.
    pub(crate) fn has_broken(&self, goes_on: impl Fn() -> bool) -> bool {
        wait_until("a commit breaks off", || self.next.lock().is_none() || !goes_on());
        self.next.lock().take().is_none()
    }
}

/// Passes on what both say, each on a thread.
fn pass_on(program: TcpStream, database: TcpStream, next: Arc<Mutex<Option<Break>>>) {
    let is_mute = Arc::new(AtomicBool::new(false));
    for stream in [&program, &database] {
        stream.set_nodelay(true).unwrap();
    }
    let (answers, asked) = (database.try_clone().unwrap(), program.try_clone().unwrap());
    let mutes = Arc::clone(&is_mute);
    thread::spawn(move || {
        pass(&program, &database, |said| {
            if find(said, COMMIT).is_none() {
                return Pass::On;
            }
            match next.lock().take() {
                Some(Break::Before) => return Pass::End,
                Some(Break::After) => mutes.store(true, Ordering::SeqCst),
                None => {}
            }
            Pass::On
        });
    });
    thread::spawn(move || {
        pass(&answers, &asked, |said| match is_mute.load(Ordering::SeqCst) {
            false => Pass::On,
            true if find(said, COMMIT).is_some() => Pass::End,
            true => Pass::Nothing,
        });
    });
}

/// What becomes of something that was said.
enum Pass {
    On,
    Nothing,
    End,
}

/// Passes on what one side says, and ends both when either has ended. `decide` sees what was said with the end of what came before.
fn pass(mut from: &TcpStream, mut to: &TcpStream, mut decide: impl FnMut(&[u8]) -> Pass) {
    let mut said = vec![0; COMMIT.len() - 1];
    let mut piece = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        said.drain(..said.len() - (COMMIT.len() - 1));
        said.extend_from_slice(&piece[..length]);
        let is_sent = match decide(&said) {
            Pass::On => to.write_all(&piece[..length]).is_ok(),
            Pass::Nothing => true,
            Pass::End => false,
        };
        if !is_sent {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
