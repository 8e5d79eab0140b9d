use std::sync::Arc;

use actix_web::{HttpResponse, web};
use tandem_protocol::{DisagreementReport, EventsRequest, EventsResponse, LoggedEvent};

use crate::{ApiError, AppState, EventLog, body::Json, events::LogError};

/// Longest name of a session or an event, in bytes.
const MAX_NAME: usize = 64;
/// Most events of one request.
const MAX_EVENTS: usize = 500;
/// Seconds after which a device may try a log that is full again.
const FULL_RETRY_S: u64 = 3600;

/// `POST /v1/events`; not found unless the server keeps a log.
pub(super) async fn events(
    state: web::Data<AppState>,
    Json(request): Json<EventsRequest>,
) -> Result<web::Json<EventsResponse>, ApiError> {
    let log = log_of(&state)?;
    check_name("session", &request.session)?;
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
        check_name(&format!("events[{at}].id"), &event.id)?;
    }
    let EventsRequest { session, events } = request;
    let sent = events.len();
    let known: Vec<LoggedEvent> = events
        .into_iter()
        .filter(|event| state.catalogue.index_of(&event.item).is_some())
        .collect();
    let unknown = sent - known.len();
    let accepted = write(move || log.append(&session, &known)).await?;
    Ok(web::Json(EventsResponse { accepted, repeated: sent - unknown - accepted, unknown }))
}

/// `POST /v1/disagreements`; not found unless the server keeps a log.
pub(super) async fn disagreements(
    state: web::Data<AppState>,
    Json(report): Json<DisagreementReport>,
) -> Result<HttpResponse, ApiError> {
    let log = log_of(&state)?;
    if !(0.0..=1.0).contains(&report.disagreement) {
        return Err(ApiError::InvalidField {
            field: "disagreement".to_owned(),
            detail: format!("expected a number from 0 to 1, found {}", report.disagreement),
        });
    }
    write(move || log.append_disagreement(report)).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn log_of(state: &AppState) -> Result<Arc<EventLog>, ApiError> {
    state.events.clone().ok_or(ApiError::NotFound)
}

fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(plain) {
        return Ok(());
    }
    Err(ApiError::InvalidField {
        field: field.to_owned(),
        detail: format!("expected 1 to {MAX_NAME} letters, digits, `-` or `_`"),
    })
}

/// Writes off the threads that speak HTTP.
async fn write<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, ApiError> {
    let written = web::block(job).await.map_err(|_| ApiError::Internal)?;
    written.map_err(|error| {
        tracing::error!("the log of events: {error}");
        match error {
            LogError::Full { .. } => ApiError::Overloaded { retry_after_s: FULL_RETRY_S },
            LogError::Io { .. } => ApiError::Internal,
        }
    })
}
