//! What a consumer has done, for its log and its metrics.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tandem_storage::StreamedCounts;

/// What a consumer has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) messages: u64,
    /// Events that were not in the database before.
    pub(crate) stored: u64,
    /// Events that were.
    pub(crate) duplicates: u64,
    /// Events whose visitor was removed.
    pub(crate) forgotten: u64,
    /// Messages that were no events.
    pub(crate) refused: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The counters. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    messages: Counter,
    events: Family<ResultLabel, Counter>,
    refused: Counter,
    waiting: Gauge<i64, AtomicI64>,
    ready: Gauge<i64, AtomicI64>,
}

impl Counters {
    pub(crate) fn register(&self, registry: &mut Registry) {
        // They are in the metrics before the first event, so that rates begin at 0.
        for result in ["stored", "duplicate", "forgotten"] {
            let _ = self.event(result);
        }
        registry.register(
            "consumer_messages",
            "Messages whose events were stored or left out",
            self.messages.clone(),
        );
        registry.register(
            "consumer_events",
            "Events that are new (stored), were stored before (duplicate), or whose visitor was removed (forgotten)",
            self.events.clone(),
        );
        registry.register(
            "consumer_refused_messages",
            "Messages that were no events and were removed",
            self.refused.clone(),
        );
        registry.register(
            "event_stream_messages",
            "Messages of the event stream that no consumer has stored",
            self.waiting.clone(),
        );
        registry.register(
            "event_stream_ready",
            "1 if the event stream answers",
            self.ready.clone(),
        );
    }

    fn event(&self, result: &'static str) -> Counter {
        self.events.get_or_create(&ResultLabel { result }).clone()
    }

    /// Counts messages with this number of events.
    pub(super) fn stored(&self, messages: usize, events: usize, counts: StreamedCounts) {
        let StreamedCounts { stored, forgotten } = counts;
        self.messages.inc_by(messages as u64);
        self.event("stored").inc_by(stored);
        self.event("forgotten").inc_by(forgotten);
        self.event("duplicate").inc_by((events as u64).saturating_sub(stored + forgotten));
    }

    /// Counts a message that is no events, and returns whether it is the first one.
    pub(super) fn refused(&self) -> bool {
        self.refused.inc() == 0
    }

    /// Notes how many messages wait; `None` if the stream does not answer.
    pub(crate) fn waiting(&self, messages: Option<u64>) {
        self.ready.set(i64::from(messages.is_some()));
        if let Some(messages) = messages {
            self.waiting.set(i64::try_from(messages).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            messages: self.messages.get(),
            stored: self.event("stored").get(),
            duplicates: self.event("duplicate").get(),
            forgotten: self.event("forgotten").get(),
            refused: self.refused.get(),
        }
    }
}
