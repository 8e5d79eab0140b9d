use std::sync::Arc;

use actix_web::{HttpResponse, web};
use tandem_protocol::{DisagreementReport, EventsRequest, EventsResponse, LoggedEvent};

use crate::{
    body::JsonBody,
    error::ApiError,
    events::{EventLog, EventLogError},
    state::AppState,
};

/// Maximum length of a session id or an event id in bytes.
const MAX_ID: usize = 64;
/// Maximum number of events in one request.
const MAX_EVENTS: usize = 500;
/// `Retry-After` in seconds while the event log is full.
const FULL_RETRY_S: u64 = 3600;

/// `POST /v1/events`: logs events. 404 unless the server keeps an event log.
pub(super) async fn events(
    state: web::Data<AppState>,
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
    let recommender = state.recommender();
    let known: Vec<LoggedEvent> = events
        .into_iter()
        .filter(|event| recommender.catalogue.index_of(&event.item).is_some())
        .collect();
    let unknown = sent - known.len();
    let accepted = write_off_thread(move || log.append(&session, &known)).await?;
    Ok(web::Json(EventsResponse { accepted, repeated: sent - unknown - accepted, unknown }))
}

/// `POST /v1/disagreements`: logs a disagreement of a device in shadow mode. 404 unless the
/// server keeps an event log.
pub(super) async fn disagreements(
    state: web::Data<AppState>,
    JsonBody(report): JsonBody<DisagreementReport>,
) -> Result<HttpResponse, ApiError> {
    let log = event_log(&state)?;
    if !(0.0..=1.0).contains(&report.disagreement) {
        return Err(ApiError::InvalidField {
            field: "disagreement".to_owned(),
            detail: format!("expected a number from 0 to 1, found {}", report.disagreement),
        });
    }
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
    let written = web::block(write).await.map_err(|_| ApiError::Internal)?;
    written.map_err(|error| {
        tracing::error!(%error, "could not write the event log");
        match error {
            EventLogError::Full { .. } => ApiError::EventLogFull { retry_after_s: FULL_RETRY_S },
            EventLogError::Io { .. } => ApiError::Internal,
        }
    })
}
