use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
};

use crate::error::{ApiError, PROBLEM_JSON};

/// Middleware that replaces the bodies of errors created by the web framework (404 of the
/// static files, 405 of a resource) with problem+json. Other headers, such as `Allow` and
/// those of CORS, are kept.
pub(crate) async fn errors_as_problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_JSON.as_bytes()));
    if !is_error || is_problem {
        return Ok(response);
    }
    let error = ApiError::from_status(status);
    response.response_mut().extensions_mut().insert(error.code());
    let Ok(json) = serde_json::to_vec(&error.problem(status)) else { return Ok(response) };
    Ok(response.map_body(|head, _| {
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
    }))
}
