use std::sync::atomic::{AtomicI64, Ordering};

/// Requests for which one second request is allowed.
const REQUESTS_PER_HEDGE: i64 = 20;
/// Second requests that may be saved up.
const SAVED: i64 = 10;

/// Limits second requests to a twentieth of all: a slow moment of all generators must not double
/// their load (Dean and Barroso, "The tail at scale", 2013).
#[derive(Debug)]
pub(super) struct Hedges {
    /// In parts of a second request.
    credit: AtomicI64,
}

impl Default for Hedges {
    fn default() -> Self {
        Self { credit: AtomicI64::new(SAVED * REQUESTS_PER_HEDGE) }
    }
}

impl Hedges {
    /// Counts a request.
    pub(super) fn request(&self) {
        let add = |credit: i64| (credit < SAVED * REQUESTS_PER_HEDGE).then_some(credit + 1);
        let _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Whether a second request may be sent now.
    pub(super) fn take(&self) -> bool {
        let take =
            |credit: i64| (credit >= REQUESTS_PER_HEDGE).then(|| credit - REQUESTS_PER_HEDGE);
        self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_of_the_requests_is_sent_twice() {
        let hedges = Hedges::default();
        let saved = (0..1000).filter(|_| hedges.take()).count();
        assert_eq!(saved, 10);
        let mut sent = 0;
        for _ in 0..1000 {
            hedges.request();
            sent += usize::from(hedges.take());
        }
        assert_eq!(sent, 50);
    }
}
