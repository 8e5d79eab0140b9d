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
