//! Reads the server's responses, and checks them: a proxy's HTML, half a list or a value that
//! is not a finite number must not reach the session.

use serde::de::DeserializeOwned;
use tandem_protocol::{CandidatesResponse, ErrorCode, Problem};

use crate::{
    error::{ClientError, Failure},
    host::HttpResponse,
};

/// Longest list of candidates that is read. 200 candidates with rows of 256 dimensions take
/// 100 KB.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// Longest pause that a server can ask for, in milliseconds.
const MAX_RETRY_AFTER_MS: f64 = 600_000.0;

/// Reads the response of `POST /v1/candidates`.
///
/// # Errors
/// The server's own [`Problem`], or `bad_response` if the body is not a list.
pub(crate) fn candidates(response: &HttpResponse) -> Result<CandidatesResponse, Failure> {
    let response = expect_ok(response, "POST /v1/candidates")?;
    if response.body.len() > MAX_LIST_BYTES {
        return Err(bad(format!(
            "the candidate list has {} bytes, expected at most {MAX_LIST_BYTES}",
            response.body.len()
        )));
    }
    let list: CandidatesResponse = json(&response.body, "a list of candidates")?;
    if list.candidates.is_empty() {
        return Err(bad("the server sent a list without candidates; the last list stays in use"));
    }
    for (at, candidate) in list.candidates.iter().enumerate() {
        if !candidate.logprob.is_finite() {
            return Err(bad(format!(
                "candidates[{at}].logprob is {}, expected a finite number",
                candidate.logprob
            )));
        }
    }
    Ok(list)
}

/// Accepts a status from 200 to 299. Any other becomes a failure with the code of the
/// problem document, or of the status if there is none.
pub(crate) fn expect_ok<'a>(
    response: &'a HttpResponse,
    what: &str,
) -> Result<&'a HttpResponse, Failure> {
    if (200..=299).contains(&response.status) {
        return Ok(response);
    }
    let status = response.status;
    let (code, detail) = match serde_json::from_slice::<Problem>(&response.body) {
        Ok(problem) => (problem.code, problem.detail),
        Err(_) => (code_of(status), "the server gave no reason".to_owned()),
    };
    Err(Failure {
        error: ClientError::new(code, format!("{what} was refused with status {status}: {detail}")),
        retry_after_ms: response.retry_after.as_deref().and_then(retry_after_ms),
    })
}

/// Reads JSON of a known shape.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        bad(format!("expected {what} as JSON, found {} ({error})", excerpt(bytes)))
    })
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::BadResponse, message)
}

/// The one table from HTTP status to error code, for responses without a problem document.
fn code_of(status: u16) -> ErrorCode {
    match status {
        401 | 403 => ErrorCode::Unauthorized,
        404 => ErrorCode::NotFound,
        405 => ErrorCode::MethodNotAllowed,
        408 | 504 => ErrorCode::Timeout,
        413 => ErrorCode::PayloadTooLarge,
        415 => ErrorCode::UnsupportedMediaType,
        429 => ErrorCode::Overloaded,
        503 => ErrorCode::NotReady,
        500..=599 => ErrorCode::Internal,
        _ => ErrorCode::BadResponse,
    }
}

/// `Retry-After` in seconds. This server does not use the other form, a date.
fn retry_after_ms(header: &str) -> Option<f64> {
    let seconds: u32 = header.trim().parse().ok()?;
    Some((f64::from(seconds) * 1_000.0).min(MAX_RETRY_AFTER_MS))
}

/// The beginning of a body, for a message.
fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    if bytes.is_empty() {
        return "an empty body".to_owned();
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN)]);
    let start: String = text.trim_start().chars().take(SHOWN).collect();
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, body: body.as_bytes().to_vec(), ..HttpResponse::default() }
    }

    fn list(candidates: &str) -> String {
        format!(
            r#"{{"model":"m","catalogue_hash":"c","ranking":"language_model",
                "candidates":{candidates},"ignored":{{"unknown":0,"duplicate":0,"truncated":0}},
                "timings":{{"queue_ms":0,"prompt_ms":1,"decode_ms":2,"total_ms":3,
                "prompt_tokens":4,"decoded_tokens":5}}}}"#
        )
    }

    fn check(response: &HttpResponse, code: ErrorCode, part: &str) {
        let failure = candidates(response).unwrap_err();
        assert_eq!(failure.error.code, code);
        assert!(failure.error.message.contains(part), "{}", failure.error.message);
    }

    #[test]
    fn a_list_is_read() {
        let body = list(r#"[{"item":"50","logprob":-1.5},{"item":"7","logprob":-2}]"#);
        let list = candidates(&response(200, &body)).unwrap();
        assert_eq!(list.candidates[0].item.as_str(), "50");
        assert!((list.timings.total_ms - 3.0).abs() < 1e-9);
    }

    #[test]
    fn garbage_is_a_bad_response() {
        let bad = ErrorCode::BadResponse;
        check(&response(200, "<!doctype html><title>Proxy"), bad, "<!doctype html>");
        check(&response(200, ""), bad, "an empty body");
        check(&response(200, r#"{"model":"m"}"#), bad, "missing field");
        check(&response(200, &list("[]")), bad, "without candidates");
        check(&response(200, &list(r#"[{"item":"1","logprob":null}]"#)), bad, "expected f32");
        let infinite = list(r#"[{"item":"0","logprob":0},{"item":"1","logprob":-1e39}]"#);
        check(&response(200, &infinite), bad, "candidates[1].logprob");
        check(&response(200, "\u{fffd}\u{0}"), bad, "expected a list of candidates");
        check(&response(302, ""), bad, "status 302");
    }

    #[test]
    fn a_problem_document_is_passed_on() {
        let body = r#"{"type":"about:blank","title":"Bad Request","status":400,
            "detail":"history[3] is not a string","code":"invalid_field","field":"history[3]"}"#;
        check(&response(400, body), ErrorCode::InvalidField, "history[3] is not a string");
    }

    #[test]
    fn without_a_problem_document_the_status_has_a_code() {
        check(&response(500, "<html>"), ErrorCode::Internal, "status 500");
        check(&response(503, ""), ErrorCode::NotReady, "status 503");
        check(&response(404, "nothing here"), ErrorCode::NotFound, "status 404");
        check(&response(401, ""), ErrorCode::Unauthorized, "status 401");
        check(&response(403, "<html>"), ErrorCode::Unauthorized, "status 403");
    }

    #[test]
    fn retry_after_is_obeyed_up_to_a_limit() {
        let wait = |header: &str| {
            let response =
                HttpResponse { retry_after: Some(header.to_owned()), ..response(429, "") };
            let failure = candidates(&response).unwrap_err();
            assert_eq!(failure.error.code, ErrorCode::Overloaded);
            failure.retry_after_ms
        };
        assert_eq!(wait("7"), Some(7_000.0));
        assert_eq!(wait("4000000000"), Some(MAX_RETRY_AFTER_MS));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-3"), None);
    }
}
