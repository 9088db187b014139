//! The composition root: starts the server and the rollup task, opens the store, and stops them in order.
//!
//! The address is bound first, so that nothing is created on disk if that fails. The server answers while the database is being
//! opened, since opening a large file that has to be verified takes long. The thread of the rollup task opens the database. Both
//! threads are supervised: when one ends by itself, readiness says so at once, waiting clients get an answer, and [`App::failed`]
//! returns.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{App as Routes, Error};
use futures_util::TryFutureExt as _;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use crate::access::Access;
use crate::api::{
    self, Connection, Exports, Looks, PublicUrls, ReadSettings, ResponseCache, Scheme, Socket, State, WriteGuard,
};
use crate::config::{Config, ConfigError, RetentionConfig, WebOrigin};
use crate::dashboard;
use crate::descriptors;
use crate::store::{Store, StoreError};
use crate::supervision::supervise;
use crate::telemetry::server_metrics::ServerMetrics;
use crate::time::Clock;
use crate::tls::{ServerCertificate, TlsError};
use crate::worker::retention::{Expiry, RetentionGuard};
use crate::worker::{Queue, Readiness, Retention, RollupTask};

/// The module of the framework that logs malformed HTTP as errors. The log leaves it out, since this program has lines of its own
/// for that.
pub const REQUESTS_OF_FRAMEWORK: &str = "actix_http::h1";
/// How often the files of the certificate are read.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(1);
/// How long a client may take to close a connection.
const CLOSE_WAITS: Duration = Duration::from_secs(1);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or the database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate of the server cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}{}", hint(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The server's threads cannot be started.
    #[error("the server cannot start: {0}")]
    Server(#[source] io::Error),
}

/// A message of a thread.
#[derive(Debug)]
enum Event {
    /// The database is open, or cannot be opened.
    Opened(Result<(), StoreError>),
    /// A thread that must not end has ended.
    Ended(String),
}

/// A hint for an address that another program uses.
fn hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::AddrInUse {
        "; if another scale-metrics runs there, `--listen 127.0.0.1:0` takes a free port"
    } else {
        ""
    }
}

/// The running program.
pub struct App {
    address: SocketAddr,
    scheme: Scheme,
    store: Arc<Store>,
    queue: Arc<Queue>,
    readiness: Arc<Readiness>,
    server: ServerHandle,
    server_thread: JoinHandle<io::Result<()>>,
    task_thread: JoinHandle<io::Result<()>>,
    events: UnboundedReceiver<Event>,
}

impl App {
    /// Starts everything. When this returns, the server takes reads and writes.
    pub fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(StartError::Server)?;
        let mut app = Self::begin(config, clock)?;
        runtime.block_on(async {
            match app.opened().await {
                Ok(()) => Ok(app),
                Err(error) => {
                    app.abandon().await;
                    Err(error)
                }
            }
        })
    }

    /// Starts everything. When this returns, the server answers, and the database is being opened.
    pub fn begin(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::begin_with(config.storage.store()?, config, clock)
    }

    /// Like [`begin`](Self::begin), with a store that is not open yet.
    pub fn begin_with(store: Store, config: Config, clock: Clock) -> Result<Self, StartError> {
        let tls_files = config.server.tls_files()?;
        let certificate = tls_files.map(|(certificate, key)| ServerCertificate::load(certificate, key)).transpose()?;
        let scheme = if certificate.is_some() { Scheme::Https } else { Scheme::Http };
        let listen = config.server.listen;
        let listen_error = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        descriptors::make_room(config.server.max_connections);
        let store = Arc::new(store);
        let queue = Arc::new(Queue::new(config.server.queue_bytes));
        let retention = Arc::new(retention_guard(&config, clock.clone()));
        // The clock does not support an arbitrary number of seconds; a day is as good as no limit.
        let stall = Duration::from_secs(config.server.stall_timeout_s.min(24 * 60 * 60));
        let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let connections = Connections { workers, most: config.server.max_connections, stall, certificate };
        let reads = ReadSettings::new(&config, clock);
        let origins = config.server.cors_origins;
        // Without tokens and without open writes, the server listens on loopback, and nothing else prevents others from writing.
        let is_only_loopback = config.access.tokens.is_empty() && !config.server.allow_open_writes;
        let write_guard = WriteGuard::new(origins.clone(), is_only_loopback);
        let readiness = Arc::<Readiness>::default();
        readiness.opening(store.open_progress());
        let figures = Arc::<ServerMetrics>::default();
        let public_urls = PublicUrls {
            listens_on: address,
            scheme,
            base_path: config.server.base_path,
            trusted_proxies: config.server.trusted_proxies,
        };
        let state = Data::new(State {
            public_urls,
            access: Access::new(config.access.tokens, config.access.public_read),
            write_guard,
            store: Arc::clone(&store),
            looks: Arc::new(Looks::new(Arc::clone(&store))),
            queue: Arc::clone(&queue),
            responses: Arc::new(ResponseCache::new(
                config.api.answer_bytes,
                config.api.answer_cache_bytes,
                workers,
                // The clock does not support an arbitrary number of seconds.
                Duration::from_secs(config.api.answer_timeout_s.min(24 * 60 * 60)),
                Arc::clone(&figures),
            )),
            readiness: Arc::clone(&readiness),
            figures: Arc::clone(&figures),
            reads,
            retention: Arc::clone(&retention),
            openapi: OnceLock::new(),
            max_body_bytes: config.server.max_body_bytes,
            body_timeout: Duration::from_secs(config.server.body_timeout_s),
            body_least_bytes_s: config.server.body_least_bytes_s,
            readers: Semaphore::new(workers),
            exports: Exports::default(),
            rebuilds: Semaphore::new(1),
        });
        let (tell, events) = unbounded_channel();
        let watch = Watch { readiness: Arc::clone(&readiness), queue: Arc::clone(&queue), tell };
        let (server, server_thread) =
            start_server(listener, state, connections, origins, watch.clone()).map_err(StartError::Server)?;
        let task = RollupTask::new(
            Arc::clone(&store),
            Arc::clone(&queue),
            Arc::clone(&readiness),
            figures,
            Expiry::new(retention),
        );
        let work = {
            let (readiness, tell) = (Arc::clone(&readiness), watch.tell.clone());
            move || {
                open_and_run(task, &readiness, &tell);
                Ok(())
            }
        };
        let task_thread = supervise("rollup-task", work, move |error| watch.ended("rollup-task", error))
            .map_err(StartError::Server)?;
        Ok(Self { address, scheme, store, queue, readiness, server, server_thread, task_thread, events })
    }

    /// Waits until the database is open and the server takes reads and writes. The caller calls it until it has returned once. If
    /// it fails, the caller can only [`abandon`](Self::abandon) the program.
    pub async fn opened(&mut self) -> Result<(), StartError> {
        match self.events.recv().await {
            Some(Event::Opened(opened)) => Ok(opened?),
            Some(Event::Ended(reason)) => Err(StartError::Server(io::Error::other(reason))),
            None => Err(StartError::Server(io::Error::other("all threads have ended"))),
        }
    }

    /// The progress of opening the database, as a text for people.
    pub fn open_progress(&self) -> String {
        self.store.open_progress().to_string()
    }

    /// Waits until a thread ends that must not end, after the database was [`opened`](Self::opened); returns the reason.
    pub async fn failed(&mut self) -> io::Error {
        loop {
            match self.events.recv().await {
                Some(Event::Ended(reason)) => return io::Error::other(reason),
                Some(Event::Opened(_)) => {}
                None => return io::Error::other("all threads have ended"),
            }
        }
    }

    /// Ends the program while the database is being opened, or after that failed. Does not wait for the database, whose file
    /// stays as after a crash.
    pub async fn abandon(self) {
        self.announce_stop();
        self.queue.give_up();
        self.server.stop(false).await;
    }

    /// The address on which the server listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the server, by the address on which it listens.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme.name(), self.address)
    }

    /// The queue of the rollup task, for requests that do not come over HTTP.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Announces that the server is about to stop; it goes on until then.
    pub fn announce_stop(&self) {
        self.readiness.stop();
    }

    /// Stops in order: takes no more connections, finishes running requests, commits the waiting requests, closes the database.
    /// When `hurry` completes, the requests that still run are broken off, at the latest when the process ends.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> io::Result<()> {
        self.announce_stop();
        let served = tokio::select! {
            () = self.server.stop(true) => join(self.server_thread),
            () = hurry => {
                tracing::warn!("running requests are broken off");
                Ok(())
            }
        };
        self.queue.close();
        let wrote = join(self.task_thread);
        self.store.close();
        served.and(wrote)
    }
}

/// Waits for a supervised thread and returns its result.
fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    // A supervised thread catches its own panics.
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked at its end")))
}

/// Opens the database, then works until the queue is closed and empty. Does not wait for a receiver of the message that it is
/// open.
fn open_and_run(mut task: RollupTask, readiness: &Readiness, tell: &UnboundedSender<Event>) {
    let opened = task.open();
    let is_open = opened.is_ok();
    if is_open {
        // This comes before a client can ask whether the database is writable, or post events that may be too old.
        task.find_room();
        task.expire();
        readiness.opened();
    }
    // The caller that runs the program may be gone.
    let _ = tell.send(Event::Opened(opened));
    if is_open {
        task.run();
    }
}

/// Reacts when a thread ends.
#[derive(Clone)]
struct Watch {
    readiness: Arc<Readiness>,
    queue: Arc<Queue>,
    tell: UnboundedSender<Event>,
}

impl Watch {
    /// Handles the end of a thread. An end without an error is a fault unless the server is stopping or the database is being
    /// opened.
    fn ended(&self, name: &str, error: Option<&io::Error>) {
        if error.is_none() && (self.readiness.is_stopping() || self.readiness.is_opening()) {
            return;
        }
        let reason = error.map_or_else(|| format!("the thread `{name}` ended"), ToString::to_string);
        self.readiness.end(&reason);
        // The message goes first, in case the next steps fail for the same reason as the thread. The caller that runs the program
        // may be gone.
        let _ = self.tell.send(Event::Ended(reason));
        self.queue.give_up();
    }
}

/// The retention guard for these settings.
pub fn retention_guard(config: &Config, clock: Clock) -> RetentionGuard {
    let RetentionConfig { events_days, rollups_days, grace_hours } = config.retention;
    let grace = Duration::from_secs(grace_hours.saturating_mul(60 * 60));
    RetentionGuard::new(Retention { events_days, rollups_days }, grace, clock)
}

/// The limits of the connections, and the threads that serve them.
struct Connections {
    /// The number of threads.
    workers: usize,
    /// The largest number of connections at once.
    most: usize,
    /// How long a connection may make no progress.
    stall: Duration,
    /// The certificate of the server, if it speaks HTTPS.
    certificate: Option<Arc<ServerCertificate>>,
}

/// Runs the server on a thread of its own. Returns when it takes connections.
fn start_server(
    listener: TcpListener,
    state: Data<State>,
    Connections { workers, most, stall, certificate }: Connections,
    origins: Vec<WebOrigin>,
    watch: Watch,
) -> io::Result<(ServerHandle, JoinHandle<io::Result<()>>)> {
    let (started, handle) = mpsc::channel();
    let serve = move || {
        actix_web::rt::System::new().block_on(async move {
            let builder = Server::build().workers(workers).max_concurrent_connections(most.div_ceil(workers));
            // There is no shutdown timeout: requests end by themselves, since the time without progress is limited.
            let builder = builder.disable_signals().shutdown_timeout(u64::MAX);
            let stop = builder.graceful_shutdown_signal();
            let tls = certificate.as_ref().map(|certificate| TlsAcceptor::from(certificate.server_config()));
            if let Some(certificate) = certificate {
                // Ends with this thread, on which nothing else has to be quick.
                actix_web::rt::spawn(async move {
                    loop {
                        actix_web::rt::time::sleep(CERTIFICATE_LOOK).await;
                        certificate.look();
                    }
                });
            }
            // `HttpServer` does the same, but it takes bare sockets only.
            let worker = move || {
                let routes = Routes::new().app_data(state.clone()).configure(dashboard::routes).configure(api::routes);
                let has_base_path = !state.public_urls.base_path.as_str().is_empty();
                let routes = routes.wrap(Condition::new(has_base_path, from_fn(api::strip_base_path)));
                let routes = routes.wrap(api::cors(&origins)).wrap(from_fn(api::observe)).into_factory();
                let routes =
                    map_config(routes.map_err(|error: Error| error.error_response()), |()| AppConfig::default());
                let (tls, stop, stop_of_http) = (tls.clone(), stop.clone(), stop.clone());
                let http = HttpService::build()
                    .graceful_shutdown_signal(move || {
                        let stop = stop_of_http.clone();
                        async move { stop.notified().await }
                    })
                    // The framework's own timer runs while an answer is still being sent, and would cut it off.
                    .keep_alive(KeepAlive::Os)
                    // The timeout of the first request's head is the same as that of any other.
                    .client_request_timeout(stall)
                    .client_disconnect_timeout(CLOSE_WAITS)
                    .on_connect_ext(|connection: &Connection, data| _ = data.insert(connection.phase()))
                    .h1(routes);
                let connect = move |socket: TcpStream| {
                    let (tls, stop) = (tls.clone(), stop.clone());
                    async move {
                        let client = socket.peer_addr().ok();
                        let socket = match tls {
                            None => Socket::Plain(socket),
                            Some(tls) => tokio::select! {
                                accepted = api::accept_tls(socket, &tls, stall) => accepted?,
                                () = stop.notified() => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                            },
                        };
                        Ok((Connection::new(socket, stall)?, client))
                    }
                };
                fn_service(move |socket| connect(socket).map_err(DispatchError::Io)).and_then(http)
            };
            let server = builder.listen("http", listener, worker)?.run();
            started.send(server.handle()).map_err(|_| io::Error::other("nobody waits for the server"))?;
            server.await
        })
    };
    let thread = supervise("http", serve, move |error| watch.ended("http", error))?;
    match handle.recv() {
        Ok(handle) => Ok((handle, thread)),
        Err(_) => Err(join(thread).err().unwrap_or_else(|| io::Error::other("the server ended at once"))),
    }
}
