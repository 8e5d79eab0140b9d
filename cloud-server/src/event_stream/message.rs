//! The messages of the stream: JSON with the events of a request.

use serde::{Deserialize, Serialize};
use tandem_dataset::files::Sha256Hex;
use tandem_protocol::LoggedEvent;

use crate::events::{MAX_EVENTS, is_id, is_item};

/// The events of a request. Unknown fields are accepted, so that an older program reads the messages of
/// a newer one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventMessage {
    pub(crate) session: String,
    pub(crate) events: Vec<LoggedEvent>,
}

impl EventMessage {
    /// The id by which NATS drops a message that is sent again: the same for the same events.
    pub(crate) fn id(&self) -> String {
        let mut hash = Sha256Hex::default();
        // Ids have no line breaks.
        hash.update(&self.session);
        for event in &self.events {
            hash.update("\n");
            hash.update(&event.id);
        }
        hash.finish()
    }

    /// # Errors
    /// What was expected and found. It does not repeat the message, which is about a visitor.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let message: Self = serde_json::from_slice(bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!(
                "expected the JSON of events, found another content at line {line}, column {column}"
            )
        })?;
        let Self { session, events } = &message;
        let is_valid = |event: &LoggedEvent| {
            is_id(&event.id)
                && is_item(&event.item)
                && event.recommendation.as_deref().is_none_or(is_id)
        };
        if events.len() > MAX_EVENTS {
            return Err(format!("expected at most {MAX_EVENTS} events, found {}", events.len()));
        }
        if !is_id(session) || !events.iter().all(is_valid) {
            return Err("expected ids and items as `POST /v1/events` accepts them".to_owned());
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use tandem_protocol::{EventKind, ItemId};

    use super::*;

    fn message(ids: &[&str]) -> EventMessage {
        let event = |id: &&str| LoggedEvent {
            id: (*id).to_owned(),
            kind: EventKind::Click,
            item: ItemId::new("Ü \"1\""),
            at: 1_700_000_000_000,
            recommendation: Some("list-7".to_owned()),
        };
        EventMessage { session: "ann".to_owned(), events: ids.iter().map(event).collect() }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let sent = message(&["1", "2"]);
        let bytes = serde_json::to_vec(&sent).unwrap();
        assert_eq!(EventMessage::read(&bytes), Ok(sent));
        let newer = br#"{"session":"ann","events":[],"more":1}"#;
        assert_eq!(EventMessage::read(newer), Ok(message(&[])));
    }

    #[test]
    fn other_bytes_are_refused_without_repeating_them() {
        let with = |change: fn(&mut EventMessage)| {
            let mut changed = message(&["1"]);
            change(&mut changed);
            serde_json::to_vec(&changed).unwrap()
        };
        for bytes in [
            b"".to_vec(),
            b"secret".to_vec(),
            b"{\"session\":\"secret\"}".to_vec(),
            b"\xff\xfe\x00".to_vec(),
            with(|message| message.session = "secret\0".to_owned()),
            with(|message| message.session = "s".repeat(65)),
            with(|message| message.events[0].id = "secret id".to_owned()),
            with(|message| message.events[0].item = ItemId::new("secret\0")),
            with(|message| message.events[0].recommendation = Some(String::new())),
            with(|message| message.events = vec![message.events[0].clone(); 501]),
        ] {
            let error = EventMessage::read(&bytes).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_same_events_have_the_same_id() {
        assert_eq!(message(&["1", "2"]).id(), message(&["1", "2"]).id());
        for other in [message(&["2", "1"]), message(&["12"]), message(&["1"])] {
            assert_ne!(message(&["1", "2"]).id(), other.id());
        }
        let mut other = message(&["1", "2"]);
        other.session = "bob".to_owned();
        assert_ne!(message(&["1", "2"]).id(), other.id());
    }
}
