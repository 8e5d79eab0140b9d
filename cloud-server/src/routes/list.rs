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

/// What a caller is told of the time of a list. Time and tokens of the prompt tell whether its
/// history is in the prefix cache.
pub(super) fn timings(output: &JobOutput, role: Role, arrived: Instant) -> Timings {
    let generation = &output.generation;
    let public = Timings {
        queue_ms: output.queue_ms,
        total_ms: arrived.elapsed().as_secs_f64() * 1e3,
        ..Timings::default()
    };
    match role {
        Role::Public => public,
        Role::Admin => Timings {
            prompt_ms: generation.prompt_ms,
            decode_ms: generation.decode_ms,
            prompt_tokens: generation.prompt_tokens,
            decoded_tokens: generation.decoded_tokens,
            ..public
        },
    }
}
