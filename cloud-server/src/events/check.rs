//! What an event must look like, wherever it comes from.

use tandem_protocol::ItemId;

/// Maximum length of a session id or an event id in bytes.
pub(crate) const MAX_ID: usize = 64;
/// Maximum length of an item id in bytes.
pub(crate) const MAX_ITEM: usize = 256;
/// Maximum number of events in one request.
pub(crate) const MAX_EVENTS: usize = 500;

/// Whether a text can be the id of a session, an event or recommendations.
pub(crate) fn is_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !id.is_empty() && id.len() <= MAX_ID && id.chars().all(plain)
}

/// Whether an id can be that of an item. It may be unknown.
pub(crate) fn is_item(item: &ItemId) -> bool {
    let text = item.as_str();
    !text.trim().is_empty() && text.len() <= MAX_ITEM && !text.chars().any(char::is_control)
}
