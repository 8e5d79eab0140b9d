use std::time::Instant;

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
};

/// Maximum length of a path in the log, in bytes.
const MAX_PATH: usize = 200;

/// Sizes of a candidate list, which its handler passes to the request log; never item ids.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CandidateStats {
    pub(crate) candidates: usize,
    pub(crate) tokens: usize,
}

/// Middleware that logs one line per request.
pub(crate) async fn log_requests<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut entry = RequestLogEntry {
        method: request.method().clone(),
        path: shorten(request.path()),
        started: Instant::now(),
        status: None,
        stats: CandidateStats::default(),
    };
    let response = next.call(request).await?;
    entry.status = Some(response.status().as_u16());
    let extensions = response.request().extensions();
    entry.stats = extensions.get::<CandidateStats>().copied().unwrap_or_default();
    drop(extensions);
    Ok(response)
}

/// Cuts a long path, so that clients cannot fill the disk with log lines.
fn shorten(path: &str) -> String {
    if path.len() <= MAX_PATH {
        return path.to_owned();
    }
    format!("{}… ({} bytes)", &path[..path.floor_char_boundary(MAX_PATH)], path.len())
}

/// A line of the request log. It is written when the entry is dropped: after the response, or
/// without a status if the client disconnected before the response.
struct RequestLogEntry {
    method: Method,
    path: String,
    started: Instant,
    status: Option<u16>,
    stats: CandidateStats,
}

impl Drop for RequestLogEntry {
    fn drop(&mut self) {
        let Self { method, path, status, stats: CandidateStats { candidates, tokens }, .. } = self;
        let ms = self.started.elapsed().as_millis() as u64;
        match status {
            Some(status) if path == "/livez" || path == "/readyz" => {
                tracing::debug!(%method, path, status, ms, "request");
            }
            Some(status) if path == "/v1/candidates" => {
                tracing::info!(%method, path, status, ms, candidates, tokens, "request");
            }
            Some(status) => tracing::info!(%method, path, status, ms, "request"),
            None => tracing::info!(%method, path, ms, "the client disconnected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_cut_at_a_character_boundary() {
        assert_eq!(shorten("/v1/status"), "/v1/status");
        let short = shorten(&format!("/{}", "x".repeat(60_000)));
        assert!(short.len() < 250 && short.ends_with("(60001 bytes)"), "{short}");
        let short = shorten(&format!("/{}", "ä".repeat(1_000)));
        assert!(short.starts_with("/ä") && short.len() < 250, "{short}");
    }
}
