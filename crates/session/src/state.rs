use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use tandem_collaboration::ListAdvantage;
use tandem_model::PersonalDelta;
use tandem_protocol::{Candidate, ItemId, ItemRow, Ranking};

use crate::{Session, SessionError, encode_row, list_advantage::ListBaseline, session::List};

/// Version of a saved session; a newer one is refused.
pub const STATE_VERSION: u32 = 1;

/// Of a value that was learnt, as JSON: about as many as an `f32` takes.
const BYTES_A_VALUE: usize = 14;
/// Of a long history and a list, as JSON.
const BYTES_OF_THE_REST: usize = 32_768;

/// All that a device knows about a visitor: what is exported, stored and erased.
#[derive(Debug, Serialize, Deserialize)]
struct State<'a> {
    version: u32,
    catalogue_hash: Cow<'a, str>,
    history: Cow<'a, [ItemId]>,
    disliked: Cow<'a, BTreeSet<ItemId>>,
    clicks: u64,
    calls: u64,
    list: Option<SavedList<'a>>,
    delta: Cow<'a, PersonalDelta<ItemId>>,
    /// Rows of the history's items that came with a list, for work without a network; those
    /// of candidates are in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rows: Vec<ItemRow>,
}

/// What of a saved session was taken up; see [`Session::restore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// All of it.
    Everything,
    /// History and dislikes; what was learnt, and the list, were of another model.
    History,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedList<'a> {
    ranking: Ranking,
    model: Cow<'a, str>,
    candidates: Cow<'a, [Candidate]>,
    /// Counts of the session when the list was asked for.
    clicks: u64,
    distinct: usize,
    /// How the small model saw it when it was new.
    #[serde(default, alias = "outlook", skip_serializing_if = "Option::is_none")]
    list_advantage: Option<ListAdvantage>,
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
            model: Cow::Borrowed(&list.model),
            candidates: Cow::Borrowed(&list.candidates),
            clicks: list.clicks,
            distinct: list.distinct,
            list_advantage: list.watch.baseline(),
        });
        let state = State {
            version: STATE_VERSION,
            catalogue_hash: Cow::Borrowed(&self.settings.catalogue_hash),
            history: Cow::Borrowed(&self.history),
            disliked: Cow::Borrowed(&self.disliked),
            clicks: self.clicks,
            calls: self.calls,
            list,
            delta: Cow::Borrowed(&self.delta),
            rows: self.met_history(),
        };
        // Large enough at once: what grows by doubling leaves a browser with the double, for
        // good.
        let values = (self.delta.touched() + 2 * self.delta.rank() + 1) * self.rows.dims();
        let mut json = Vec::with_capacity(values * BYTES_A_VALUE + BYTES_OF_THE_REST);
        let written = serde_json::to_writer(&mut json, &state);
        written.map_err(|error| SessionError::Damaged(error.to_string()))?;
        Ok(json)
    }

    fn met_history(&self) -> Vec<ItemRow> {
        let items: BTreeSet<&ItemId> = self.history.iter().collect();
        let rows = items.into_iter().filter_map(|item| Some((item, self.rows.met.get(item)?)));
        rows.map(|(item, row)| encode_row(item.clone(), row)).collect()
    }

    /// Takes an exported session in place of this one.
    ///
    /// History and dislikes hold for any model. What was learnt on other weights means
    /// nothing on these: it is refused, and so is a list of another catalogue.
    ///
    /// # Errors
    /// [`SessionError::Damaged`], [`SessionError::Version`],
    /// [`SessionError::ForeignCatalogue`], [`SessionError::Row`] or [`SessionError::Model`];
    /// this session is then as before.
    pub fn import(&mut self, bytes: &[u8], now_ms: f64) -> Result<(), SessionError> {
        let state = State::read(bytes)?;
        self.check(&state)?;
        self.load(state, now_ms)
    }

    /// Takes up a session that this device stored, or that a changed catalogue ended: as
    /// [`import`](Self::import), but of one that belongs to another model history and
    /// dislikes are kept and the rest is dropped.
    ///
    /// # Errors
    /// [`SessionError::Damaged`], [`SessionError::Version`] or [`SessionError::Row`]; this
    /// session is then as before.
    pub fn restore(&mut self, bytes: &[u8], now_ms: f64) -> Result<RestoreOutcome, SessionError> {
        let state = State::read(bytes)?;
        if self.check(&state).is_ok() {
            self.load(state, now_ms)?;
            return Ok(RestoreOutcome::Everything);
        }
        self.reset();
        self.history = state.history.into_owned();
        self.disliked = state.disliked.into_owned();
        self.clicks = state.clicks;
        Ok(RestoreOutcome::History)
    }

    /// Whether a saved session belongs to this model.
    fn check(&self, state: &State<'_>) -> Result<(), SessionError> {
        if state.catalogue_hash != self.settings.catalogue_hash {
            return Err(SessionError::ForeignCatalogue {
                expected: self.settings.catalogue_hash.clone(),
                found: state.catalogue_hash.clone().into_owned(),
            });
        }
        let (dims, rank) = (self.scorer.config().dims, self.settings.learning.rank);
        Ok(state.delta.check(&self.settings.base, dims, rank)?)
    }

    fn load(&mut self, state: State<'_>, now_ms: f64) -> Result<(), SessionError> {
        let candidates = state.list.iter().flat_map(|list| list.candidates.iter());
        let with_candidates = candidates.filter_map(|candidate| {
            Some(ItemRow { item: candidate.item.clone(), row: candidate.row.clone()? })
        });
        let rows: Vec<ItemRow> = with_candidates.chain(state.rows).collect();
        self.add_rows(&rows)?;
        self.reset();
        self.history = state.history.into_owned();
        self.disliked = state.disliked.into_owned();
        self.clicks = state.clicks;
        self.calls = state.calls;
        self.delta = state.delta.into_owned();
        self.list = state.list.map(|list| List {
            candidates: list.candidates.into_owned(),
            ranking: list.ranking,
            model: list.model.into_owned(),
            // Time that passed while it was away cannot be told from a moved clock.
            received_ms: now_ms,
            clicks: list.clicks,
            distinct: list.distinct,
            watch: ListBaseline::restored(list.list_advantage),
        });
        Ok(())
    }
}

impl State<'_> {
    fn read(bytes: &[u8]) -> Result<Self, SessionError> {
        let damaged = |error: serde_json::Error| SessionError::Damaged(error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > STATE_VERSION {
            return Err(SessionError::Version { supported: STATE_VERSION, found: version });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}
