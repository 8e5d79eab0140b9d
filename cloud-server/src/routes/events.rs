use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header, web};
use serde::Serialize;
use tandem_protocol::{
    DisagreementReport, EventsRequest, EventsResponse, ForgetResponse, ItemId, LoggedEvent, Problem,
};
use tandem_storage::StoredEvent;

use crate::{
    access::Caller,
    background::follow_events,
    body::JsonBody,
    error::ApiError,
    event_stream::{EventMessage, EventStream, EventStreamError},
    events::{
        EventLog, EventLogError, MAX_EVENTS, MAX_ID, MAX_ITEM, is_id, is_interaction, is_item,
        plausible,
    },
    files::blocking,
    live_counts::Recount,
    state::AppState,
    storage::{EventSink, refusal},
};

/// Maximum time that the removal of a visitor waits until events are counted anew.
const ERASING: Duration = Duration::from_secs(10);
/// Maximum time that a request waits until its stored events are counted.
const COUNTING: Duration = Duration::from_secs(1);

/// Logs events of a visit.
///
/// 404 unless the server keeps an event log. The events of a request are logged all or not at
/// all; an event that its session sends again is not logged twice. Events with items that neither
/// the catalogue nor the database has, or that were deleted, are logged too, for the next import,
/// and counted as `unknown`. A time before 2000 or more than a day ahead
/// is replaced by that of the arrival.
#[utoipa::path(
    post, path = "/v1/events", tag = "public", request_body = EventsRequest,
    responses(
        (status = 200, description = "What became of the events", body = EventsResponse),
        (status = 400, description = "A field is missing, unknown or out of range", body = Problem),
        (status = 404, description = "The server keeps no event log", body = Problem),
        (status = 429, description = "Too many events of this client", body = Problem),
        (status = 503, description = "The event log or its disk is full, or the event stream does not answer", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn events(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    JsonBody(request): JsonBody<EventsRequest>,
) -> Result<web::Json<EventsResponse>, ApiError> {
    let sink = state.event_sink().ok_or(ApiError::NO_EVENTS)?;
    check_id("session", &request.session)?;
    if request.events.len() > MAX_EVENTS {
        return Err(ApiError::InvalidField {
            field: "events".to_owned(),
            detail: format!(
                "expected at most {MAX_EVENTS} events, found {}; send them in several requests",
                request.events.len()
            ),
        });
    }
    for (at, event) in request.events.iter().enumerate() {
        check_id(&format!("events[{at}].id"), &event.id)?;
        check_item(&format!("events[{at}].item"), &event.item)?;
        if let Some(recommendation) = &event.recommendation {
            check_id(&format!("events[{at}].recommendation"), recommendation)?;
        }
    }
    let EventsRequest { session, mut events } = request;
    for event in &mut events {
        event.at = plausible(event.at);
    }
    let sent = events.len();
    state.access().charge_events(&caller, sent, state.shared.as_ref()).await?;
    let written = match state.event_stream.as_deref() {
        Some(stream) => publish(&state, stream, session, events).await,
        None => append(&state, sink, session, events).await,
    };
    let (accepted, unknown) = written.inspect_err(|_| state.metrics.events_refused(sent))?;
    let response = EventsResponse { accepted, repeated: sent - accepted, unknown };
    state.metrics.events(&response);
    Ok(web::Json(response))
}

/// Writes the new events and counts them. Returns their number, and how many are [`unknown`].
async fn append(
    state: &web::Data<AppState>,
    sink: EventSink,
    session: String,
    events: Vec<LoggedEvent>,
) -> Result<(usize, usize), ApiError> {
    match sink {
        EventSink::Files(log) => {
            let shared = state.clone().into_inner();
            let writer = Arc::clone(&log);
            let write = move || {
                let new = log.append(&session, &events)?;
                let interactions = new.iter().filter(|event| is_interaction(event.kind));
                shared.trends.count(&shared.items, interactions.map(|event| &event.item));
                count(&shared, &session, &new);
                Ok((new.len(), unknown(&shared, &new)))
            };
            write_off_thread(move || writer.alone(write)).await
        }
        EventSink::Storage(storage) => {
            let stored = storage.append_events(&session, events.clone()).await;
            let stored = stored.map_err(|error| refusal(&error))?;
            if let Some(last) = stored.last {
                let AppState { live_counts, recommender, items, trends, .. } = &***state;
                let counting = async {
                    live_counts.follow(recommender, items, &storage, Some(last)).await?;
                    trends.follow(items, &storage, last).await
                };
                // They are stored, so a failure is not one of the request: they are counted later.
                let _ = tokio::time::timeout(COUNTING, counting).await;
            }
            let new: Vec<&LoggedEvent> =
                stored.new.iter().filter_map(|&at| events.get(at)).collect();
            Ok((new.len(), unknown(state, &new)))
        }
    }
}

/// Publishes the events; they are counted when a consumer has stored them. Returns as [`append`], with
/// all events as new unless the same request was published shortly before.
async fn publish(
    state: &web::Data<AppState>,
    stream: &EventStream,
    session: String,
    events: Vec<LoggedEvent>,
) -> Result<(usize, usize), ApiError> {
    if events.is_empty() {
        return Ok((0, 0));
    }
    let message = EventMessage { session, events };
    if stream.publish(&message).await.map_err(|error| stream_refusal(&error))? {
        return Ok((0, 0));
    }
    let events: Vec<&LoggedEvent> = message.events.iter().collect();
    Ok((events.len(), unknown(state, &events)))
}

/// The answer to a request that the event stream did not serve.
fn stream_refusal(error: &EventStreamError) -> ApiError {
    match error {
        // The log says so when the outage begins.
        EventStreamError::Unavailable { .. } => ApiError::EventStreamTimeout,
        EventStreamError::Full { .. } => {
            tracing::error!(%error, "the event stream refused events");
            ApiError::EventLogFull
        }
        EventStreamError::Refused { .. } => {
            tracing::error!(%error, "the event stream refused events");
            ApiError::Internal
        }
    }
}

/// Counts new events for the ranking signals.
fn count(state: &AppState, session: &str, new: &[&LoggedEvent]) {
    let recommender = state.recommender();
    let catalogue = &recommender.catalogue;
    if let Some(signals) = &recommender.signals {
        for event in new.iter().filter(|event| is_interaction(event.kind)) {
            let position = |id: &ItemId| state.items.position(catalogue, id);
            state.live_counts.count(signals, position, (session, &event.item, event.at));
        }
    }
}

/// Number of events of items that neither the catalogue nor the database has, or that were deleted.
fn unknown(state: &AppState, new: &[&LoggedEvent]) -> usize {
    let catalogue = &state.recommender().catalogue;
    let items = &state.items;
    let is_known = |id: &ItemId| items.position(catalogue, id).is_some() && !items.is_deleted(id);
    new.iter().filter(|event| !is_known(&event.item)).count()
}

/// All events of a visit or visitor.
///
/// `name` is the `session` of the events. 404 unless events are stored in the database.
#[utoipa::path(
    get, path = "/v1/users/{name}", tag = "admin",
    params(("name" = String, Path, description = "Name of the visit or visitor")),
    responses(
        (status = 200, description = "The events, oldest first", body = serde_json::Value),
        (status = 400, description = "Not a name", body = Problem),
        (status = 404, description = "Events are not stored in a database", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn user(
    state: web::Data<AppState>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let Some(EventSink::Storage(storage)) = state.event_sink() else {
        let lacks = "stores no events in a database";
        return Err(ApiError::NotStarted { lacks, option: "--store-events" });
    };
    check_id("name", &name)?;
    let events = storage.user_events(&name).await.map_err(|error| refusal(&error))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(UserExport { name: name.into_inner(), events }))
}

/// The response of `GET /v1/users/{name}`.
#[derive(Serialize)]
struct UserExport {
    name: String,
    events: Vec<StoredEvent>,
}

/// Removes all events of a visit or visitor from the stored events.
///
/// `name` is the `session` of the events: the pseudonym that the site gave, or the random name
/// that the visitor's device shows. Counts of events (popular, trending and similar items, ranking
/// signals) are made anew without the visitor: on this server before the answer, or soon after it if
/// that takes longer than 10 seconds, on others with the same database within a second. Models that were trained on the events keep what they learnt
/// until the next training; `tandem forget` removes the visitor from imported data. 404 unless the
/// server keeps an event log.
#[utoipa::path(
    delete, path = "/v1/users/{name}", tag = "admin",
    params(("name" = String, Path, description = "Name of the visit or visitor")),
    responses(
        (status = 200, description = "Number of removed events", body = ForgetResponse),
        (status = 400, description = "Not a name", body = Problem),
        (status = 404, description = "The server keeps no event log", body = Problem),
        (status = 503, description = "The event log is locked, or its disk is full", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn forget(
    state: web::Data<AppState>,
    name: web::Path<String>,
) -> Result<web::Json<ForgetResponse>, ApiError> {
    let sink = state.event_sink().ok_or(ApiError::NO_EVENTS)?;
    check_id("name", &name)?;
    let name = name.into_inner();
    state.live_counts.forget(&name);
    let removed = match sink {
        EventSink::Files(log) => {
            let shared = state.clone().into_inner();
            let forget = move || {
                log.alone(|| {
                    let removed = log.forget(&name)?;
                    if removed > 0 {
                        recount(&shared, &log)?;
                    }
                    Ok(removed)
                })
            };
            let forgotten = tokio::time::timeout(ERASING, web::block(forget)).await;
            let forgotten = forgotten.map_err(|_| ApiError::StorageTimeout)?;
            forgotten.map_err(|_| ApiError::Internal)?.map_err(|error| log_refusal(&error))?
        }
        EventSink::Storage(storage) => {
            let removed = match state.event_stream.as_deref() {
                Some(stream) => {
                    // Those in the stream are not stored later, either.
                    let end = stream.end().await.map_err(|error| stream_refusal(&error))?;
                    storage.forget_streamed_user(&name, end).await
                }
                None => storage.forget_user(&name).await,
            };
            let removed = removed.map_err(|error| refusal(&error))?;
            let (shared, of) = (state.clone().into_inner(), storage.clone());
            // Runs on if the caller does not wait.
            let erasing = storage.run(async move { follow_events(&shared, &of).await });
            match tokio::time::timeout(ERASING, erasing).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error)) | Err(error)) => {
                    tracing::warn!(%error, "counts keep a visitor that was removed a little longer");
                }
                Err(_) => tracing::info!("events are counted anew in the background"),
            }
            removed
        }
    };
    tracing::info!(removed, "removed a visitor from the stored events");
    Ok(web::Json(ForgetResponse { removed }))
}

/// Counts the events of the files anew, as at the start. Blocks.
fn recount(state: &AppState, log: &EventLog) -> Result<(), EventLogError> {
    let AppState { trends, items, live_counts, .. } = state;
    trends.recount(items, |each| log.for_each_interaction(|_, item, at| each(item, at)))?;
    let recommender = state.recommender();
    if let Some(signals) = recommender.signals.as_deref().filter(|it| it.counts().is_some())
        && let Some(mut anew) = Recount::begin(signals, &recommender.catalogue)
    {
        let position = |id: &ItemId| items.position(&recommender.catalogue, id);
        log.for_each_interaction(|session, item, at| anew.replay(position, (session, item, at)))?;
        live_counts.finish(signals, anew);
    }
    Ok(())
}

/// Logs the disagreement of a device in shadow mode.
///
/// 404 unless the server keeps an event log.
#[utoipa::path(
    post, path = "/v1/disagreements", tag = "public", request_body = DisagreementReport,
    responses(
        (status = 204, description = "Logged"),
        (status = 400, description = "Not a number from 0 to 1", body = Problem),
        (status = 404, description = "The server keeps no event log", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn disagreements(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    JsonBody(report): JsonBody<DisagreementReport>,
) -> Result<HttpResponse, ApiError> {
    let sink = state.event_sink().ok_or(ApiError::NO_EVENTS)?;
    if !(0.0..=1.0).contains(&report.disagreement) {
        return Err(ApiError::InvalidField {
            field: "disagreement".to_owned(),
            detail: format!("expected a number from 0 to 1, found {}", report.disagreement),
        });
    }
    state.access().charge_events(&caller, 1, state.shared.as_ref()).await?;
    match sink {
        EventSink::Files(log) => {
            write_off_thread(move || log.append_disagreement(report)).await?;
        }
        EventSink::Storage(storage) => {
            let stored = storage.append_disagreement(report.disagreement).await;
            stored.map_err(|error| refusal(&error))?;
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Items are checked here because unknown ones are logged, too.
fn check_item(field: &str, item: &ItemId) -> Result<(), ApiError> {
    if is_item(item) {
        return Ok(());
    }
    Err(ApiError::InvalidField {
        field: field.to_owned(),
        detail: format!("expected an item id of 1 to {MAX_ITEM} bytes without control characters"),
    })
}

fn check_id(field: &str, id: &str) -> Result<(), ApiError> {
    if is_id(id) {
        return Ok(());
    }
    Err(ApiError::InvalidField {
        field: field.to_owned(),
        detail: format!("expected 1 to {MAX_ID} letters, digits, `-` or `_`"),
    })
}

/// Runs a blocking write on the thread pool, because the HTTP threads must not block.
async fn write_off_thread<T: Send + 'static>(
    write: impl FnOnce() -> Result<T, EventLogError> + Send + 'static,
) -> Result<T, ApiError> {
    blocking(write).await?.map_err(|error| log_refusal(&error))
}

fn log_refusal(error: &EventLogError) -> ApiError {
    tracing::error!(%error, "could not write the event log");
    match error {
        EventLogError::Full { .. } | EventLogError::NoSpace { .. } => ApiError::EventLogFull,
        EventLogError::Locked { .. } => ApiError::StorageTimeout,
        EventLogError::Io { .. } => ApiError::Internal,
    }
}
