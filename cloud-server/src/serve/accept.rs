//! The thread that accepts connections. It never waits for a client, so that the backlog of the
//! listener is empty as soon as the processor allows.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc::UnboundedSender, watch},
};

use super::worker::Accepted;
use crate::{client::Client, connection::too_many_connections, state::AppState};

/// Pause after an error of the system, for example too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the thread. It ends when `accepts` becomes false or all workers have ended.
pub(super) fn start(
    listener: std::net::TcpListener,
    workers: Vec<UnboundedSender<Accepted>>,
    state: Arc<AppState>,
    accepts: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let acceptor = Acceptor { workers, next: 0, answer: too_many_connections(), state };
    thread::Builder::new().name("accept".to_owned()).spawn(move || {
        if let Err(error) = runtime.block_on(acceptor.run(listener, accepts)) {
            tracing::error!(%error, "no more connections are accepted");
        }
    })?;
    Ok(())
}

struct Acceptor {
    workers: Vec<UnboundedSender<Accepted>>,
    next: usize,
    /// What a client is told that is refused.
    answer: Vec<u8>,
    state: Arc<AppState>,
}

impl Acceptor {
    async fn run(
        mut self,
        listener: std::net::TcpListener,
        mut accepts: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        while !self.workers.is_empty() {
            let accepted = tokio::select! {
                // Also if the server is gone.
                _ = accepts.wait_for(|accepts| !accepts) => {
                    return self.admit_backlog(&listener.into_std()?);
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Err(io::Error::other("all HTTP threads have ended"))
    }

    /// Admits the connections that clients have opened already: when the listener is closed, the
    /// system resets those that are left.
    fn admit_backlog(&mut self, listener: &std::net::TcpListener) -> io::Result<()> {
        while let Ok((stream, peer)) = listener.accept() {
            stream.set_nonblocking(true)?;
            self.admit(TcpStream::from_std(stream)?, peer);
        }
        Ok(())
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let is_proxy = self.state.access().is_proxy(peer.ip());
        let admitted =
            self.state.connections.admit(Client::of(peer.ip()), is_proxy, Instant::now());
        match admitted {
            Ok(place) => {
                // From here on the stream belongs to the runtime of another thread.
                if let Ok(stream) = stream.into_std() {
                    self.send(Accepted { stream, peer, place });
                }
            }
            Err(refusal) => {
                self.state.metrics.connection_refused(refusal.reason);
                if refusal.is_answered {
                    // If it does not fit, the client sees a closed connection.
                    let _ = stream.into_std().and_then(|mut stream| stream.write(&self.answer));
                } else {
                    // Closes with a reset, and nothing is left of the connection.
                    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
            }
        }
    }

    /// Gives a connection to the next HTTP thread.
    fn send(&mut self, mut accepted: Accepted) {
        while !self.workers.is_empty() {
            self.next = (self.next + 1) % self.workers.len();
            match self.workers[self.next].send(accepted) {
                Ok(()) => return,
                Err(refused) => {
                    tracing::error!("an HTTP thread has ended");
                    self.workers.remove(self.next);
                    accepted = refused.0;
                }
            }
        }
    }
}

/// Whether an error is that of one connection, which its client has closed already.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
