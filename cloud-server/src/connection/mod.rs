//! Limits of TCP connections: how many there may be, and how long each part of an exchange may
//! take.
//!
//! The web framework limits the time of the first request head only. A client that drips a
//! second head, drips on after an error response, or never reads would keep its connection for
//! ever, and a few hundred of them close the server. [`GuardedStream`] therefore measures every
//! connection itself; the framework sees its errors as those of the network.
//!
//! [`Admission`] limits the number of connections. When there is no place left, the oldest
//! connection that waits for its client is given up for a new one.

mod activity;
mod admission;
mod refusal;
mod slot;
mod stream;

use std::time::Duration;

pub(crate) use activity::{Activity, InFlight};
pub(crate) use admission::{Admission, Place, Refused};
pub(crate) use refusal::too_many_connections;
pub(crate) use stream::GuardedStream;

/// Deadlines of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Maximum number of open connections.
    pub total: usize,
    /// Maximum number of open connections of one client address; trusted proxies are exempt.
    pub per_address: usize,
    /// Maximum time without a request: until the first head has arrived, and between the end of
    /// a response and the end of the next head.
    pub head: Duration,
    /// Maximum time of an idle connection between two requests.
    pub keep_alive: Duration,
    /// Time in which a client has to accept at least 16 KiB of a response.
    pub write: Duration,
    /// Maximum time within a request in which no byte is received or sent, while the server waits for
    /// the client. What the server itself waits for has limits of its own.
    pub stalled: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 1024,
            per_address: 128,
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(5),
            write: Duration::from_secs(30),
            stalled: Duration::from_secs(50),
        }
    }
}
