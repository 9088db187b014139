//! What plot data is compared with: an actix handler that does nothing but return bytes that it has.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context as _;

/// The bare handler in a process of its own, as the server is. It is killed when dropped.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    /// Starts one that returns the bytes of that file.
    pub(crate) fn start(file: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--bare")
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the bare handler")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        Ok(Self { address: line.trim().parse().context("the bare handler does not say where it listens")?, child })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the bytes of a file until it is killed; prints where.
pub(crate) fn serve(file: &Path) -> anyhow::Result<()> {
    let bytes = Data::new(Bytes::from(fs::read(file)?));
    let app = move || App::new().app_data(bytes.clone()).route("/", web::get().to(handler));
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(app).tcp_nodelay(true).bind("127.0.0.1:0")?;
        println!("{}", server.addrs()[0]);
        Ok(server.run().await?)
    })
}

async fn handler(bytes: Data<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(Bytes::clone(&bytes))
}
