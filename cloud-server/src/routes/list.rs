//! A candidate list on its way to the client.

use std::time::Instant;

use tandem_protocol::{CandidatesResponse, Timings};

use crate::{access::Role, candidate_stats::ListTimes, worker::JobOutput};

/// A response and what its middlewares and headers say about it.
pub(super) struct List {
    pub(super) response: CandidatesResponse,
    /// Number of tokens that were evaluated.
    pub(super) tokens: usize,
    pub(super) times: ListTimes,
    /// The release of its rows.
    pub(super) release: Option<String>,
}

/// The unit of the total time that a public key is told, in milliseconds.
const PUBLIC_MS: f64 = 10.0;

/// What a caller is told of the time of a list. Time and tokens of the prompt tell whether its
/// history is in the prefix cache, and so does an exact difference between the total time and that
/// in the queue: a public key is told the total time only, in steps of ten milliseconds. If lists
/// are shared, it is told no time, which would tell whether somebody has requested the same list.
pub(super) fn timings(
    output: &JobOutput,
    role: Role,
    arrived: Instant,
    are_shared: bool,
) -> Timings {
    let generation = &output.generation;
    let total_ms = arrived.elapsed().as_secs_f64() * 1e3;
    match role {
        Role::Public if are_shared => Timings::default(),
        Role::Public => {
            Timings { total_ms: (total_ms / PUBLIC_MS).ceil() * PUBLIC_MS, ..Timings::default() }
        }
        Role::Admin => Timings {
            queue_ms: output.queue_ms,
            prompt_ms: generation.prompt_ms,
            decode_ms: generation.decode_ms,
            prompt_tokens: generation.prompt_tokens,
            decoded_tokens: generation.decoded_tokens,
            total_ms,
        },
    }
}
