//! Hostile clients of every sort at once, while a good one is watched: its answers are right, and how long it waits is told.
//!
//! The hostile ones speak by raw socket, and nothing that they send may be stored. Each sort by itself: `tests/it/hostile.rs`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::SockRef;

use crate::number;
use crate::random::Random;
use crate::server::{Client, GIVE_UP, SERVE, Server, program};

/// The path that hostile clients ask for.
const PLOT: &str = "/v6/metrics/job-types/plot-data/";
/// A job of a type that nobody defined: whoever posts it is refused.
const REFUSED: &str = r#"[{"kind":"job","id":1,"job_type":4242,"status":"COMPLETED","ended":"2015-01-01T00:00:00Z"}]"#;

/// What hostile clients share.
struct Siege {
    address: String,
    idle: u64,
    is_over: AtomicBool,
}

/// A sort of hostile client: one attack.
type Attack = fn(&Siege, &mut Random);

/// All sorts but the idle ones.
const SORTS: [(&str, Attack); 10] = [
    ("slow heads", slow_head),
    ("slow bodies", slow_body),
    ("half-closed connections", half_closed),
    ("bodies cut off", cut_off),
    ("smuggled requests", smuggle),
    ("damaged requests", damaged),
    ("requests without end", pipeline),
    ("answers not read", unread),
    ("deep and huge JSON", deep),
    ("bytes at random", noise),
];

impl Siege {
    fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(GIVE_UP)).unwrap();
        connection.set_write_timeout(Some(GIVE_UP)).unwrap();
        connection
    }

    /// Sends bytes and says that no more will come; what comes back until the server closes the connection, or nothing if the
    /// siege is over before.
    fn ask(&self, request: &[u8]) -> Option<String> {
        let mut connection = self.connect();
        // It may be refused before it is sent.
        let _ = connection.write_all(request).and_then(|()| connection.shutdown(Shutdown::Write));
        connection.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 1 << 14]);
        loop {
            match connection.read(&mut piece) {
                Ok(length @ 1..) => answer.extend_from_slice(&piece[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.is_over.load(Ordering::Relaxed) {
                        return None;
                    }
                }
                Ok(0) | Err(_) => return Some(String::from_utf8_lossy(&answer).into_owned()),
            }
        }
    }

    /// Opens connections, sends on each the first bytes at once and the others one by one, each after a while, until the
    /// server or the siege has had enough.
    fn drip(&self, first: &str, others: &[u8]) {
        let mut connections: Vec<_> = (0..100).map(|_| self.connect()).collect();
        connections.retain_mut(|connection| connection.write_all(first.as_bytes()).is_ok());
        for byte in others {
            if self.is_over.load(Ordering::Relaxed) || connections.is_empty() {
                return;
            }
            connections.retain_mut(|connection| connection.write_all(&[*byte]).is_ok());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The statuses of the answers that came over one connection.
fn statuses(answers: &str) -> Vec<u16> {
    let after = answers.match_indices("HTTP/1.1 ").map(|(place, name)| &answers[place + name.len()..]);
    after.map(|rest| rest.get(..3).and_then(|status| status.parse().ok()).unwrap_or(0)).collect()
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}")
}

fn posted(body: &str) -> String {
    post(&format!("Content-Length: {}", body.len()), body)
}

fn slow_head(siege: &Siege, _: &mut Random) {
    siege.drip(&format!("GET {PLOT} HTTP/1.1\r\nHost: x\r\nX-Slow: "), &[b'x'; 3000]);
}

fn slow_body(siege: &Siege, random: &mut Random) {
    let (head, piece) =
        [("Content-Length: 60000000", " "), ("Transfer-Encoding: chunked", "1\r\n \r\n")][random.below(2)];
    siege.drip(&post(head, ""), piece.repeat(500).as_bytes());
}

/// Whoever says that no more will come, and has asked, is answered.
fn half_closed(siege: &Siege, _: &mut Random) {
    let Some(answer) = siege.ask(format!("GET {PLOT}?column=total_count HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    else {
        return;
    };
    assert_eq!(statuses(&answer), [200], "{answer}");
}

fn cut_off(siege: &Siege, random: &mut Random) {
    let whole = posted(REFUSED);
    let Some(answer) = siege.ask(&whole.as_bytes()[..random.below(whole.len() - 1)]) else { return };
    assert!(!statuses(&answer).contains(&200), "{answer}");
}

/// Two may read these in two ways: whatever comes behind the first request must not be answered as one.
fn smuggle(siege: &Siege, random: &mut Random) {
    let hidden = format!("GET {PLOT} HTTP/1.1\r\nHost: x\r\n\r\n");
    let chunked = |size: &str| post("Transfer-Encoding: chunked", &format!("{size}\r\n[]\r\n0\r\n\r\n{hidden}"));
    let forms = [
        post("Content-Length: 4\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: chunked\r\nContent-Length: 4", &format!("0\r\n\r\n{hidden}")),
        post("Content-Length: 2\r\nContent-Length: 9", &format!("[]{hidden}")),
        post("Content-Length: +2", &format!("[]{hidden}")),
        post("Content-Length: 0x2", &format!("[]{hidden}")),
        post("Content-Length: 2 2", &format!("[]{hidden}")),
        post("Content-Length: 2,2", &format!("[]{hidden}")),
        post("Content-Length: 18446744073709551618", &format!("[]{hidden}")),
        post("Content-Length : 2", &format!("[]{hidden}")),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: identity, chunked, identity", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding : chunked", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: xchunked", &format!("0\r\n\r\n{hidden}")),
        post("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 4", &format!("0\r\n\r\n{hidden}")),
        chunked("0x2"),
        chunked("-2"),
        chunked("+2"),
        chunked("2 2"),
        chunked("FFFFFFFFFFFFFFFF2"),
        chunked("10000000000000002"),
        chunked(""),
        post("Transfer-Encoding: chunked", &format!("2\r\n[]XX0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: chunked", &format!("3\r\n[]\r\n0\r\n\r\n{hidden}")),
    ];
    let form = &forms[random.below(forms.len())];
    let Some(answer) = siege.ask(form.as_bytes()) else { return };
    let statuses = statuses(&answer);
    assert!(statuses.len() <= 1 && !statuses.contains(&200), "{form:?}: {answer}");
}

/// Right requests with a byte in a wrong place: they may still be right.
fn damaged(siege: &Siege, random: &mut Random) {
    let get = format!("GET {PLOT}?column=total_count&page_size=10 HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n");
    let mut request = [get, posted(REFUSED)][random.below(2)].clone().into_bytes();
    for _ in 0..=random.below(3) {
        let place = random.below(request.len());
        let byte = u8::try_from(random.below(256)).unwrap();
        match random.below(3) {
            0 => request[place] = byte,
            1 => request.insert(place, byte),
            _ => _ = request.remove(place),
        }
    }
    let Some(answer) = siege.ask(&request) else { return };
    let is_right = |status: &u16| matches!(status, 100 | 200 | 300..=499 | 503 | 505);
    assert!(statuses(&answer).iter().all(is_right), "{}: {answer}", String::from_utf8_lossy(&request));
}

/// Hundreds of requests at once, maybe behind one that takes a while; all are answered.
fn pipeline(siege: &Siege, random: &mut Random) {
    let first = if random.below(2) == 0 { posted("[]") } else { String::new() };
    let expected = 301 + usize::from(!first.is_empty());
    let request = [first, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(300)].concat();
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let Some(answers) = siege.ask(format!("{request}{last}").as_bytes()) else { return };
    assert_eq!(statuses(&answers), vec![200; expected]);
}

/// Asks for much and reads nothing. What that leaves of the server's memory: [`who_does_not_read_is_not_read`].
fn unread(siege: &Siege, _: &mut Random) {
    let mut connection = siege.connect();
    connection.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = format!("GET {PLOT}?resolution=hour HTTP/1.1\r\nHost: x\r\n\r\n").repeat(50);
    for _ in 0..50 {
        if siege.is_over.load(Ordering::Relaxed) || connection.write_all(request.as_bytes()).is_err() {
            break;
        }
    }
}

fn deep(siege: &Siege, random: &mut Random) {
    let mut body = match random.below(7) {
        0 => "[".repeat(1 << 20),
        1 => r#"{"a":"#.repeat(1 << 18),
        2 => format!("[{}]", "1,".repeat(1 << 19)),
        3 => format!(r#"[{{"kind":"job","kind":"ingest","id":{}}}]"#, "9".repeat(1 << 20)),
        4 => format!(r#"[{{"kind":"job","{}":1}}]"#, "k".repeat(1 << 20)),
        5 => format!(r#"[{{{}"kind":"job"}}]"#, r#""x":1,"#.repeat(1 << 17)),
        _ => format!(r#"[{{"kind":"{}"}}]"#, "\\u0000".repeat(1 << 17)),
    }
    .into_bytes();
    if random.below(4) == 0 {
        let place = random.below(body.len());
        body[place] = 0xff;
    }
    let head = post(&format!("Connection: close\r\nContent-Length: {}", body.len()), "");
    let Some(answer) = siege.ask(&[head.as_bytes(), &body].concat()) else { return };
    assert!(statuses(&answer).iter().all(|status| matches!(status, 400 | 413 | 503)), "{answer}");
    assert!(answer.len() < 100_000, "an answer of {} bytes", answer.len());
}

fn noise(siege: &Siege, random: &mut Random) {
    let bytes: Vec<u8> = (0..random.below(5_000)).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let Some(answer) = siege.ask(&bytes) else { return };
    assert!(statuses(&answer).iter().all(|status| matches!(status, 400..=499 | 505)), "{answer}");
}

/// Connections that are open, and that is all. Returns how many there were.
fn stay_idle(siege: &Siege) -> usize {
    let mut connections = Vec::new();
    while !siege.is_over.load(Ordering::Relaxed) {
        if connections.len() < usize::try_from(siege.idle).unwrap() {
            connections.push(siege.connect());
        } else {
            thread::sleep(Duration::from_millis(20));
        }
    }
    connections.len()
}

/// Who posts a job after the other and sees each counted.
struct Good<'a> {
    client: &'a Client,
    jobs: u64,
}

/// How long somebody waited, each time.
#[derive(Default)]
struct Waits(Vec<Duration>);

impl Waits {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.0.push(began.elapsed());
        result
    }

    fn told(mut self) -> String {
        self.0.sort_unstable();
        let [median, most, longest] = [50, 99, 100].map(|percent| self.0[(self.0.len() - 1) * percent / 100]);
        format!("{} times, median {median:.1?}, 99 % within {most:.1?}, longest {longest:.1?}", self.0.len())
    }
}

impl Good<'_> {
    /// Posts and reads for that long, at least once.
    fn work(&mut self, what: &str, length: Duration) {
        let (mut posts, mut reads) = (Waits::default(), Waits::default());
        let end = Instant::now() + length;
        loop {
            self.jobs += 1;
            let job = json!({"kind": "job", "id": self.jobs, "job_type": 1, "status": "COMPLETED", "ended": "2015-01-01T00:00:00Z"});
            let (status, answer) = posts.time(|| self.client.post(&[job])).expect("it is answered");
            assert_eq!((status, &answer["created"]), (200, &json!(1)), "{answer}");
            let path = format!("{PLOT}?column=completed_count");
            let (status, answer) = reads.time(|| self.client.get(&path)).expect("it is answered");
            assert_eq!((status, &answer["results"][0]["values"][0]["value"]), (200, &json!(self.jobs)), "{answer}");
            if Instant::now() >= end {
                break;
            }
        }
        eprintln!("{what}: posts {}\n{what}: reads {}", posts.told(), reads.told());
    }
}

#[test]
fn a_good_client_is_served_and_told_the_truth_among_hostile_ones() {
    let directory = tempfile::tempdir().unwrap();
    let length = Duration::from_secs(number("FAULT_SIEGE_S", 3));
    let idle = number("FAULT_IDLE", 300);
    // Without a bound, who opens connections faster than they can be served takes as much memory as he likes.
    let connections = idle + 1000;
    let bound = ["--max-connections", &connections.to_string()];
    let server = Server::start(&mut program(directory.path(), &[&SERVE[..], &bound].concat()));
    let definition = json!({"kind": "job_type", "id": 1, "name": "good", "version": "1"});
    assert_eq!(server.client.post(&[definition]).unwrap().0, 200);
    let siege = Siege { address: server.client.address().to_owned(), idle, is_over: AtomicBool::new(false) };
    let mut good = Good { client: &server.client, jobs: 0 };
    good.work("alone", length);
    thread::scope(|scope| {
        let siege = &siege;
        let idle = scope.spawn(|| stay_idle(siege));
        let hostile = SORTS.iter().enumerate().map(|(place, (sort, attack))| {
            let attack = move || {
                let mut random = Random(number("FAULT_SEED", 1) + place as u64);
                let mut attacks = 0;
                while !siege.is_over.load(Ordering::Relaxed) {
                    attack(siege, &mut random);
                    attacks += 1;
                }
                attacks
            };
            (sort, scope.spawn(attack))
        });
        let hostile: Vec<_> = hostile.collect();
        good.work("besieged", length);
        siege.is_over.store(true, Ordering::Relaxed);
        for (sort, thread) in hostile {
            let attacks = thread.join().unwrap();
            eprintln!("{attacks:>8} {sort}");
        }
        eprintln!("{:>8} idle connections", idle.join().unwrap());
    });
    good.work("afterwards", Duration::from_millis(200));
    let peak_mib = server.peak_kib() >> 10;
    eprintln!("{peak_mib} MiB at most");
    // As the settings say for a connection; bodies, pages, answers and the process itself.
    let most_mib = connections * 60 / 1024 + 200;
    assert!(peak_mib < most_mib, "{peak_mib} MiB");
    assert!(server.end("TERM").success());
}

/// As many requests as anybody takes, and no answer is read: the server does not read them either.
#[test]
fn who_does_not_read_is_not_read() {
    const CLIENTS: u64 = 100;
    /// A server that reads so much of each reads all that comes.
    const MOST: usize = 4 << 20;
    let definition = json!({"kind": "job_type", "id": 1, "name": "good", "version": "1"});
    // All behind one that is stored, which takes a while.
    let first = posted(&definition.to_string());
    for target in [format!("{PLOT}?resolution=hour"), "/".to_owned()] {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::serve(directory.path());
        let siege = Siege { address: server.client.address().to_owned(), idle: 0, is_over: AtomicBool::new(false) };
        assert_eq!(server.client.post(std::slice::from_ref(&definition)).unwrap().0, 200);
        let request = format!("GET {target} HTTP/1.1\r\nHost:x\r\n\r\n");
        let many = request.repeat((1 << 16) / request.len());
        let before = server.peak_kib();
        let mut connections: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut connection = siege.connect();
                // What waits on this side shows nothing, and takes minutes to be answered.
                SockRef::from(&connection).set_send_buffer_size(16 << 10).unwrap();
                connection.write_all(first.as_bytes()).unwrap();
                connection.set_nonblocking(true).unwrap();
                (connection, 0)
            })
            .collect();
        // Until nobody gets rid of anything, again and again: a busy server may not have read yet what it will read.
        let mut rounds_in_vain = 0;
        while rounds_in_vain < 10 {
            let mut more = 0;
            for (connection, sent) in &mut connections {
                while *sent < MOST
                    && let Ok(written) = connection.write(&many.as_bytes()[*sent % many.len()..])
                {
                    *sent += written;
                    more += written;
                }
            }
            rounds_in_vain = if more == 0 { rounds_in_vain + 1 } else { 0 };
            thread::sleep(Duration::from_millis(20));
        }
        let each = (server.peak_kib() - before) / CLIENTS;
        let sent = connections.iter().map(|(_, sent)| sent).sum::<usize>() / connections.len();
        eprintln!("{each} KiB for each of {CLIENTS} connections that ask for {target} with {sent} bytes");
        assert!(each < 60, "{each} KiB");
        // Who reads in time gets an answer to each, also to what was read only then.
        for (mut connection, sent) in connections.into_iter().rev().take(3) {
            let rest = &request.as_bytes()[sent % request.len()..];
            let last = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
            connection.set_nonblocking(false).unwrap();
            let mut writer = connection.try_clone().unwrap();
            thread::scope(|scope| {
                scope.spawn(move || writer.write_all(&[rest, last.as_bytes()].concat()).unwrap());
                let mut answers = String::new();
                connection.read_to_string(&mut answers).unwrap();
                assert_eq!(statuses(&answers), vec![200; sent / request.len() + 3]);
            });
        }
    }
}
