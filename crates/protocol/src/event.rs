use serde::{Deserialize, Serialize};

use crate::ItemId;

/// An action of a visitor on an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TrackedEvent"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// The action.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The item.
    pub item: ItemId,
}

/// Body of `POST /v1/events`: events for the server's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventsRequest {
    /// Random name of the visit or, with consent, of the visitor; or the pseudonym that the site
    /// gives: 1 to 64 letters, digits, `-` or `_`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub session: String,
    /// Events, oldest first; at most 500.
    #[cfg_attr(feature = "openapi", schema(max_items = 500))]
    pub events: Vec<LoggedEvent>,
}

/// An [`Event`] for the server's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoggedEvent {
    /// Name of the event. It is the same each time the event is sent, so that the server can
    /// drop repetitions: 1 to 64 letters, digits, `-` or `_`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub id: String,
    /// The action.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The item.
    pub item: ItemId,
    /// Time by the device's clock, in milliseconds since 1970-01-01 UTC.
    pub at: u64,
    /// Id of the recommendations that led to the event, if the page gave it. Logged for the
    /// site's own measurements; training does not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub recommendation: Option<String>,
}

/// Response of `POST /v1/events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventsResponse {
    /// Number of events added to the log.
    pub accepted: usize,
    /// Number of events that were in the log already.
    pub repeated: usize,
    /// Number of the added events with items that the server does not know, or that were deleted.
    /// They are logged for the next import, which may have a newer catalogue.
    pub unknown: usize,
}

/// Response of `DELETE /v1/users/{name}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForgetResponse {
    /// Number of events removed from the log.
    pub removed: u64,
}

/// Body of `POST /v1/disagreements`: how far the device's order of a list of the shop is from
/// the shop's order. Contains nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DisagreementReport {
    /// Disagreement, 0 to 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub disagreement: f32,
}

/// Action of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventKind {
    /// The item was opened. It joins the history, and the device learns from it.
    Click,
    /// The item was shown but not opened.
    View,
    /// The item was bought. Treated like a click.
    Purchase,
    /// The item is not wanted. It is not recommended again in this session.
    Dislike,
}
