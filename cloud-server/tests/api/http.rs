//! Requests to the application inside the test process.

use actix_http::{HttpMessage as _, Request};
use actix_web::{
    Error,
    body::{self, BoxBody},
    dev::{Service, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    test::TestRequest,
    web::Bytes,
};
use serde_json::Value;
use tandem_protocol::Problem;

use crate::fixture::Fixture;

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a successful response.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of an error response, checked to be a valid problem with the same status.
    #[track_caller]
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.kind, "about:blank");
        assert!(!problem.detail.is_empty());
        problem
    }

    /// Status, code and field of an error, as `400 invalid_field history[3]`.
    #[track_caller]
    pub(crate) fn refusal(&self) -> String {
        let problem = self.problem();
        let field = problem.field.map(|field| format!(" {field}")).unwrap_or_default();
        format!("{} {}{field}", problem.status, problem.code)
    }
}

/// The application of a fixture.
pub(crate) async fn app(
    fixture: &Fixture,
) -> impl Service<Request, Response = ServiceResponse<BoxBody>, Error = Error> + use<> {
    actix_web::test::init_service(cloud_server::create_app(fixture.state.clone())).await
}

pub(crate) async fn send<S>(app: &S, request: TestRequest) -> Reply
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let mut request = request.to_request();
    if !request.headers().contains_key(header::HOST) {
        // As every client does.
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    }
    let response = app.call(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = body::to_bytes(response.into_body()).await.unwrap();
    Reply { status, headers, body }
}

pub(crate) async fn get<S>(app: &S, path: &str) -> Reply
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    send(app, TestRequest::get().uri(path)).await
}

/// Posts a body with the media type of JSON.
pub(crate) async fn post<S>(app: &S, path: &str, json: impl Into<Bytes>) -> Reply
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let request = TestRequest::post()
        .uri(path)
        .insert_header(("content-type", "application/json"))
        .set_payload(json.into());
    send(app, request).await
}
