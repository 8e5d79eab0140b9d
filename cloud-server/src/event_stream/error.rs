use super::EventStreamUrl;

/// Why a stream of events cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EventStreamError {
    /// NATS does not answer.
    #[error("the event stream {stream} does not answer: {reason}")]
    Unavailable {
        /// The stream.
        stream: EventStreamUrl,
        /// What failed.
        reason: String,
    },
    /// NATS refuses the user, has no JetStream, or the stream has other settings.
    #[error("cannot use the event stream {stream}: {reason}")]
    Refused {
        /// The stream.
        stream: EventStreamUrl,
        /// What was expected and found, and what to do.
        reason: String,
    },
    /// The stream accepts no more events.
    #[error(
        "the event stream {stream} is full: {reason}; start `cloud-server consume`, or raise the limits of the stream"
    )]
    Full {
        /// The stream.
        stream: EventStreamUrl,
        /// What NATS says.
        reason: String,
    },
}

impl EventStreamError {
    /// Whether it may succeed later without a change of settings.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
