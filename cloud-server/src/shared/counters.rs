//! Metrics of what servers share.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// How a request for a list that may be shared was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListSource {
    /// The list was in Redis.
    Hit,
    /// Another request was making it, here or on another server.
    Waited,
    /// This server made it, for all.
    Made,
    /// This server made it for itself, because Redis did not answer.
    Alone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLabel {
    counted_by: &'static str,
}

/// The counters. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    up: Gauge<i64, AtomicI64>,
    failures: Counter,
    rate_checks: Family<ByLabel, Counter>,
    lists: Family<ResultLabel, Counter>,
}

impl Counters {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("redis_up", "1 while Redis is used", self.up.clone());
        registry.register(
            "redis_failures",
            "Commands and connections that Redis refused or did not answer in time",
            self.failures.clone(),
        );
        registry.register(
            "rate_checks",
            "Requests that were charged to a rate, by what counted them: Redis or this server alone",
            self.rate_checks.clone(),
        );
        registry.register(
            "shared_lists",
            "Requests for lists that may be shared: found in Redis (hit), made by another request \
             meanwhile (waited), made here for all (made) or without Redis (alone)",
            self.lists.clone(),
        );
    }

    pub(super) fn set_up(&self, is_up: bool) {
        self.up.set(i64::from(is_up));
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn rate_check(&self, is_shared: bool) {
        let counted_by = if is_shared { "redis" } else { "server" };
        self.rate_checks.get_or_create(&ByLabel { counted_by }).inc();
    }

    pub(super) fn list(&self, source: ListSource) {
        let result = match source {
            ListSource::Hit => "hit",
            ListSource::Waited => "waited",
            ListSource::Made => "made",
            ListSource::Alone => "alone",
        };
        self.lists.get_or_create(&ResultLabel { result }).inc();
    }
}
