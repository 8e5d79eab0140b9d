//! Metrics in the text format of Prometheus (`OpenMetrics`). No label has anything of a visitor.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tandem_protocol::{EngineKind, EventsResponse};

use crate::{
    clock::now,
    connection::Refused,
    recent::{Answered, Recent, engine_name, ranking_name},
    worker::JobOutput,
};

/// Media type of the text that [`Metrics::text`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A floating point gauge is not needed: all are whole numbers.
type Number = Gauge<i64, std::sync::atomic::AtomicI64>;
type Seconds = Histogram;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListLabels {
    model: String,
    engine: &'static str,
    ranking: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    model: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    file: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabel {
    stream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabel {
    store: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabel {
    release: String,
}

/// All metrics of a server.
pub(crate) struct Metrics {
    /// The last hour, for the admin page.
    pub(crate) recent: Recent,
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabel, Seconds, fn() -> Histogram>,
    lists: Family<ListLabels, Counter>,
    queue_seconds: Family<ModelLabel, Seconds, fn() -> Histogram>,
    prompt_seconds: Family<ModelLabel, Seconds, fn() -> Histogram>,
    decode_seconds: Family<ModelLabel, Seconds, fn() -> Histogram>,
    evaluate_seconds: Family<ModelLabel, Counter<f64, AtomicU64>>,
    tokens: Family<TokenLabels, Counter>,
    batch: Family<ModelLabel, Histogram, fn() -> Histogram>,
    refusals: Family<ReasonLabel, Counter>,
    connections_refused: Family<ReasonLabel, Counter>,
    events: Family<ResultLabel, Counter>,
    queue_jobs: Family<ModelLabel, Number>,
    model_ready: Family<ModelLabel, Number>,
    connections: Number,
    event_log_bytes: Family<FileLabel, Number>,
    event_log_max_bytes: Number,
    release: Family<ReleaseLabel, Number>,
    release_refusals: Counter<u64, AtomicU64>,
    release_store: Family<StoreLabel, Number>,
    event_stream: Family<StreamLabel, Number>,
    event_stream_messages: Family<StreamLabel, Number>,
    log_lines_dropped: Counter<u64, AtomicU64>,
}

/// The state of a server when its metrics are read.
pub(crate) struct Snapshot {
    /// Name, waiting jobs and readiness of each model.
    pub(crate) models: Vec<(String, usize, bool)>,
    pub(crate) connections: usize,
    /// Sizes of the files of the event log, by name, and their maximum.
    pub(crate) event_log: Option<([(&'static str, u64); 3], u64)>,
    pub(crate) release: String,
    pub(crate) release_refusals: u64,
    /// Address of the object store of releases and whether it answers, if there is one.
    pub(crate) release_store: Option<(String, bool)>,
    /// Address of the event stream, whether it answers, and number of messages that wait for a
    /// consumer, if there is one.
    pub(crate) event_stream: Option<(String, bool, u64)>,
    pub(crate) log_lines_dropped: u64,
}

fn seconds() -> Histogram {
    // 1 ms to 32 s.
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

fn batch_sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 6))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            recent: Recent::default(),
            registry: Registry::with_prefix("tandem"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            lists: Family::default(),
            queue_seconds: Family::new_with_constructor(seconds),
            prompt_seconds: Family::new_with_constructor(seconds),
            decode_seconds: Family::new_with_constructor(seconds),
            evaluate_seconds: Family::default(),
            tokens: Family::default(),
            batch: Family::new_with_constructor(batch_sizes),
            refusals: Family::default(),
            connections_refused: Family::default(),
            events: Family::default(),
            queue_jobs: Family::default(),
            model_ready: Family::default(),
            connections: Number::default(),
            event_log_bytes: Family::default(),
            event_log_max_bytes: Number::default(),
            release: Family::default(),
            release_refusals: Counter::default(),
            release_store: Family::default(),
            event_stream: Family::default(),
            event_stream_messages: Family::default(),
            log_lines_dropped: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let Self { registry, .. } = self;
        let seconds = || Unit::Seconds;
        registry.register("requests", "Requests by route and status", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from the head of a request to the start of its response",
            seconds(),
            self.request_seconds.clone(),
        );
        registry.register(
            "candidate_lists",
            "Candidate lists by model, engine and what they are ordered by",
            self.lists.clone(),
        );
        registry.register_with_unit(
            "queue_wait",
            "Time of a job in the queue of a model",
            seconds(),
            self.queue_seconds.clone(),
        );
        registry.register_with_unit(
            "prompt",
            "Time to evaluate the prompt of a list",
            seconds(),
            self.prompt_seconds.clone(),
        );
        registry.register_with_unit(
            "decode",
            "Time to decode a list",
            seconds(),
            self.decode_seconds.clone(),
        );
        registry.register_with_unit(
            "llama_decode",
            "Time within llama_decode, of prompts and decoding",
            seconds(),
            self.evaluate_seconds.clone(),
        );
        registry.register(
            "tokens",
            "Evaluated tokens of prompts and decoding, and tokens of prompts that were cached",
            self.tokens.clone(),
        );
        registry.register("batch_size", "Lists that were decoded together", self.batch.clone());
        registry.register("refusals", "Error responses by code", self.refusals.clone());
        registry.register(
            "connections_refused",
            "Connections that were not accepted, by limit",
            self.connections_refused.clone(),
        );
        registry.register(
            "events",
            "Events of devices by what became of them",
            self.events.clone(),
        );
        registry.register("queue_jobs", "Jobs in the queue of a model", self.queue_jobs.clone());
        registry.register("model_ready", "1 if a model is loaded", self.model_ready.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register_with_unit(
            "event_log_size",
            "Size of a file of the event log",
            Unit::Bytes,
            self.event_log_bytes.clone(),
        );
        registry.register_with_unit(
            "event_log_max_size",
            "Size at which a file of the event log accepts no more",
            Unit::Bytes,
            self.event_log_max_bytes.clone(),
        );
        registry.register("release", "1 for the release of artefacts in use", self.release.clone());
        registry.register(
            "release_refusals",
            "Attempts to use a new release that failed",
            self.release_refusals.clone(),
        );
        registry.register(
            "release_store_ready",
            "1 if the object store of releases has answered the last request",
            self.release_store.clone(),
        );
        registry.register(
            "event_stream_ready",
            "1 if the event stream answers",
            self.event_stream.clone(),
        );
        registry.register(
            "event_stream_messages",
            "Messages of the event stream that no consumer has stored",
            self.event_stream_messages.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Lines of the log that could not be written",
            self.log_lines_dropped.clone(),
        );
    }

    /// Adds metrics that not every server has.
    pub(crate) fn extend(&mut self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry);
    }

    /// Counts a response.
    pub(crate) fn request(&self, answered: Answered<'_>) {
        self.recent.answered(now(), answered);
        let Answered { route, status, elapsed_s, code, .. } = answered;
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.request_seconds.get_or_create(&RouteLabel { route }).observe(elapsed_s);
        if let Some(code) = code {
            self.refusals.get_or_create(&ReasonLabel { reason: code.as_str() }).inc();
        }
    }

    /// Counts a candidate list.
    pub(crate) fn list(&self, model: &str, engine: Option<EngineKind>, output: &JobOutput) {
        self.recent.list(now(), model, engine, output);
        let engine = engine_name(engine);
        let ranking = ranking_name(output.generation.ranking);
        let generation = &output.generation;
        let model = model.to_owned();
        let labels = ListLabels { model: model.clone(), engine, ranking };
        self.lists.get_or_create(&labels).inc();
        let label = ModelLabel { model: model.clone() };
        self.queue_seconds.get_or_create(&label).observe(output.queue_ms / 1e3);
        self.prompt_seconds.get_or_create(&label).observe(generation.prompt_ms / 1e3);
        self.decode_seconds.get_or_create(&label).observe(generation.decode_ms / 1e3);
        self.evaluate_seconds.get_or_create(&label).inc_by(generation.evaluate_ms / 1e3);
        self.batch.get_or_create(&label).observe(output.batch as f64);
        for (kind, tokens) in [
            ("prompt", generation.prompt_tokens),
            ("cached", generation.cached_tokens),
            ("decoded", generation.decoded_tokens),
        ] {
            let labels = TokenLabels { model: model.clone(), kind };
            self.tokens.get_or_create(&labels).inc_by(tokens as u64);
        }
    }

    /// Counts the events of a request that was answered.
    pub(crate) fn events(&self, counts: &EventsResponse) {
        let EventsResponse { accepted, repeated, unknown } = *counts;
        self.recent.events(now(), accepted);
        for (result, count) in
            [("accepted", accepted), ("repeated", repeated), ("unknown_item", unknown)]
        {
            self.events.get_or_create(&ResultLabel { result }).inc_by(count as u64);
        }
    }

    /// Counts events that could not be logged.
    pub(crate) fn events_refused(&self, count: usize) {
        self.events.get_or_create(&ResultLabel { result: "refused" }).inc_by(count as u64);
    }

    /// Counts a connection that was not accepted.
    pub(crate) fn connection_refused(&self, limit: Refused) {
        let reason = match limit {
            Refused::Total => "total",
            Refused::Address => "client",
        };
        self.connections_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// All metrics as text.
    pub(crate) fn text(&self, now: &Snapshot) -> Result<String, fmt::Error> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (model, queued, ready) in &now.models {
            let label = ModelLabel { model: model.clone() };
            self.queue_jobs.get_or_create(&label).set(number(*queued));
            self.model_ready.get_or_create(&label).set(i64::from(*ready));
        }
        self.connections.set(number(now.connections));
        if let Some((sizes, max)) = &now.event_log {
            for (file, bytes) in sizes {
                let label = FileLabel { file };
                self.event_log_bytes.get_or_create(&label).set(number(*bytes as usize));
            }
            self.event_log_max_bytes.set(number(*max as usize));
        }
        self.release.clear();
        self.release.get_or_create(&ReleaseLabel { release: now.release.clone() }).set(1);
        self.release_refusals
            .inner()
            .store(now.release_refusals, std::sync::atomic::Ordering::Relaxed);
        if let Some((store, answers)) = &now.release_store {
            let label = StoreLabel { store: store.clone() };
            self.release_store.get_or_create(&label).set(i64::from(*answers));
        }
        if let Some((stream, answers, waiting)) = &now.event_stream {
            let label = StreamLabel { stream: stream.clone() };
            self.event_stream.get_or_create(&label).set(i64::from(*answers));
            self.event_stream_messages.get_or_create(&label).set(number(*waiting as usize));
        }
        self.log_lines_dropped
            .inner()
            .store(now.log_lines_dropped, std::sync::atomic::Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
