use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use tandem_protocol::{EventKind, LoggedEvent};
use tokio::{
    runtime::Handle,
    select,
    sync::{
        mpsc::{Receiver, Sender, channel},
        oneshot,
    },
    time::timeout,
};

use crate::{
    StorageError,
    clock::now,
    database::{Database, with_writer},
};

/// What became of the events of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppendedEvents {
    /// Positions of the events that are new, in order. The others were stored before.
    pub new: Vec<usize>,
    /// Number of the newest of them in the database; `None` if none is new.
    pub last: Option<i64>,
}

/// Number of requests that may wait. Further ones wait for a place.
const CAPACITY: usize = 1024;
/// Maximum number of events in one transaction.
const GROUP: usize = 10_000;
/// Maximum time of a transaction, and of the wait of a request for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Groups the events of waiting requests: while one transaction waits for the disk, the next group
/// gathers. One synchronisation of the disk then serves many requests.
#[derive(Debug)]
pub(crate) struct EventQueue(Sender<Waiting>);

/// The events of a request, and where its answer goes.
struct Waiting {
    session: String,
    events: Vec<LoggedEvent>,
    reply: oneshot::Sender<Result<AppendedEvents, StorageError>>,
}

/// An event as the query reads it.
#[derive(Serialize)]
pub(crate) struct Row<'a> {
    session: &'a str,
    id: &'a str,
    kind: EventKind,
    item: &'a str,
    at: i64,
    recommendation: Option<&'a str>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(session: &'a str, event: &'a LoggedEvent) -> Self {
        Self {
            session,
            id: &event.id,
            kind: event.kind,
            item: event.item.as_str(),
            at: i64::try_from(event.at).unwrap_or(i64::MAX),
            recommendation: event.recommendation.as_deref(),
        }
    }
}

impl EventQueue {
    pub(crate) fn start(handle: &Handle, database: Database) -> Self {
        let (sender, receiver) = channel(CAPACITY);
        handle.spawn(write_groups(receiver, database));
        Self(sender)
    }

    pub(super) async fn append(
        &self,
        session: String,
        events: Vec<LoggedEvent>,
    ) -> Result<AppendedEvents, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Waiting { session, events, reply }).await.map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

/// Writes groups until the queue is dropped.
async fn write_groups(mut receiver: Receiver<Waiting>, database: Database) {
    while let Some(first) = receiver.recv().await {
        let mut size = first.events.len();
        let mut group = vec![first];
        while size < GROUP
            && let Ok(next) = receiver.try_recv()
        {
            size += next.events.len();
            group.push(next);
        }
        // Nobody waits for the answer any more, so nothing was promised.
        group.retain(|waiting| !waiting.reply.is_closed());
        if group.is_empty() {
            continue;
        }
        let written = select! {
            written = timeout(PATIENCE, write(&database, &group)) => written.unwrap_or_else(|_| {
                Err(StorageError::Unavailable {
                    reason: format!("no answer within {} s", PATIENCE.as_secs()),
                })
            }),
            failure = database.failure() => Err(failure),
        };
        let written = match written {
            Ok(written) => Ok(written),
            Err(error) => Err(database.explain(error).await),
        };
        answer(group, written);
    }
}

fn answer(group: Vec<Waiting>, written: Result<Vec<AppendedEvents>, StorageError>) {
    // Fails if the client has gone, which needs no handling.
    match written {
        Ok(appended) => group.into_iter().zip(appended).for_each(|(waiting, appended)| {
            let _ = waiting.reply.send(Ok(appended));
        }),
        Err(error) => group.into_iter().for_each(|waiting| {
            let _ = waiting.reply.send(Err(error.for_another()));
        }),
    }
}

/// Writes the events of a group in one transaction.
async fn write(
    database: &Database,
    group: &[Waiting],
) -> Result<Vec<AppendedEvents>, StorageError> {
    database.check()?;
    let rows = group
        .iter()
        .flat_map(|waiting| waiting.events.iter().map(|event| Row::new(&waiting.session, event)));
    let json = json(&rows.collect::<Vec<_>>())?;
    let new: Vec<NewEvent> = with_writer!(database, connection => {
        sqlx::query_as(insert(database)).bind(&json).bind(now()).fetch_all(connection).await?
    });
    Ok(divide(group, &new))
}

/// The text of a parameter with many values.
pub(crate) fn json(value: &impl Serialize) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::Unavailable {
        reason: format!("the events cannot be written as JSON: {error}"),
    })
}

/// Stores the events of a JSON array of [`Row`]s that are new, and returns [`NewEvent`]s. The second
/// parameter is the time.
pub(crate) fn insert(database: &Database) -> &'static str {
    database.sql(
        "INSERT INTO events (session, id, kind, item, at, received, recommendation) \
         SELECT value ->> 'session', value ->> 'id', value ->> 'kind', value ->> 'item', \
         value ->> 'at', $2, value ->> 'recommendation' FROM json_each($1) \
         WHERE true ON CONFLICT (session, id) DO NOTHING RETURNING session, id, number",
        "INSERT INTO events (session, id, kind, item, at, received, recommendation) \
         SELECT session, id, kind, item, at, $2, recommendation FROM json_to_recordset($1::json) \
         AS x (session text, id text, kind text, item text, at bigint, recommendation text) \
         ON CONFLICT (session, id) DO NOTHING RETURNING session, id, number",
    )
}

/// Session, id and number of an event that is new.
pub(crate) type NewEvent = (String, String, i64);

/// Assigns the new events to the requests: an event of two requests to the earlier one.
fn divide(group: &[Waiting], new: &[NewEvent]) -> Vec<AppendedEvents> {
    let mut left: HashMap<(&str, &str), i64> = new
        .iter()
        .map(|(session, id, number)| ((session.as_str(), id.as_str()), *number))
        .collect();
    let mut divided = Vec::with_capacity(group.len());
    for Waiting { session, events, .. } in group {
        let (mut new, mut last) = (Vec::new(), None);
        for (at, event) in events.iter().enumerate() {
            if let Some(number) = left.remove(&(session.as_str(), event.id.as_str())) {
                new.push(at);
                last = last.max(Some(number));
            }
        }
        divided.push(AppendedEvents { new, last });
    }
    divided
}
