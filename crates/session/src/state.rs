use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tandem_collaboration::Outlook;
use tandem_model::PersonalDelta;
use tandem_protocol::{Candidate, ItemId, Ranking};

use crate::{Session, SessionError, outlook::ListWatch, session::List};

/// Version of a saved session; a newer one is refused.
pub const STATE_VERSION: u32 = 1;

/// All that a device knows about a visitor: what is exported, stored and erased.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    catalogue_hash: String,
    history: Vec<ItemId>,
    disliked: BTreeSet<ItemId>,
    clicks: u64,
    calls: u64,
    list: Option<SavedList>,
    delta: PersonalDelta<ItemId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedList {
    ranking: Ranking,
    model: String,
    candidates: Vec<Candidate>,
    /// Counts of the session when the list was asked for.
    clicks: u64,
    distinct: usize,
    /// How the small model saw it when it was new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outlook: Option<Outlook>,
}

/// What is read before the rest, so that a newer layout is told from a damaged one.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Session {
    /// The session as JSON: history, dislikes, list and personal delta.
    ///
    /// # Errors
    /// [`SessionError::Damaged`] if it cannot be written as JSON.
    pub fn export(&self) -> Result<Vec<u8>, SessionError> {
        let list = self.list.as_ref().map(|list| SavedList {
            ranking: list.ranking,
            model: list.model.clone(),
            candidates: list.candidates.clone(),
            clicks: list.clicks,
            distinct: list.distinct,
            outlook: list.watch.when_new(),
        });
        let state = State {
            version: STATE_VERSION,
            catalogue_hash: self.settings.catalogue_hash.clone(),
            history: self.history.clone(),
            disliked: self.disliked.clone(),
            clicks: self.clicks,
            calls: self.calls,
            list,
            delta: self.delta.clone(),
        };
        serde_json::to_vec(&state).map_err(|error| SessionError::Damaged(error.to_string()))
    }

    /// Takes an exported session in place of this one.
    ///
    /// History and dislikes hold for any model. What was learnt on other weights means
    /// nothing on these: it is refused, and so is a list of another catalogue.
    ///
    /// # Errors
    /// [`SessionError::Damaged`], [`SessionError::Version`],
    /// [`SessionError::ForeignCatalogue`] or [`SessionError::Model`]; this session is then
    /// as before.
    pub fn import(&mut self, bytes: &[u8], now_ms: f64) -> Result<(), SessionError> {
        let damaged = |error: serde_json::Error| SessionError::Damaged(error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > STATE_VERSION {
            return Err(SessionError::Version { supported: STATE_VERSION, found: version });
        }
        let state: State = serde_json::from_slice(bytes).map_err(damaged)?;
        if state.catalogue_hash != self.settings.catalogue_hash {
            return Err(SessionError::ForeignCatalogue {
                expected: self.settings.catalogue_hash.clone(),
                found: state.catalogue_hash,
            });
        }
        let (dims, rank) = (self.scorer.config().dims, self.settings.learning.rank);
        state.delta.check(&self.settings.base, dims, rank)?;

        self.reset();
        self.history = state.history;
        self.disliked = state.disliked;
        self.clicks = state.clicks;
        self.calls = state.calls;
        self.delta = state.delta;
        self.list = state.list.map(|list| List {
            candidates: list.candidates,
            ranking: list.ranking,
            model: list.model,
            // Time that passed while it was away cannot be told from a moved clock.
            received_ms: now_ms,
            clicks: list.clicks,
            distinct: list.distinct,
            watch: ListWatch::restored(list.outlook),
        });
        Ok(())
    }
}
