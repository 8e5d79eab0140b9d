//! Each request: its line in the log, its metrics, its id and its place among those in flight.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Instant, SystemTime},
};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
    web,
};
use tandem_protocol::ErrorCode;

use crate::{
    candidate_stats::CandidateStats,
    connection::{Activity, InFlight},
    error::ErrorCause,
    log_fields::{PathField, method_name},
    recent::Answered,
    request_id::{REQUEST_ID, request_id},
    state::AppState,
    traces::{RequestSpan, TraceParent},
};

/// Middleware that logs one line per request, counts it and gives it an id.
pub(crate) async fn log_requests(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<web::Data<AppState>>().cloned() else {
        return next.call(request).await;
    };
    let in_flight = Tracked::start(&request, &state);
    let mut entry = RequestLogEntry {
        id: request_id(&request, &state),
        method: method_name(request.method()),
        path: PathField::of(request.path(), request.match_pattern()),
        parent: TraceParent::of(request.headers()),
        route: "other",
        started: Instant::now(),
        status: None,
        code: None,
        cause: None,
        stats: CandidateStats::default(),
        state,
    };
    let mut response = next.call(request).await?;
    entry.status = Some(response.status().as_u16());
    entry.route = route(response.request());
    entry.code = response.response().extensions().get::<ErrorCode>().copied();
    entry.cause = response.response().extensions().get::<ErrorCause>().copied();
    let stats = response.request().extensions().get::<CandidateStats>().copied();
    entry.stats = stats.unwrap_or_default();
    if let Ok(id) = HeaderValue::from_str(&entry.id) {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    Ok(response.map_body(|_, body| match body.size() {
        // Nothing will be read of it.
        BodySize::None | BodySize::Sized(0) => body,
        _ => BoxBody::new(TrackedBody { body, _in_flight: in_flight }),
    }))
}

/// The route of a request for metrics: one of a fixed set, whatever clients send.
fn route(request: &HttpRequest) -> &'static str {
    /// Routes below a name that clients choose, and those beside them.
    const TEMPLATES: [&str; 6] = [
        "/v1/items/popular",
        "/v1/items/latest",
        "/v1/items/trending",
        "/v1/items/{id}",
        "/v1/items/{id}/similar",
        "/v1/users/{name}",
    ];
    const ROUTES: [&str; 20] = [
        "/v1/candidates",
        "/v1/candidates/batch",
        "/v1/rows",
        "/v1/items",
        "/v1/availability",
        "/v1/events",
        "/v1/disagreements",
        "/v1/manifest",
        "/v1/models",
        "/v1/status",
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/releases",
        "/v1/admin",
        "/artifacts/",
        "/docs/api",
        "/admin",
        "/",
    ];
    if let Some(pattern) = request.match_pattern()
        && let Some(template) = TEMPLATES.into_iter().find(|template| *template == pattern)
    {
        return template;
    }
    let path = request.path();
    let found = ROUTES.iter().find(|route| match **route {
        prefix @ ("/artifacts/" | "/docs/api") => path.starts_with(prefix),
        parent @ ("/v1/releases" | "/v1/admin" | "/admin") => {
            path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        exact => path == exact,
    });
    found.copied().unwrap_or("other")
}

/// A request that is being answered.
struct Tracked {
    state: web::Data<AppState>,
    _connection: Option<InFlight>,
}

impl Tracked {
    fn start(request: &ServiceRequest, state: &web::Data<AppState>) -> Self {
        state.request_started();
        let headers = request.headers();
        let has_body = headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING);
        // Absent in tests, which have no connections.
        let activity = request.conn_data::<Rc<Activity>>();
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let connection = activity.map(|activity| activity.begin(has_body, length));
        Self { state: state.clone(), _connection: connection }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.state.request_ended();
    }
}

/// The body of a response; its request is in flight until all of it was read.
struct TrackedBody {
    body: BoxBody,
    _in_flight: Tracked,
}

impl MessageBody for TrackedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// A line of the request log. It is written when the entry is dropped: after the response, or
/// without a status if the client disconnected before the response.
struct RequestLogEntry {
    id: String,
    method: &'static str,
    path: PathField,
    parent: Option<TraceParent>,
    route: &'static str,
    started: Instant,
    status: Option<u16>,
    code: Option<ErrorCode>,
    cause: Option<ErrorCause>,
    stats: CandidateStats,
    state: web::Data<AppState>,
}

impl Drop for RequestLogEntry {
    fn drop(&mut self) {
        let Self { id, method, path, parent, status, code, cause, stats, .. } = &*self;
        let CandidateStats { candidates, tokens, .. } = stats;
        let path = path.shown(*status);
        let is_probe = matches!(self.route, "/livez" | "/readyz" | "/metrics");
        let elapsed = self.started.elapsed();
        let ms = elapsed.as_millis() as u64;
        if let Some(status) = status {
            self.state.metrics.request(Answered {
                route: self.route,
                status: *status,
                elapsed_s: elapsed.as_secs_f64(),
                code: *code,
                cause: *cause,
                id,
            });
        }
        let traces = self.state.traces.as_ref().filter(|_| !is_probe);
        let trace_id = traces.and_then(|traces| {
            let span = RequestSpan {
                request_id: id.clone(),
                method,
                route: self.route,
                end: SystemTime::now(),
                duration: elapsed,
                status: *status,
                code: *code,
                stats: *stats,
            };
            traces.record(*parent, span)
        });
        // Fields without a value are left out.
        let traceparent = parent.map(|parent| parent.to_string());
        match status {
            Some(status) if is_probe => {
                tracing::debug!(id, traceparent, method, path, status, ms, "request");
            }
            Some(status) if *candidates > 0 => {
                tracing::info!(
                    id,
                    traceparent,
                    trace_id,
                    method,
                    path,
                    status,
                    ms,
                    candidates,
                    tokens,
                    "request"
                );
            }
            Some(status) => {
                tracing::info!(id, traceparent, trace_id, method, path, status, ms, "request");
            }
            None => {
                tracing::info!(
                    id,
                    traceparent,
                    trace_id,
                    method,
                    path,
                    ms,
                    "the client disconnected"
                );
            }
        }
    }
}
