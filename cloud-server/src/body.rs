use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web};
use serde::de::DeserializeOwned;

use crate::{ApiError, AppState};

/// Longest excerpt of a parser's message, in characters: such a message may quote the
/// request, and a request may be a megabyte.
const LONGEST_MESSAGE: usize = 200;

/// How much beyond the limit is read and thrown away, as a multiple of the limit. A server
/// that answers and closes while the client still sends resets the connection, and the
/// client never sees the answer.
const DRAINED: usize = 8;

/// A request's JSON body, read within the limits of the [`AppState`].
///
/// Refuses with 415 what does not call itself JSON, with 413 what is too long, with 400
/// and the path of the field what has the wrong shape.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            if request.content_type().trim() != "application/json" {
                return Err(ApiError::UnsupportedMediaType);
            }
            let limits =
                &request.app_data::<web::Data<AppState>>().ok_or(ApiError::Internal)?.limits;
            let reading = read(&request, payload, limits.body);
            match tokio::time::timeout(limits.body_timeout, reading).await {
                Ok(bytes) => parse(&bytes?).map(Self),
                Err(_) => Err(ApiError::InvalidRequest {
                    detail: format!(
                        "the body did not arrive within {} s",
                        limits.body_timeout.as_secs()
                    ),
                }),
            }
        })
    }
}

async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
) -> Result<web::Bytes, ApiError> {
    let too_large = ApiError::PayloadTooLarge { limit };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit.saturating_mul(DRAINED)) {
        return Err(too_large);
    }
    let mut body = web::BytesMut::with_capacity(announced.unwrap_or(0).min(limit));
    let mut received = 0_usize;
    while let Some(chunk) = next_chunk(&mut payload).await {
        let chunk = chunk.map_err(|error| ApiError::InvalidRequest {
            detail: format!("the body could not be read: {error}"),
        })?;
        received += chunk.len();
        if received > limit.saturating_mul(DRAINED) {
            break;
        }
        if received <= limit {
            body.extend_from_slice(&chunk);
        }
    }
    if received > limit { Err(too_large) } else { Ok(body.freeze()) }
}

async fn next_chunk(
    payload: &mut Payload,
) -> Option<Result<web::Bytes, actix_web::error::PayloadError>> {
    use actix_web::body::MessageBody as _;

    let mut stream = actix_web::body::BodyStream::new(payload);
    std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await
}

/// Reads JSON; an error names the field where there is one.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // `serde` would take an array for a structure, field by field.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ApiError::InvalidRequest { detail: "expected a JSON object".to_owned() });
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refusal(Some(path).filter(|path| path != "."), error.inner())
    })?;
    json.end().map_err(|error| refusal(None, &error))?;
    Ok(value)
}

fn refusal(path: Option<String>, error: &serde_json::Error) -> ApiError {
    let message = error.to_string();
    // A missing field has no path of its own: it is at the object that lacks it.
    let missing = || Some(message.strip_prefix("missing field `")?.split_once('`')?.0.to_owned());
    let detail = shortened(&message);
    match path.filter(|_| error.is_data()).or_else(missing) {
        Some(field) => ApiError::InvalidField { field: shortened(&field), detail },
        None => ApiError::InvalidRequest { detail: format!("expected a JSON object: {detail}") },
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tandem_protocol::CandidatesRequest;

    use super::*;

    fn refused(json: &str) -> ApiError {
        parse::<CandidatesRequest>(json.as_bytes()).unwrap_err()
    }

    fn field_of(json: &str) -> String {
        match refused(json) {
            ApiError::InvalidField { field, .. } => field,
            other => panic!("{json} gave {other:?}, which names no field"),
        }
    }

    #[test]
    fn wrong_types_are_named_by_their_path() {
        assert_eq!(field_of(r#"{"history":["1","2","3",4]}"#), "history[3]");
        assert_eq!(field_of(r#"{"history":"1"}"#), "history");
        assert_eq!(field_of(r#"{"history":[],"exclude":[null]}"#), "exclude[0]");
        assert_eq!(field_of(r#"{"history":[],"k":-1}"#), "k");
        assert_eq!(field_of(r#"{"history":[],"k":1e300}"#), "k");
        assert_eq!(field_of(r#"{"history":[],"rows":"yes"}"#), "rows");
    }

    #[test]
    fn missing_and_unknown_fields_are_named() {
        assert_eq!(field_of("{}"), "history");
        assert_eq!(field_of(r#"{"history":[],"colour":"red"}"#), "colour");
    }

    #[test]
    fn what_is_not_json_names_no_field() {
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
                matches!(refused(text), ApiError::InvalidRequest { .. }),
                "{text} gave {:?}",
                refused(text)
            );
        }
    }

    #[test]
    fn messages_do_not_repeat_a_long_request() {
        let long = "x".repeat(100_000);
        let refused = refused(&format!(r#"{{"history":[],"rows":"{long}"}}"#));
        assert!(refused.to_string().len() < 400, "{} bytes", refused.to_string().len());
    }
}
