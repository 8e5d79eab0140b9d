use std::{future::Future, pin::Pin, rc::Rc};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web};
use serde::de::DeserializeOwned;

use crate::{
    access::Caller,
    body_budget::{BodyCharge, BudgetExceeded},
    connection::Activity,
    error::ApiError,
    messages::{plain_types, shortened},
    state::AppState,
};

/// Number of bytes of a too large body that are read and discarded, as a multiple of the
/// limit. If a server responds and closes while the client still sends, the connection is
/// reset and the client does not see the response.
const DRAIN_FACTOR: usize = 8;

/// Extractor for the JSON body of a request, within the limits of the [`AppState`].
///
/// Refuses other media types with 415, large bodies with 413, and bodies of the wrong shape
/// with 400 and the path of the field.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for JsonBody<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            if !request.content_type().trim().eq_ignore_ascii_case("application/json") {
                return Err(ApiError::UnsupportedMediaType);
            }
            check_encoding(request.headers())?;
            let state = request.app_data::<web::Data<AppState>>().ok_or(ApiError::Internal)?;
            let limits = &state.limits;
            let client = request.extensions().get::<Caller>().map(|caller| caller.client);
            let mut charge = state.bodies.charge(client.ok_or(ApiError::Internal)?);
            let reading = read_body(&request, payload, limits.body, &mut charge);
            let read = tokio::time::timeout(limits.body_timeout, reading).await;
            let bytes = read.map_err(|_| ApiError::InvalidRequest {
                detail: format!(
                    "expected the whole body within {} s; send it again",
                    limits.body_timeout.as_secs()
                ),
            })??;
            if let Some(activity) = request.conn_data::<Rc<Activity>>() {
                activity.body_arrived();
            }
            parse(&bytes).map(Self)
        })
    }
}

async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    charge: &mut BodyCharge,
) -> Result<web::Bytes, ApiError> {
    let too_large = ApiError::PayloadTooLarge { limit };
    let content_length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if content_length.is_some_and(|length| length > limit.saturating_mul(DRAIN_FACTOR)) {
        return Err(too_large);
    }
    // Grows with what arrives: a length in a header is no reason to reserve memory.
    let mut body = web::BytesMut::new();
    let mut received = 0_usize;
    while let Some(chunk) = next_chunk(&mut payload).await {
        let chunk = chunk.map_err(|error| ApiError::InvalidRequest {
            detail: format!("the body could not be read: {error}; send it again"),
        })?;
        received += chunk.len();
        if received > limit.saturating_mul(DRAIN_FACTOR) {
            break;
        }
        if received <= limit {
            charge.grow_to(received).map_err(|BudgetExceeded| ApiError::Busy)?;
            body.extend_from_slice(&chunk);
        }
    }
    if received > limit { Err(too_large) } else { Ok(body.freeze()) }
}

/// Refuses a compressed body, which the parsers would not understand.
///
/// # Errors
/// [`ApiError::UnsupportedEncoding`].
pub(crate) fn check_encoding(headers: &header::HeaderMap) -> Result<(), ApiError> {
    let mut values = headers.get_all(header::CONTENT_ENCODING);
    let is_plain = |value: &header::HeaderValue| {
        value.to_str().is_ok_and(|value| value.trim().eq_ignore_ascii_case("identity"))
    };
    if values.all(is_plain) { Ok(()) } else { Err(ApiError::UnsupportedEncoding) }
}

pub(crate) async fn next_chunk(
    payload: &mut Payload,
) -> Option<Result<web::Bytes, actix_web::error::PayloadError>> {
    use actix_web::body::MessageBody as _;

    let mut stream = actix_web::body::BodyStream::new(payload);
    std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await
}

/// Parses JSON. The error names the field if there is one.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // `serde` would accept an array as the fields of a struct in order.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        let detail = format!("expected a JSON object, found {}", kind_of(first.copied()));
        return Err(ApiError::InvalidRequest { detail });
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        json_error(Some(path).filter(|path| path != "."), error.inner())
    })?;
    json.end().map_err(|error| json_error(None, &error))?;
    Ok(value)
}

/// What a body is that begins with this byte and is no object.
fn kind_of(first: Option<u8>) -> &'static str {
    match first {
        None => "an empty body",
        Some(b'[') => "an array",
        Some(b'"') => "a JSON string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f' | b'n') => "`true`, `false`, `null` or text that is not JSON",
        Some(_) => "text that is not JSON",
    }
}

fn json_error(path: Option<String>, error: &serde_json::Error) -> ApiError {
    let message = plain_types(&error.to_string());
    // The path of a missing field is that of its object; the message has its name.
    let missing = || Some(message.strip_prefix("missing field `")?.split_once('`')?.0.to_owned());
    let detail = shortened(&message);
    match path.filter(|_| error.is_data()).or_else(missing) {
        Some(field) => ApiError::InvalidField { field: shortened(&field), detail },
        None => ApiError::InvalidRequest { detail: format!("expected a JSON object: {detail}") },
    }
}

#[cfg(test)]
mod tests {
    use tandem_protocol::CandidatesRequest;

    use super::*;

    fn parse_error(json: &str) -> ApiError {
        parse::<CandidatesRequest>(json.as_bytes()).unwrap_err()
    }

    fn field_of(json: &str) -> String {
        match parse_error(json) {
            ApiError::InvalidField { field, .. } => field,
            other => panic!("{json} gave {other:?} without a field"),
        }
    }

    #[test]
    fn a_wrong_type_is_reported_with_its_path() {
        assert_eq!(field_of(r#"{"history":["1","2","3",4]}"#), "history[3]");
        assert_eq!(field_of(r#"{"history":"1"}"#), "history");
        assert_eq!(field_of(r#"{"history":[],"exclude":[null]}"#), "exclude[0]");
        assert_eq!(field_of(r#"{"history":[],"k":-1}"#), "k");
        assert_eq!(field_of(r#"{"history":[],"k":1e300}"#), "k");
        assert_eq!(field_of(r#"{"history":[],"rows":"yes"}"#), "rows");
    }

    #[test]
    fn missing_and_unknown_fields_are_reported_by_name() {
        assert_eq!(field_of("{}"), "history");
        assert_eq!(field_of(r#"{"history":[],"colour":"red"}"#), "colour");
    }

    #[test]
    fn a_body_that_is_not_json_is_an_invalid_request() {
        for text in [
            "",
            "{",
            "history",
            "{\"history\":[]} trailing",
            "{\"history\":[\"a\"",
            "7",
            "[[\"1\"]]",
        ] {
            assert!(
                matches!(parse_error(text), ApiError::InvalidRequest { .. }),
                "{text} gave {:?}",
                parse_error(text)
            );
        }
    }

    #[test]
    fn messages_name_no_types_of_the_program() {
        let detail = parse_error(r#"{"history":[],"k":-1}"#).to_string();
        assert!(detail.contains("expected a whole number that is not negative"), "{detail}");
    }

    #[test]
    fn messages_do_not_quote_a_long_request() {
        let long = "x".repeat(100_000);
        let error = parse_error(&format!(r#"{{"history":[],"rows":"{long}"}}"#));
        assert!(error.to_string().len() < 400, "{} bytes", error.to_string().len());
    }
}
