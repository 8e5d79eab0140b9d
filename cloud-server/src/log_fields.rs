//! What the log and the spans keep of the head of a request: texts of bounded length, without ids
//! of items and names of visitors.

use actix_web::http::Method;

/// Maximum length of a path in the log, in bytes.
const MAX_PATH: usize = 200;
/// The name of a method that is not known, by the conventions of OpenTelemetry. Clients may send
/// methods of any length.
pub(crate) const OTHER_METHOD: &str = "_OTHER";
/// The path of a request that no route and no file has.
const OTHER_PATH: &str = "other";
/// Routes of files, whose names are those of the operator.
const FILES: [&str; 4] = ["/artifacts/", "/client/", "/admin/", "/docs/api/"];
/// The route of a site, which every path of no other route has.
const SITE: &str = "/{path:.*}";

/// The name of a method: one of a fixed set.
pub(crate) fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    let found = KNOWN.into_iter().find(|known| method.as_str() == *known);
    found.unwrap_or(OTHER_METHOD)
}

/// The path of a request as the log shows it. The path of a route of the API is its template
/// (`/v1/items/{id}`), because its parts are ids of items and names of visitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathField {
    /// The template of a route, or the path of a file, which may be shown in any case.
    Plain(String),
    /// A path below the site. It is shown if the site has such a file: otherwise it may be
    /// anything.
    Site(String),
    /// No route has it.
    Unmatched,
}

impl PathField {
    /// The field of a path and the template of its route, if it has one.
    pub(crate) fn of(path: &str, template: Option<String>) -> Self {
        match template {
            None => Self::Unmatched,
            Some(template) if template == SITE => Self::Site(shortened(path)),
            Some(template) if FILES.iter().any(|files| template.starts_with(files)) => {
                Self::Plain(shortened(path))
            }
            Some(template) => Self::Plain(template),
        }
    }

    /// The text for the log, once the status of the response is known.
    pub(crate) fn shown(&self, status: Option<u16>) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Site(path) if status.is_some_and(|status| status < 400) => path,
            Self::Site(_) | Self::Unmatched => OTHER_PATH,
        }
    }
}

/// Cuts a long path, so that clients cannot fill the disk with log lines.
fn shortened(path: &str) -> String {
    if path.len() <= MAX_PATH {
        return path.to_owned();
    }
    format!("{}… ({} bytes)", &path[..path.floor_char_boundary(MAX_PATH)], path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, template: Option<&str>, status: Option<u16>) -> String {
        PathField::of(path, template.map(str::to_owned)).shown(status).to_owned()
    }

    #[test]
    fn long_paths_are_cut_at_a_character_boundary() {
        assert_eq!(shortened("/v1/status"), "/v1/status");
        let short = shortened(&format!("/{}", "x".repeat(60_000)));
        assert!(short.len() < 250 && short.ends_with("(60001 bytes)"), "{short}");
        let short = shortened(&format!("/{}", "ä".repeat(1_000)));
        assert!(short.starts_with("/ä") && short.len() < 250, "{short}");
    }

    #[test]
    fn methods_are_of_a_fixed_set() {
        assert_eq!(method_name(&Method::DELETE), "DELETE");
        for method in ["get", "PROPFIND", &"A".repeat(100_000)] {
            assert_eq!(method_name(&method.parse().unwrap()), OTHER_METHOD);
        }
    }

    #[test]
    fn routes_of_the_api_are_shown_without_ids_and_files_with_their_names() {
        let template = Some("/v1/users/{name}");
        assert_eq!(shown("/v1/users/ann", template, Some(200)), "/v1/users/{name}");
        assert_eq!(shown("/v1/users/ann", template, None), "/v1/users/{name}");
        let template = Some("/artifacts/{release}/{file}");
        assert_eq!(shown("/artifacts/1/a.bin", template, Some(404)), "/artifacts/1/a.bin");
        assert_eq!(shown("/assets/app.js", Some(SITE), Some(304)), "/assets/app.js");
        for status in [Some(404), None] {
            assert_eq!(shown("/users/ann", Some(SITE), status), "other");
            assert_eq!(shown("/users/ann", None, status), "other");
        }
    }
}
