use std::time::Instant;

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::Next,
};

use crate::{ApiError, error::PROBLEM_JSON};

/// What a handler lets the log know about an answer; never which items.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    pub(crate) candidates: usize,
    pub(crate) tokens: usize,
}

/// Outermost layer: every error leaves as a problem, and every request is one line of log.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut line = Line {
        method: request.method().clone(),
        path: request.path().to_owned(),
        started: Instant::now(),
        status: None,
        served: Served::default(),
    };
    let response = as_problem(next.call(request).await?.map_into_boxed_body());
    line.status = Some(response.status().as_u16());
    line.served = response.request().extensions().get::<Served>().copied().unwrap_or_default();
    Ok(response)
}

/// Replaces the body of an error that the framework made (404 of the static files, 405 of
/// a resource) by a problem; headers such as CORS's and `Allow` stay.
fn as_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_JSON.as_bytes()));
    if !is_error || is_problem {
        return response;
    }
    let error = ApiError::of_status(status);
    let Ok(json) = serde_json::to_vec(&error.problem(status)) else { return response };
    response.map_body(|head, _| {
        let headers = head.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        if let ApiError::MethodNotAllowed { allow } = error
            && !headers.contains_key(header::ALLOW)
        {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        BoxBody::new(json)
    })
}

/// One line of log, written when it is dropped: with the answer, or when the client went
/// away before there was one.
struct Line {
    method: Method,
    path: String,
    started: Instant,
    status: Option<u16>,
    served: Served,
}

impl Drop for Line {
    fn drop(&mut self) {
        let Self { method, path, status, served: Served { candidates, tokens }, .. } = self;
        let ms = self.started.elapsed().as_millis() as u64;
        match status {
            Some(status) if path == "/livez" || path == "/readyz" => {
                tracing::debug!(%method, path, status, ms, "request");
            }
            Some(status) if path == "/v1/candidates" => {
                tracing::info!(%method, path, status, ms, candidates, tokens, "request");
            }
            Some(status) => tracing::info!(%method, path, status, ms, "request"),
            None => tracing::info!(%method, path, ms, "the client went away"),
        }
    }
}
