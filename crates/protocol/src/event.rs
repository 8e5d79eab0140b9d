use serde::{Deserialize, Serialize};

use crate::ItemId;

/// Something a visitor did with an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What was done.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// With which item.
    pub item: ItemId,
}

/// Body of `POST /v1/events`: what visitors did, for the server's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// Stands for one visit; a random name that says nothing else.
    pub session: String,
    /// Oldest first.
    pub events: Vec<LoggedEvent>,
}

/// An [`Event`] on its way to the server's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedEvent {
    /// Its name, the same at every attempt to send it: repeats are dropped by it.
    pub id: String,
    /// What was done.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// With which item.
    pub item: ItemId,
    /// When, in milliseconds since 1970, by the device's clock.
    pub at: u64,
}

/// Answer of `POST /v1/events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsResponse {
    /// Events that are in the log now.
    pub accepted: usize,
    /// Events that were there before.
    pub repeated: usize,
    /// Events with items that the catalogue does not have.
    pub unknown: usize,
}

/// Body of `POST /v1/disagreements`: how far a device's order of a shop's own list is from
/// the shop's, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisagreementReport {
    /// 0 to 1.
    pub disagreement: f32,
}

/// The kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The item was opened: it joins the history and is learnt from.
    Click,
    /// The item was seen and not opened.
    View,
    /// The item was bought: joins the history like a click.
    Purchase,
    /// The item is not wanted: it is never recommended again in this session.
    Dislike,
}
