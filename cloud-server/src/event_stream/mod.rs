//! Events through a stream of NATS JetStream (`--event-stream`), for sites whose events a database
//! should not take one request at a time.
//!
//! A server publishes the events of each request as one message and answers when JetStream has stored
//! it. `cloud-server consume` takes messages from the stream, stores their events in the database of
//! `--storage` in large transactions, and acknowledges them afterwards. A message may be delivered
//! several times; each event is stored once, because the database has its session and id.
//!
//! The stream has the retention of a work queue: what was stored leaves it. A full stream refuses new
//! messages instead of dropping old ones.

mod address;
mod consumer;
mod counters;
mod error;
mod message;
mod settings;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions,
    connection::State,
    jetstream::{
        Context, ErrorCode,
        context::{ContextBuilder, PublishError, PublishErrorKind},
        message::PublishMessage,
        stream::Info,
    },
};
use tandem_storage::StreamPosition;
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

pub(crate) use address::Credentials;
pub use address::{EventStreamUrl, EventStreamUrlError};
pub(crate) use consumer::Consuming;
pub(crate) use counters::{Counters, Counts};
pub use error::EventStreamError;
pub(crate) use message::EventMessage;

/// Maximum time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Time that an attempt to open the stream has in any case.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Maximum time of a request, also until JetStream has acknowledged a message.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two signs of life of the connection.
const PING: Duration = Duration::from_secs(5);
/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);
/// Maximum number of messages that wait for their acknowledgement.
const IN_FLIGHT: usize = 10_000;
/// Size of the largest message: 500 events with the longest ids, of characters that JSON escapes.
const MAX_MESSAGE: usize = 512 << 10;

/// A connection to the stream.
#[derive(Debug)]
pub struct EventStream {
    url: EventStreamUrl,
    client: Client,
    context: Context,
    /// Number of messages that no consumer has stored, when it was asked last.
    waiting: AtomicU64,
    answers: AtomicBool,
    /// The last warning of the log, so that it is not repeated.
    warned: Mutex<Option<String>>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so it may be called on an executor.
            runtime.shutdown_background();
        }
    }
}

impl EventStream {
    /// Connects, and makes the stream if there is none. Waits for as long as `patience` if NATS does
    /// not answer. Blocks.
    ///
    /// # Errors
    /// See [`EventStreamError`].
    pub fn open(url: &EventStreamUrl, patience: Duration) -> Result<Self, EventStreamError> {
        // Connections run on a thread of their own, beside the threads of HTTP.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("event-stream")
            .enable_all()
            .build()
            .map_err(|error| refused(url, format!("no thread: {error}")))?;
        let (client, context) = runtime.block_on(open(url, patience))?;
        Ok(Self {
            url: url.clone(),
            client,
            context,
            waiting: AtomicU64::new(0),
            answers: AtomicBool::new(true),
            warned: Mutex::default(),
            runtime: Some(runtime),
        })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &EventStreamUrl {
        &self.url
    }

    /// Whether NATS has answered lately.
    pub(crate) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed) && self.is_connected()
    }

    /// Number of messages that wait for a consumer, as it was known last.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Publishes events. They are in the stream when this returns. Returns whether they were in it
    /// already.
    ///
    /// # Errors
    /// See [`EventStreamError`]. After [`EventStreamError::Unavailable`] they may be in the stream;
    /// sent again, each event is stored once.
    pub(crate) async fn publish(&self, message: &EventMessage) -> Result<bool, EventStreamError> {
        let payload = serde_json::to_vec(message)
            .map_err(|error| refused(&self.url, format!("the events are no JSON: {error}")))?;
        // A message would wait for the connection and arrive after the answer.
        if !self.is_connected() {
            return Err(self.unavailable("the connection is lost"));
        }
        let message = PublishMessage::build()
            .payload(payload.into())
            .message_id(message.id())
            .expected_stream(self.url.name());
        let sending = async { self.context.send_publish(self.url.subject(), message).await?.await };
        match timeout(PATIENCE, sending).await {
            Ok(Ok(acknowledged)) => Ok(acknowledged.duplicate),
            Ok(Err(error)) => Err(self.publish_error(&error)),
            Err(_) => Err(self.no_answer()),
        }
    }

    /// Asks for the state of the stream, and makes it if it is gone. For the log and the metrics.
    pub(crate) async fn look(&self) {
        let looked = self.count_waiting().await;
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        self.answers.store(looked.is_ok(), Ordering::Relaxed);
        match looked {
            Ok(waiting) => {
                self.waiting.store(waiting, Ordering::Relaxed);
                if warned.take().is_some() {
                    tracing::info!(stream = %self.url, "the event stream answers again");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if warned.as_ref() != Some(&text) {
                    tracing::warn!(%error, "events are refused");
                    *warned = Some(text);
                }
            }
        }
    }

    /// Asks how many messages wait for a consumer.
    ///
    /// # Errors
    /// See [`EventStreamError`].
    pub(crate) async fn count_waiting(&self) -> Result<u64, EventStreamError> {
        Ok(self.state().await?.state.messages)
    }

    /// The end of the stream: all events that were acknowledged before are up to it.
    ///
    /// # Errors
    /// See [`EventStreamError`].
    pub(crate) async fn end(&self) -> Result<StreamPosition, EventStreamError> {
        let info = self.state().await?;
        Ok(StreamPosition { stream: identity(&info), sequence: info.state.last_sequence })
    }

    /// The state of the stream, which is made if it is gone.
    async fn state(&self) -> Result<Info, EventStreamError> {
        if !self.is_connected() {
            return Err(self.unavailable("the connection is lost"));
        }
        match timeout(PATIENCE, settings::stream(&self.context, &self.url)).await {
            Ok(stream) => Ok(stream?.cached_info().clone()),
            Err(_) => Err(self.no_answer()),
        }
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn no_answer(&self) -> EventStreamError {
        self.unavailable(&format!("no answer within {} s", PATIENCE.as_secs()))
    }

    fn unavailable(&self, reason: &str) -> EventStreamError {
        EventStreamError::Unavailable { stream: self.url.clone(), reason: reason.to_owned() }
    }

    fn publish_error(&self, error: &PublishError) -> EventStreamError {
        let reason = sentence(error);
        let source = std::error::Error::source(error);
        let code = source
            .and_then(|it| it.downcast_ref::<async_nats::jetstream::Error>())
            .map(async_nats::jetstream::Error::error_code);
        match (error.kind(), code) {
            (_, Some(ErrorCode::STREAM_STORE_FAILED)) => {
                EventStreamError::Full { stream: self.url.clone(), reason }
            }
            (PublishErrorKind::MaxPayloadExceeded, _) => refused(&self.url, reason),
            _ => self.unavailable(&reason),
        }
    }

    pub(crate) fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(task),
            None => unreachable!("the runtime is there until the stream is dropped"),
        }
    }
}

/// Connects, within a limited time.
async fn open(
    url: &EventStreamUrl,
    patience: Duration,
) -> Result<(Client, Context), EventStreamError> {
    let until = Instant::now() + patience;
    let mut last: Option<EventStreamError> = None;
    loop {
        let opening = async {
            let client = connect(url).await?;
            let context = ContextBuilder::new()
                .timeout(PATIENCE)
                .max_ack_inflight(IN_FLIGHT)
                .backpressure_on_inflight(true)
                .build(client.clone());
            settings::stream(&context, url).await?;
            Ok((client, context))
        };
        // What is no NATS may never answer. The first attempt has the time of one in any case.
        let left = until.saturating_duration_since(Instant::now());
        let limit = if last.is_none() { left.max(ATTEMPT) } else { left };
        let opened = match timeout(limit, opening).await {
            Ok(opened) => opened,
            // The last attempt may be short, so what the one before has found says more.
            Err(_) => Err(last.take().unwrap_or_else(|| silent(url, limit))),
        };
        match opened {
            Err(error @ EventStreamError::Unavailable { .. }) if Instant::now() < until => {
                if last.is_none() {
                    let seconds = patience.as_secs();
                    tracing::warn!(%error, "waiting up to {seconds} s for the event stream");
                }
                last = Some(error);
                sleep(RETRY).await;
            }
            opened => return opened,
        }
    }
}

async fn connect(url: &EventStreamUrl) -> Result<Client, EventStreamError> {
    let options = ConnectOptions::new()
        .name("tandem")
        .connection_timeout(CONNECT)
        .request_timeout(Some(PATIENCE))
        .ping_interval(PING)
        .reconnect_delay_callback(|attempts| {
            RETRY.min(Duration::from_millis(50) * attempts as u32)
        });
    let options = match url.credentials().cloned() {
        None => options,
        Some(Credentials::Token(token)) => options.token(token),
        Some(Credentials::Password { user, password }) => options.user_and_password(user, password),
    };
    let client = options.connect(url.server()).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => refused(
            url,
            format!("{}; correct user and password of --event-stream", sentence(&error)),
        ),
        ConnectErrorKind::ServerParse => refused(url, sentence(&error)),
        ConnectErrorKind::TimedOut => silent(url, CONNECT),
        _ => EventStreamError::Unavailable { stream: url.clone(), reason: sentence(&error) },
    })?;
    let max_payload = client.server_info().max_payload;
    if max_payload < MAX_MESSAGE {
        return Err(refused(
            url,
            format!(
                "expected messages of {MAX_MESSAGE} bytes, found a limit of {max_payload}; raise `max_payload` of NATS"
            ),
        ));
    }
    Ok(client)
}

/// What listens at the port says nothing, as a program that is no NATS.
fn silent(url: &EventStreamUrl, time: Duration) -> EventStreamError {
    let seconds = time.as_secs_f64();
    let reason = format!(
        "no answer of a NATS server within {seconds:.0} s; another program may use this port"
    );
    EventStreamError::Unavailable { stream: url.clone(), reason }
}

/// A number that a stream keeps and another one of its name does not have: when it was made.
fn identity(info: &Info) -> i64 {
    i64::try_from(info.created.unix_timestamp_nanos()).unwrap_or_default()
}

fn refused(url: &EventStreamUrl, reason: String) -> EventStreamError {
    EventStreamError::Refused { stream: url.clone(), reason }
}

/// An error and its cause, without a line break.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    if let Some(cause) = error.source().map(ToString::to_string)
        && !text.contains(&cause)
    {
        text = format!("{text}: {cause}");
    }
    text.replace('\n', " ")
}
