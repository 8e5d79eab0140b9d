//! Responses that the HTTP parser sends without the application: a malformed head gets a bare
//! status. They are replaced by problem+json, as all other errors.

use actix_web::http::StatusCode;

use crate::error::{ApiError, PROBLEM_JSON};

/// The bytes of the response to a connection that is not accepted.
pub(crate) fn too_many_connections() -> Vec<u8> {
    response(StatusCode::SERVICE_UNAVAILABLE, &ApiError::Busy, Some(1))
}

/// The replacement of a bare error response of the HTTP parser; `None` for every other output.
pub(super) fn replacement(output: &[u8]) -> Option<Vec<u8>> {
    let rest = output.strip_prefix(b"HTTP/1.1 ").or_else(|| output.strip_prefix(b"HTTP/1.0 "))?;
    if !matches!(rest.first(), Some(b'4' | b'5')) {
        return None;
    }
    let head = std::str::from_utf8(output).ok()?.strip_suffix("\r\n\r\n")?;
    let is_bare = head.lines().any(|line| line.eq_ignore_ascii_case("content-length: 0"))
        && !head.lines().any(|line| line.to_ascii_lowercase().starts_with("content-type:"));
    if !is_bare {
        return None;
    }
    let status = StatusCode::from_bytes(rest.get(..3)?).ok()?;
    let detail = match status {
        StatusCode::REQUEST_TIMEOUT => "expected a request within the time limit; send it again",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "the request head is too large; send fewer or shorter headers"
        }
        _ => "the request is not valid HTTP/1.1; correct its first line, headers or framing",
    };
    let error = if status.is_server_error() {
        ApiError::Internal
    } else {
        ApiError::InvalidRequest { detail: detail.to_owned() }
    };
    Some(response(status, &error, None))
}

fn response(status: StatusCode, error: &ApiError, retry_after_s: Option<u64>) -> Vec<u8> {
    let body = serde_json::to_string(&error.problem(status)).unwrap_or_default();
    let retry = retry_after_s.map(|s| format!("retry-after: {s}\r\n")).unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or("Error");
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: {PROBLEM_JSON}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\n{retry}connection: close\r\ncontent-length: {}\r\n\r\n\
         {body}",
        status.as_u16(),
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_errors_are_replaced() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\
            connection: close\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
        let text = String::from_utf8(replacement(bare).unwrap()).unwrap();
        assert!(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{text}");
        assert!(text.contains("content-type: application/problem+json\r\n"), "{text}");
        assert!(text.ends_with('}') && text.contains("\"status\":431"), "{text}");
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\ncontent-type: text/plain\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
            b"",
        ] {
            assert!(replacement(other).is_none(), "{}", String::from_utf8_lossy(other));
        }
    }
}
