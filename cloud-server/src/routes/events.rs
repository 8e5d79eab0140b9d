use std::sync::Arc;

use actix_web::{HttpResponse, web};
use tandem_protocol::{DisagreementReport, EventsRequest, EventsResponse, LoggedEvent, Problem};

use crate::{
    access::Caller,
    body::JsonBody,
    error::ApiError,
    events::{EventLog, EventLogError},
    files::blocking,
    state::AppState,
};

/// Maximum length of a session id or an event id in bytes.
const MAX_ID: usize = 64;
/// Maximum number of events in one request.
const MAX_EVENTS: usize = 500;

/// Logs events of a visit.
///
/// 404 unless the server keeps an event log. The events of a request are logged all or not at
/// all; an event that its session sends again is not logged twice.
#[utoipa::path(
    post, path = "/v1/events", tag = "public", request_body = EventsRequest,
    responses(
        (status = 200, description = "What became of the events", body = EventsResponse),
        (status = 400, description = "A field is missing, unknown or out of range", body = Problem),
        (status = 404, description = "The server keeps no event log", body = Problem),
        (status = 429, description = "Too many events of this client", body = Problem),
        (status = 503, description = "The event log or its disk is full", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn events(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    JsonBody(request): JsonBody<EventsRequest>,
) -> Result<web::Json<EventsResponse>, ApiError> {
    let log = event_log(&state)?;
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
    }
    let EventsRequest { session, events } = request;
    let sent = events.len();
    state.access().charge_events(&caller, sent)?;
    let catalogue = Arc::clone(&state.recommender().catalogue);
    let known: Vec<LoggedEvent> =
        events.into_iter().filter(|event| catalogue.index_of(&event.item).is_some()).collect();
    let unknown = sent - known.len();
    let written = write_off_thread(move || log.append(&session, &known)).await;
    let accepted = written.inspect_err(|_| state.metrics.events_refused(sent))?;
    let response = EventsResponse { accepted, repeated: sent - unknown - accepted, unknown };
    state.metrics.events(&response);
    Ok(web::Json(response))
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
    let log = event_log(&state)?;
    if !(0.0..=1.0).contains(&report.disagreement) {
        return Err(ApiError::InvalidField {
            field: "disagreement".to_owned(),
            detail: format!("expected a number from 0 to 1, found {}", report.disagreement),
        });
    }
    state.access().charge_events(&caller, 1)?;
    write_off_thread(move || log.append_disagreement(report)).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn event_log(state: &AppState) -> Result<Arc<EventLog>, ApiError> {
    state.events.clone().ok_or(ApiError::NotFound)
}

fn check_id(field: &str, id: &str) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !id.is_empty() && id.len() <= MAX_ID && id.chars().all(plain) {
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
    blocking(write).await?.map_err(|error| {
        tracing::error!(%error, "could not write the event log");
        match error {
            EventLogError::Full { .. } | EventLogError::NoSpace { .. } => ApiError::EventLogFull,
            EventLogError::Locked { .. } => ApiError::StorageTimeout,
            EventLogError::Io { .. } => ApiError::Internal,
        }
    })
}
