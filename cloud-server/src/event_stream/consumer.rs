//! Stores the events of the stream in the database.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{Consumer, pull},
};
use futures_lite::StreamExt;
use tandem_storage::{Storage, StorageError, StreamedCounts, StreamedEvents};
use tokio::time::{sleep, timeout};

use super::{Counters, Counts, EventMessage, EventStream, EventStreamError, settings};

/// Maximum number of messages that are taken at once, and their size in bytes.
const MESSAGES: usize = 5_000;
const BYTES: usize = 4 << 20;
/// Maximum time until that many messages have come.
const GATHERING: Duration = Duration::from_millis(200);
/// Maximum number of events of one transaction.
const EVENTS: usize = 10_000;
/// Time between two attempts after a failure.
const RETRY: Duration = Duration::from_millis(500);
/// Maximum time at the end for acknowledgements to be sent.
const FLUSH: Duration = Duration::from_secs(1);
/// Time between two lines of the log with what was done.
const REPORT: Duration = Duration::from_mins(1);

/// A message and its events.
struct Received {
    message: Message,
    batch: StreamedEvents,
}

/// Takes messages from the stream until it is told to stop.
pub(crate) struct Consuming<'c> {
    stream: &'c EventStream,
    storage: &'c Storage,
    stopped: &'c AtomicBool,
    counters: Counters,
    reported: (Instant, Counts),
    /// The last warning of the log, so that it is not repeated.
    warned: Option<String>,
}

impl<'c> Consuming<'c> {
    pub(crate) fn new(
        stream: &'c EventStream,
        storage: &'c Storage,
        stopped: &'c AtomicBool,
        counters: Counters,
    ) -> Self {
        let reported = (Instant::now(), Counts::default());
        Self { stream, storage, stopped, counters, reported, warned: None }
    }

    /// Returns what was done.
    ///
    /// # Errors
    /// If stream or consumer have settings that lose events. Outages are waited for.
    pub(crate) async fn run(mut self) -> Result<Counts, EventStreamError> {
        while self.goes_on() {
            let (context, url) = (&self.stream.context, &self.stream.url);
            match settings::consumer(context, url).await {
                Ok((identity, consumer)) => self.take(identity, &consumer).await,
                Err(error) if error.is_temporary() => self.warn(&error.to_string()),
                Err(error) => return Err(error),
            }
            if self.goes_on() {
                sleep(RETRY).await;
            }
        }
        // Acknowledgements that are on their way; without them the messages come again. Without a
        // connection they would wait for the next one.
        let _ = timeout(FLUSH, self.stream.client.flush()).await;
        self.report();
        Ok(self.counters.counts())
    }

    /// Takes messages until it is told to stop or the stream fails.
    async fn take(&mut self, identity: i64, consumer: &Consumer<pull::Config>) {
        while self.goes_on() {
            let batch = consumer.batch().max_messages(MESSAGES).max_bytes(BYTES).expires(GATHERING);
            let mut messages = match batch.messages().await {
                Ok(messages) => messages,
                Err(error) => return self.warn(&super::sentence(&error)),
            };
            let mut received = Vec::new();
            while let Some(next) = messages.next().await {
                match next {
                    Ok(message) => received.extend(self.read(message).await),
                    // Also the end of a batch of the maximum size.
                    Err(_) if !received.is_empty() => break,
                    Err(error) => return self.warn(&super::sentence(&*error)),
                }
            }
            // The server answers a lost connection with no messages.
            if received.is_empty() && !self.stream.is_connected() {
                return self.warn("the connection to NATS is lost");
            }
            self.store(identity, received).await;
            if self.reported.0.elapsed() >= REPORT {
                self.report();
            }
        }
    }

    /// The events of a message. One that is no message of events leaves the stream.
    async fn read(&mut self, message: Message) -> Option<Received> {
        let sequence = message.info().ok().map(|info| info.stream_sequence);
        let read = EventMessage::read(&message.payload);
        match (read, sequence) {
            (Ok(EventMessage { session, events }), Some(sequence)) => {
                Some(Received { message, batch: StreamedEvents { session, events, sequence } })
            }
            (read, _) => {
                if self.counters.refused() {
                    let reason = read.err().unwrap_or_else(|| "it has no number".to_owned());
                    tracing::warn!(
                        sequence,
                        reason,
                        "removed a message from the stream that is no message of events; further ones are counted"
                    );
                }
                if let Err(error) = message.ack_with(AckKind::Term).await {
                    self.warn(&error.to_string());
                }
                None
            }
        }
    }

    /// Stores events in transactions, and acknowledges each after it.
    async fn store(&mut self, identity: i64, mut received: Vec<Received>) {
        while !received.is_empty() {
            let mut events = 0;
            let fits = |it: &&Received| {
                events += it.batch.events.len();
                events <= EVENTS
            };
            let length = received.iter().take_while(fits).count().max(1);
            let rest = received.split_off(length);
            let (messages, batches): (Vec<Message>, Vec<StreamedEvents>) =
                received.into_iter().map(|Received { message, batch }| (message, batch)).unzip();
            let sent: usize = batches.iter().map(|batch| batch.events.len()).sum();
            let Some(counts) = self.append(identity, batches, &messages).await else {
                // Other processes take them at once.
                self.answer(&messages, AckKind::Nak(None)).await;
                let rest: Vec<Message> = rest.into_iter().map(|it| it.message).collect();
                return self.answer(&rest, AckKind::Nak(None)).await;
            };
            self.counters.stored(messages.len(), sent, counts);
            self.answer(&messages, AckKind::Ack).await;
            received = rest;
        }
    }

    /// Stores events, and waits for a database that does not answer. `None` if it is told to stop
    /// before they are stored.
    async fn append(
        &mut self,
        identity: i64,
        batches: Vec<StreamedEvents>,
        messages: &[Message],
    ) -> Option<StreamedCounts> {
        loop {
            match self.storage.append_streamed(identity, batches.clone()).await {
                Ok(stored) => {
                    if self.warned.take().is_some() {
                        tracing::info!("events are stored again");
                    }
                    return Some(stored);
                }
                Err(StorageError::Closed) => return None,
                Err(error) => self.warn(&error.to_string()),
            }
            if !self.goes_on() {
                return None;
            }
            // So that no other process gets them meanwhile.
            self.answer(messages, AckKind::Progress).await;
            sleep(RETRY).await;
        }
    }

    /// Tells NATS what became of messages. If that fails they come again, and are stored once.
    async fn answer(&mut self, messages: &[Message], kind: AckKind) {
        for message in messages {
            if let Err(error) = message.ack_with(kind).await {
                return self.warn(&error.to_string());
            }
        }
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    fn warn(&mut self, reason: &str) {
        if self.warned.as_deref() != Some(reason) {
            tracing::warn!(reason, "events wait in the stream");
            self.warned = Some(reason.to_owned());
        }
    }

    fn report(&mut self) {
        let counts = self.counters.counts();
        if self.reported.1 != counts {
            let Counts { messages, stored, duplicates, forgotten, refused } = counts;
            tracing::info!(
                messages,
                stored,
                duplicates,
                forgotten,
                refused,
                "stored events of the stream"
            );
        }
        self.reported = (Instant::now(), counts);
    }
}
