use std::time::Duration;

use crate::{access::Rates, connection::ConnectionLimits};

/// Limits of requests and connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum size of a body in bytes.
    pub body: usize,
    /// Maximum memory of all bodies that are arriving, in bytes.
    pub body_memory: usize,
    /// Maximum number of ids in one list of a request (history, exclusions).
    pub ids: usize,
    /// Maximum number of items in a request for rows.
    pub rows: usize,
    /// Number of candidates if the request does not specify it.
    pub default_candidates: usize,
    /// Maximum number of candidates in one list.
    pub max_candidates: usize,
    /// Maximum number of histories in one batch.
    pub batch: usize,
    /// Maximum time from the arrival of a request for candidates to its response.
    pub timeout: Duration,
    /// Maximum time from the arrival of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// Rates of each client with the rights of a public key.
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            body_memory: 64 << 20,
            ids: 10_000,
            rows: 1_000,
            default_candidates: 50,
            max_candidates: 200,
            batch: 64,
            timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(10),
            connections: ConnectionLimits::default(),
            rates: Rates::default(),
        }
    }
}
