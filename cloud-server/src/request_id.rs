//! Ids of requests, which clients see and the log has.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::{dev::ServiceRequest, http::header::HeaderName};

use crate::state::AppState;

/// Maximum length of a request id that a proxy gives, in bytes.
const MAX_ID: usize = 64;

pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the proxy, or a new one.
pub(crate) fn request_id(request: &ServiceRequest, state: &AppState) -> String {
    let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let from_proxy = || request.peer_addr().is_some_and(|peer| state.access().is_proxy(peer.ip()));
    let is_plain = |id: &&str| {
        !id.is_empty()
            && id.len() <= MAX_ID
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if let Some(id) = given.filter(is_plain)
        && from_proxy()
    {
        return id.to_owned();
    }
    new_id()
}

/// A new id. It is a keyed hash of a counter, so that a client cannot tell from two of its ids how
/// many requests others have sent in between. The keys are random numbers of the operating system.
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    format!("{:016x}", KEYS.hash_one(NEXT.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_and_do_not_count_requests() {
        let ids: Vec<u64> =
            (0..1_000).map(|_| u64::from_str_radix(&new_id(), 16).unwrap()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        // Differences of a counter would be small and positive, and few.
        let steps: HashSet<u64> =
            ids.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert_eq!(steps.len(), ids.len() - 1);
        assert!(!ids.is_sorted());
    }
}
