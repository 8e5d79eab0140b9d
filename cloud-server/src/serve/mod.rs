//! The HTTP server: a thread that accepts connections or refuses them, and threads that serve
//! them.
//!
//! `actix_server` hands every connection to an HTTP thread before anything can refuse it. A client
//! that reconnects without a pause then keeps the HTTP threads busy with refusals, and others
//! wait behind them. Here the accepting thread refuses, and a refusal costs two system calls.

mod accept;
mod worker;

use std::{
    io,
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_rt::ArbiterHandle;
use actix_web::web;
use tokio::sync::watch;

use crate::{connection::Admission, state::AppState};

/// Maximum number of HTTP threads. They only parse, look up and wait for the language models.
const MAX_HTTP_THREADS: usize = 4;
/// Maximum and minimum time that connections get to end after all requests have been answered.
const CLOSE: Duration = Duration::from_secs(1);
const CLOSE_AT_LEAST: Duration = Duration::from_millis(100);
/// Time between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(10);

/// A running HTTP server. Await [`Server::run`]; it stops when it is dropped.
#[derive(Debug)]
pub struct Server(ServerHandle);

/// Stops a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerHandle {
    /// Whether connections are accepted. The accepting thread has the only receiver.
    accepting: Arc<watch::Sender<bool>>,
    /// Whether connections end after the request that they are in.
    closing: Arc<watch::Sender<bool>>,
    stopped: Arc<watch::Sender<bool>>,
    threads: Arc<[ArbiterHandle]>,
    connections: Admission,
}

/// Starts the HTTP server on an open listener. It runs until it is stopped by its handle; signals
/// are left to the caller. Needs an `actix_rt` system.
///
/// # Errors
/// If the system refuses the listener or a thread.
pub fn serve(listener: TcpListener, state: web::Data<AppState>) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_HTTP_THREADS);
    let (accepting, accepts) = watch::channel(true);
    let closing = watch::Sender::new(false);
    let started: Vec<_> = (0..threads)
        .map(|_| worker::start(&state, address, threads, &closing))
        .collect::<io::Result<_>>()?;
    let (threads, workers): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    let handle = ServerHandle {
        accepting: Arc::new(accepting),
        closing: Arc::new(closing),
        stopped: Arc::new(watch::Sender::new(false)),
        threads: threads.into(),
        connections: state.connections.clone(),
    };
    accept::start(listener, workers, state.into_inner(), accepts)?;
    Ok(Server(handle))
}

impl Server {
    /// The handle that stops this server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.0.clone()
    }

    /// Waits until the server has been stopped.
    ///
    /// # Errors
    /// If it ends without having been stopped.
    pub async fn run(self) -> io::Result<()> {
        self.0.accepting.closed().await;
        if *self.0.accepting.borrow() {
            return Err(io::Error::other("the thread that accepts connections has ended"));
        }
        // The sender lives in `self`, so the only result is that the value has arrived.
        let _ = self.0.stopped.subscribe().wait_for(|stopped| *stopped).await;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.accepting.send_replace(false);
        self.0.end_threads();
    }
}

impl ServerHandle {
    /// Accepts no further connections and closes the open ones: at once, or after the request that
    /// each is in until the time `graceful`, for at most a second.
    ///
    /// Connections that the system has accepted by then are served like the open ones.
    pub async fn stop(&self, graceful: Option<Instant>) {
        self.accepting.send_replace(false);
        self.accepting.closed().await;
        if let Some(end) = graceful {
            let now = Instant::now();
            let end = end.clamp(now + CLOSE_AT_LEAST, now + CLOSE);
            // The connections that were accepted last have a request on its way.
            tokio::time::sleep(CLOSE_AT_LEAST / 2).await;
            self.closing.send_replace(true);
            while self.connections.open() > 0 && Instant::now() < end {
                tokio::time::sleep(POLL).await;
            }
        }
        self.end_threads();
        self.stopped.send_replace(true);
    }

    fn end_threads(&self) {
        for thread in self.threads.iter() {
            thread.stop();
        }
    }
}
