//! Responses of files with an entity tag that does not depend on the machine. Those of `actix-files`
//! have the inode.

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, EntityTag, Header as _, IfNoneMatch},
    },
};

/// The response of a file with a tag of letters, digits, `-`, `_` and `.`, or 304 if the client has
/// the file. A tag in `If-Range` is not compared: the response is then the whole file. A tag in
/// `If-Match`, which nobody sends for a file, is never met.
pub(super) fn respond(file: NamedFile, tag: Option<String>, request: &HttpRequest) -> HttpResponse {
    let mut response = file.use_etag(false).into_response(request);
    let Some(tag) = tag else { return response };
    if !response.status().is_success() && response.status() != StatusCode::NOT_MODIFIED {
        return response;
    }
    // A compressed copy is another representation.
    let encoding = response.headers().get(CONTENT_ENCODING).and_then(|it| it.to_str().ok());
    let tag = EntityTag::new_strong(match encoding {
        Some(encoding) => format!("{tag}-{encoding}"),
        None => tag,
    });
    if let Ok(value) = tag.to_string().parse() {
        response.headers_mut().insert(ETAG, value);
    }
    let known = IfNoneMatch::parse(request).ok();
    let is_known = known.is_some_and(|known| match known {
        IfNoneMatch::Any => true,
        // Without the header the list is empty.
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    });
    if !is_known {
        return response;
    }
    let mut unchanged = HttpResponseBuilder::new(StatusCode::NOT_MODIFIED).finish();
    *unchanged.headers_mut() = response.headers().clone();
    unchanged.headers_mut().remove(CONTENT_RANGE);
    unchanged
}
