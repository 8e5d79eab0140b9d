use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    OtlpEndpoint,
    span::{RequestSpan, SpanId, to_otlp},
};

/// Maximum number of spans in one request to the collector.
const BATCH: usize = 512;
/// Maximum time from a span to its request to the collector.
const DELAY: Duration = Duration::from_secs(2);
/// Maximum time of one request to the collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the exporter's thread receives.
#[derive(Debug)]
pub(super) enum Message {
    Span(Box<(SpanId, RequestSpan)>),
    /// Send what is there and end.
    Stop(SyncSender<()>),
}

/// Sends spans in batches to a collector: OTLP over HTTP, in JSON.
pub(super) struct Exporter {
    agent: ureq::Agent,
    url: String,
    /// The address without user and password.
    shown: String,
    service: String,
    dropped: Arc<AtomicU64>,
    /// Whether the last batch was not accepted.
    is_failing: bool,
}

impl Exporter {
    pub(super) fn new(endpoint: &OtlpEndpoint, dropped: Arc<AtomicU64>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // The collector is in the network of the server.
            .proxy(None)
            .max_redirects(0)
            .build();
        // The variable of the OpenTelemetry specification.
        let service = env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
        Self {
            agent: config.new_agent(),
            url: endpoint.url().to_owned(),
            shown: endpoint.shown().to_owned(),
            service: service.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()),
            dropped,
            is_failing: false,
        }
    }

    /// Sends spans until it is told to stop.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut batch = Vec::new();
        let mut due = None;
        loop {
            let received = match due {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => {
                    messages.recv_timeout(Instant::saturating_duration_since(&due, Instant::now()))
                }
            };
            match received {
                Ok(Message::Span(span)) => {
                    batch.push(to_otlp(&span.0, &span.1));
                    due = due.or_else(|| Some(Instant::now() + DELAY));
                    if batch.len() < BATCH {
                        continue;
                    }
                }
                Ok(Message::Stop(done)) => {
                    self.send(&mut batch);
                    let _ = done.try_send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.send(&mut batch),
            }
            self.send(&mut batch);
            due = None;
        }
    }

    /// Sends a batch. A batch that is not accepted is lost: there is no room for all that a
    /// collector misses while it is gone.
    fn send(&mut self, batch: &mut Vec<Value>) {
        if batch.is_empty() {
            return;
        }
        let spans = std::mem::take(batch);
        let count = spans.len() as u64;
        let sent = self
            .agent
            .post(&self.url)
            .content_type("application/json")
            .send(request(&self.service, &spans).to_string());
        match sent {
            Ok(_) if self.is_failing => {
                let lost = self.dropped.swap(0, Ordering::Relaxed);
                tracing::warn!(lost, "traces are sent again");
                self.is_failing = false;
            }
            Ok(_) => {
                let lost = self.dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!(lost, "spans were made faster than the collector accepts them");
                }
            }
            Err(error) => {
                self.dropped.fetch_add(count, Ordering::Relaxed);
                // Once, not for each batch.
                if !self.is_failing {
                    tracing::warn!(%error, url = self.shown, "the collector does not accept traces");
                }
                self.is_failing = true;
            }
        }
    }
}

/// The body of a request to the collector (`ExportTraceServiceRequest`).
fn request(service: &str, spans: &[Value]) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            { "key": "service.name", "value": { "stringValue": service } },
            { "key": "service.version", "value": { "stringValue": env!("CARGO_PKG_VERSION") } },
        ] },
        "scopeSpans": [{
            "scope": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }] })
}
