//! The settings of the stream and of its consumer in JetStream.

use std::time::Duration;

use async_nats::jetstream::{
    Context, ErrorCode,
    consumer::{
        AckPolicy, Consumer,
        pull::{self, Config as ConsumerConfig},
    },
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType, Stream},
};

use super::{EventStreamError, EventStreamUrl, identity, refused, sentence};

/// Size up to which the stream accepts messages, about 25 million events. An operator may change it.
const MAX_BYTES: i64 = 4 << 30;
/// Time in which NATS drops a message that is sent again. The database drops it later.
const DUPLICATES: Duration = Duration::from_mins(2);
/// Name of the consumer that all processes of `cloud-server consume` share.
const CONSUMER: &str = "storage";
/// Time after which a message that was not acknowledged goes to another process.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Maximum number of messages that are delivered and not acknowledged.
const MAX_PENDING: i64 = 50_000;

/// The stream, which is made if there is none.
///
/// # Errors
/// [`EventStreamError::Refused`] if its settings would lose events.
pub(super) async fn stream(
    context: &Context,
    url: &EventStreamUrl,
) -> Result<Stream<Info>, EventStreamError> {
    let found = match context.get_stream(url.name()).await {
        Ok(found) => found,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                make(context, url).await?
            }
            GetStreamErrorKind::JetStream(reason) => return Err(by_code(url, &reason)),
            _ => return Err(unavailable(url, sentence(&error))),
        },
    };
    match wrong(&found.cached_info().config, url) {
        Some(reason) => Err(refused(url, reason)),
        None => Ok(found),
    }
}

async fn make(context: &Context, url: &EventStreamUrl) -> Result<Stream<Info>, EventStreamError> {
    let config = Config {
        name: url.name().to_owned(),
        description: Some("Events of visitors on their way to the database of Tandem".to_owned()),
        subjects: vec![url.subject()],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_bytes: MAX_BYTES,
        duplicate_window: DUPLICATES,
        ..Config::default()
    };
    // Does not change one that another process has made meanwhile.
    let made = context.create_stream(config).await.map_err(|error| match error.kind() {
        CreateStreamErrorKind::JetStream(reason) => by_code(url, &reason),
        _ => unavailable(url, sentence(&error)),
    })?;
    tracing::info!(
        stream = %url,
        "there was no such stream, so it was made; servers and consumers need the same name"
    );
    Ok(made)
}

/// What is wrong with the settings of a stream.
fn wrong(config: &Config, url: &EventStreamUrl) -> Option<String> {
    let name = url.name();
    let (expected, found) = if config.retention != RetentionPolicy::WorkQueue {
        ("the retention WorkQueue", format!("{:?}", config.retention))
    } else if config.storage != StorageType::File {
        ("storage in files", format!("{:?}", config.storage))
    } else if config.discard != DiscardPolicy::New {
        ("that a full stream discards new messages", format!("discard of {:?}", config.discard))
    } else if !config.max_age.is_zero() {
        ("no maximum age", format!("{} s", config.max_age.as_secs()))
    } else if config.no_ack {
        ("acknowledgements", "none".to_owned())
    } else if config.subjects != [url.subject()] {
        ("one subject, the name of the stream and `.events`", format!("{:?}", config.subjects))
    } else {
        return None;
    };
    Some(format!(
        "the stream `{name}` has other settings: expected {expected}, found {found}; use another name, or change it with `nats stream edit`, which cannot change retention and storage"
    ))
}

/// The stream's identity and its consumer, which are made if there are none.
///
/// # Errors
/// [`EventStreamError::Refused`] if the consumer has other settings.
pub(super) async fn consumer(
    context: &Context,
    url: &EventStreamUrl,
) -> Result<(i64, Consumer<pull::Config>), EventStreamError> {
    let stream = stream(context, url).await?;
    let config = ConsumerConfig {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: MAX_PENDING,
        ..ConsumerConfig::default()
    };
    let consumer = stream.get_or_create_consumer(CONSUMER, config).await;
    let consumer = consumer.map_err(|error| unavailable(url, sentence(&error)))?;
    let found = &consumer.cached_info().config;
    // Messages would be dropped after some attempts, or not be sent again.
    if found.ack_policy != AckPolicy::Explicit || found.max_deliver > 0 {
        let reason = format!(
            "the consumer `{CONSUMER}` has other settings: expected explicit acknowledgements and no maximum of deliveries, found {:?} and {}; remove it with `nats consumer rm`",
            found.ack_policy, found.max_deliver
        );
        return Err(refused(url, reason));
    }
    Ok((identity(stream.cached_info()), consumer))
}

/// An error of JetStream: without it waiting does not help.
fn by_code(url: &EventStreamUrl, error: &async_nats::jetstream::Error) -> EventStreamError {
    let reason = sentence(error);
    match error.code() {
        // A leader is being elected, or the server is starting.
        503 if error.error_code() != ErrorCode::JETSTREAM_NOT_ENABLED => unavailable(url, reason),
        _ => refused(url, reason),
    }
}

fn unavailable(url: &EventStreamUrl, reason: String) -> EventStreamError {
    EventStreamError::Unavailable { stream: url.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_would_lose_events_is_refused() {
        type Change = fn(&mut Config);

        let url: EventStreamUrl = "nats://host/shop".parse().unwrap();
        let right = Config {
            name: "shop".to_owned(),
            subjects: vec!["shop.events".to_owned()],
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            max_bytes: 1000,
            num_replicas: 3,
            ..Config::default()
        };
        assert_eq!(wrong(&right, &url), None);
        let changes: [(Change, &str); 6] = [
            (|config| config.retention = RetentionPolicy::Limits, "WorkQueue"),
            (|config| config.storage = StorageType::Memory, "files"),
            (|config| config.discard = DiscardPolicy::Old, "discards new"),
            (|config| config.max_age = Duration::from_secs(5), "found 5 s"),
            (|config| config.no_ack = true, "acknowledgements"),
            (|config| config.subjects.push("x".to_owned()), "shop.events"),
        ];
        for (change, part) in changes {
            let mut config = right.clone();
            change(&mut config);
            let reason = wrong(&config, &url).unwrap();
            assert!(reason.contains(part), "{reason}");
        }
    }
}
