//! The one table of errors: status and code of each response, its cause, and what to do. The README
//! and `/openapi.json` have it, too.

use std::fmt::Write as _;

use tandem_protocol::ErrorCode;

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ErrorRow {
    /// HTTP status.
    pub(crate) status: u16,
    /// Code for programs.
    pub(crate) code: ErrorCode,
    cause: &'static str,
    remedy: &'static str,
}

macro_rules! rows {
    ($($name:ident = $status:literal $code:ident: $cause:literal, $remedy:literal;)+) => {
        $(pub(crate) const $name: ErrorRow = ErrorRow {
            status: $status,
            code: ErrorCode::$code,
            cause: $cause,
            remedy: $remedy,
        };)+

        /// All rows.
        const ROWS: &[ErrorRow] = &[$($name),+];
    };
}

rows! {
    INVALID_FIELD = 400 InvalidField:
        "a field is missing, unknown, of the wrong type or out of range; `field` is its path, or the \
         name of the parameter",
        "correct the field";
    INVALID_REQUEST = 400 InvalidRequest:
        "the body is not a JSON object, lines of items have no usable header, or the body did not arrive within `--body-timeout`",
        "correct the body";
    UNAUTHORIZED = 401 Unauthorized:
        "no key, or one that the server does not know",
        "send `Authorization: Bearer KEY`";
    FORBIDDEN = 403 Unauthorized:
        "the key is not for this route, or not for pages of this origin",
        "use an admin key, or a key with this origin";
    NOT_FOUND = 404 NotFound:
        "no such route, file, cell, item or release",
        "request `/v1/manifest` and use the files it names";
    METHOD_NOT_ALLOWED = 405 MethodNotAllowed:
        "the route has other methods; see `Allow`",
        "use an allowed method";
    CONFLICT = 409 Conflict:
        "the release is in use, exists already, another one is being loaded or uploaded, or an object store has the releases",
        "wait, or see `GET /v1/releases`";
    CATALOGUE_CHANGED = 409 CatalogueChanged:
        "the server does not have the release that the request names",
        "load `/v1/manifest` and its files";
    PAYLOAD_TOO_LARGE = 413 PayloadTooLarge:
        "the body is larger than 1 MiB (bodies of lines of items have no limit), or a release than `--release-max-size`",
        "send fewer items, or raise the limit";
    UNSUPPORTED_MEDIA_TYPE = 415 UnsupportedMediaType:
        "the body's media type is not `application/json`, for items `application/x-ndjson` or `text/csv`; or the body is compressed",
        "set `Content-Type`, send no `Content-Encoding`";
    RELEASE_REFUSED = 422 ReleaseRefused:
        "the release cannot be used, or the upload is no release; `detail` is the reason",
        "correct the release; the one in use stays";
    RATE_LIMITED = 429 RateLimited:
        "too many requests or events of this client or key",
        "retry after `Retry-After` seconds";
    NOT_READY = 503 NotReady:
        "the language model is loading, or the server is shutting down",
        "retry after `Retry-After` seconds";
    OVERLOADED = 503 Overloaded:
        "the queue is full (answered at once), there are too many connections or large bodies, or the storage or the event stream does not answer",
        "retry after `Retry-After` seconds";
    EVENT_LOG_FULL = 503 EventLogFull:
        "a file of the event log, its disk, or the event stream is full",
        "move the file, free space, or start consumers of the stream";
    STORAGE_FULL = 503 StorageFull:
        "the disk of the database (`--storage`) is full; nothing of the request is stored, except the lines of items that `detail` names",
        "free space";
    TIMEOUT = 504 Timeout:
        "no list within `--timeout`",
        "retry later";
    INTERNAL = 500 Internal:
        "the generator failed; the log has the reason, the next request gets a new generator",
        "report it";
}

/// The table as Markdown.
pub(crate) fn markdown() -> String {
    let mut text = "| status | `code` | cause | what to do |\n|---|---|---|---|\n".to_owned();
    for ErrorRow { status, code, cause, remedy } in ROWS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {status} | `{code}` | {cause} | {remedy} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    /// `UPDATE_DOCS=1 cargo test` writes the table.
    #[test]
    fn the_readme_has_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = fs::read_to_string(&path).unwrap();
        let table = markdown();
        if readme.contains(&format!("\n\n{table}\n")) {
            return;
        }
        assert!(
            env::var_os("UPDATE_DOCS").is_some(),
            "the table of errors in {} is old; run this test with UPDATE_DOCS=1",
            path.display()
        );
        let start = readme.find("| status | `code` |").unwrap();
        let end = start + readme[start..].find("\n\n").unwrap() + 1;
        fs::write(&path, format!("{}{table}{}", &readme[..start], &readme[end..])).unwrap();
    }

    #[test]
    fn no_error_is_in_the_table_twice() {
        for (at, row) in ROWS.iter().enumerate() {
            let same = |other: &&ErrorRow| (other.status, other.code) == (row.status, row.code);
            assert!(ROWS[at + 1..].iter().find(same).is_none(), "{row:?}");
        }
    }
}
