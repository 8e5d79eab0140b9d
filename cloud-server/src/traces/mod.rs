//! Traces by option: one span for each request, sent to an OTLP collector.
//!
//! A span has the route, the status and the times of a list. It never has a path, an item, a
//! history or an address. Spans are sent by a thread of their own: when the collector is slow or
//! gone, spans are dropped and counted, and no request is delayed.

mod endpoint;
mod export;
mod hex;
mod parent;
mod span;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

pub use self::endpoint::{EndpointError, OtlpEndpoint};
use self::{
    export::{Exporter, Message},
    span::SpanId,
};
pub(crate) use self::{parent::TraceParent, span::RequestSpan};

/// Spans that wait to be sent; further ones are dropped.
const CAPACITY: usize = 2048;
/// Time between two attempts to stop while the queue is full.
const STOP_POLL: Duration = Duration::from_millis(5);

/// Sends the spans of requests.
#[derive(Debug)]
pub struct Traces {
    spans: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    /// Share of the traces that begin at this server, in percent.
    sample: u8,
}

impl Traces {
    /// Starts the thread that sends spans. `sample` percent of the traces that begin here are
    /// sent; of others, those that the header `traceparent` marks as sampled.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn start(endpoint: &OtlpEndpoint, sample: u8) -> io::Result<Self> {
        let (spans, received) = sync_channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let exporter = Exporter::new(endpoint, Arc::clone(&dropped));
        thread::Builder::new().name("traces".to_owned()).spawn(move || exporter.run(&received))?;
        Ok(Self { spans, dropped, sample })
    }

    /// Records a request that has ended. Returns its trace id, if it is sent.
    pub(crate) fn record(
        &self,
        parent: Option<TraceParent>,
        request: RequestSpan,
    ) -> Option<String> {
        let id = match parent {
            Some(parent) if parent.is_sampled() => SpanId::below(parent)?,
            Some(_) => return None,
            None => SpanId::root(self.sample)?,
        };
        let trace = id.trace();
        match self.spans.try_send(Message::Span(Box::new((id, request)))) {
            Ok(()) => Some(trace),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Sends what has been recorded, for at most `patience`, and stops.
    pub fn stop(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let (done, finished) = sync_channel(1);
        let mut message = Message::Stop(done);
        // A standard channel cannot wait for a place with a time limit.
        while let Err(TrySendError::Full(refused)) = self.spans.try_send(message) {
            if Instant::now() >= end {
                return;
            }
            message = refused;
            thread::sleep(STOP_POLL);
        }
        let _ = finished.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}
