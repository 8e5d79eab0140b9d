use std::collections::{BTreeSet, HashSet, VecDeque};

use tandem_collaboration::{
    Decision, Fusion, ListState, Policy, Situation, TokenBucket, order_descending, positions,
};
use tandem_model::{
    LearningConfig, LearningExample, LearningOutcome, PersonalDelta, Scorer, StepUndo, UserState,
};
use tandem_protocol::{
    Candidate, CandidatesRequest, CandidatesResponse, Event, EventKind, ItemId, ItemRow, Ranking,
    RowsResponse,
};

use crate::{
    RowStore, SessionError,
    calibration::Calibrations,
    list_advantage::ListBaseline,
    ranked::{Ranked, RankedItem},
    scoring::EncodingCache,
    undo::UndoLog,
};

/// Of a longer history only so many of the newest items are sent; older ones are sent as
/// exclusions, for they are not to come back as candidates.
pub const MAX_SENT_HISTORY: usize = 200;

/// Of a longer history the oldest items are forgotten: what a click costs must not grow
/// without end.
pub const MAX_HISTORY: usize = 1_000;

/// Clicks that wait to be learnt from; of a burst beyond that the oldest are dropped.
const MAX_PENDING: usize = 64;

/// How a session behaves, as the manifest says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How the two models' scores are joined.
    pub fusion: Fusion,
    /// When the cloud is called.
    pub policy: Policy,
    /// How the device learns.
    pub learning: LearningConfig,
    /// Hash of the shared weights: what a personal delta belongs to.
    pub base: String,
    /// Hash of the catalogue the model was trained on.
    pub catalogue_hash: String,
}

/// One visitor's session on a device.
#[derive(Debug)]
pub struct Session {
    pub(crate) scorer: Scorer,
    pub(crate) rows: RowStore,
    pub(crate) settings: Settings,
    bucket: Option<TokenBucket>,
    pub(crate) history: Vec<ItemId>,
    pub(crate) disliked: BTreeSet<ItemId>,
    pub(crate) list: Option<List>,
    pub(crate) delta: PersonalDelta<ItemId>,
    pub(crate) pending: VecDeque<PendingExample>,
    pub(crate) encoding_cache: EncodingCache,
    pub(crate) clicks: u64,
    pub(crate) calls: u64,
    /// Counts resets and imports, so that an answer to a question asked before is dropped.
    generation: u64,
    pub(crate) undo: UndoLog,
    pub(crate) calibrations: Calibrations,
}

/// The list in use, as it came.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) ranking: Ranking,
    pub(crate) model: String,
    pub(crate) received_ms: f64,
    /// The session's counts when it was asked for.
    pub(crate) clicks: u64,
    pub(crate) distinct: usize,
    pub(crate) watch: ListBaseline,
}

/// What a learning step found, and what takes it back.
type Learnt = (LearningOutcome, StepUndo<ItemId>);

/// A click that waits to be learnt from.
#[derive(Clone, Debug)]
pub(crate) struct PendingExample {
    /// What could be read of the history before it.
    history: Vec<ItemId>,
    /// What the model made of that, if it was asked.
    user: Option<UserState>,
    /// What it was chosen from, itself first: items whose rows are here. The rows are gathered
    /// when it is learnt from, for of a burst of clicks many wait.
    items: Vec<ItemId>,
}

/// What a request was made of; goes with its answer to [`Session::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTicket {
    generation: u64,
    clicks: u64,
    distinct: usize,
}

/// The state of the line to the server, which the caller knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Connection {
    /// A request is under way.
    pub in_flight: bool,
    /// There is no network, or it is not to be used.
    pub offline: bool,
    /// Milliseconds until a server that failed may be tried again.
    pub retry_in_ms: Option<f64>,
}

impl Session {
    /// An empty session.
    ///
    /// # Errors
    /// [`SessionError::Collaboration`] for settings that make no sense,
    /// [`SessionError::Model`] if rows and weights have different widths.
    pub fn new(scorer: Scorer, rows: RowStore, settings: Settings) -> Result<Self, SessionError> {
        settings.fusion.validate()?;
        settings.policy.validate()?;
        settings.learning.validate()?;
        let dims = scorer.config().dims;
        if rows.dims() != dims {
            return Err(SessionError::Model(tandem_model::ModelError::Length {
                what: "dimensions of the item rows",
                expected: dims,
                found: rows.dims(),
            }));
        }
        Ok(Self {
            bucket: settings.policy.new_bucket(),
            delta: PersonalDelta::new(&settings.base, dims, settings.learning.rank),
            scorer,
            rows,
            settings,
            history: Vec::new(),
            disliked: BTreeSet::new(),
            list: None,
            pending: VecDeque::new(),
            encoding_cache: EncodingCache::default(),
            clicks: 0,
            calls: 0,
            generation: 0,
            undo: UndoLog::default(),
            calibrations: Calibrations::default(),
        })
    }

    /// Takes items that the visitor chose before this session began, oldest first: they are
    /// history, and no clicks of this session.
    pub fn prepend_history(&mut self, history: impl IntoIterator<Item = ItemId>) {
        self.history.splice(0..0, history);
    }

    /// Forgets everything about the visitor; weights, rows and the spent budget stay.
    pub fn reset(&mut self) {
        let dims = self.scorer.config().dims;
        self.delta = PersonalDelta::new(&self.settings.base, dims, self.settings.learning.rank);
        self.history.clear();
        self.disliked.clear();
        self.list = None;
        self.pending.clear();
        self.encoding_cache = EncodingCache::default();
        self.clicks = 0;
        self.calls = 0;
        self.generation += 1;
        self.undo = UndoLog::default();
    }

    /// Takes note of an event. Cheap: nothing is scored and nothing is learnt yet.
    pub fn track(&mut self, event: &Event) {
        match event.kind {
            EventKind::Click | EventKind::Purchase => {
                let lesson = self.lesson(&event.item);
                self.undo.clicked(event, lesson.is_some());
                if let Some(lesson) = lesson {
                    if self.pending.len() == MAX_PENDING {
                        self.pending.pop_front();
                    }
                    self.pending.push_back(lesson);
                }
                if self.history.len() == MAX_HISTORY {
                    self.history.remove(0);
                }
                self.history.push(event.item.clone());
                self.clicks += 1;
            }
            EventKind::Dislike => {
                let new = self.disliked.insert(event.item.clone());
                self.undo.disliked(event, new);
                self.clicks += 1;
            }
            EventKind::View => {}
        }
    }

    /// Ranks the candidates that are left: neither in the history nor disliked. Empty while
    /// there is no list.
    ///
    /// # Errors
    /// [`SessionError::Model`] if the device fails.
    pub async fn rank(&self) -> Result<Ranked, SessionError> {
        let left = self.left();
        let logprobs: Vec<f32> = left.iter().map(|candidate| candidate.logprob).collect();
        let names: Vec<&ItemId> = left.iter().map(|candidate| &candidate.item).collect();
        let Some(scores) = self.score(&names).await? else {
            let items = left.iter().enumerate().map(|(rank, candidate)| RankedItem {
                item: candidate.item.clone(),
                score: candidate.logprob,
                llm_rank: rank,
                srm_rank: rank,
                logprob: candidate.logprob,
                srm_score: None,
            });
            return Ok(Ranked { items: items.collect(), ..Ranked::default() });
        };
        let fused = self.fusion().fuse(&logprobs, &scores)?;
        let srm_order = order_descending(&scores);
        let srm_ranks = positions(&srm_order)?;
        let llm_order: Vec<usize> = (0..left.len()).collect();
        let disagreement = if left.len() < 2 {
            None
        } else {
            Some(self.policy().consistency.disagreement(&llm_order, &srm_order)?)
        };
        let items = fused.order.iter().map(|&at| RankedItem {
            item: left[at].item.clone(),
            score: fused.scores[at],
            llm_rank: at,
            srm_rank: srm_ranks[at],
            logprob: left[at].logprob,
            srm_score: scores[at].is_finite().then_some(scores[at]),
        });
        let shown: Vec<f32> = fused.order.iter().map(|&at| scores[at]).collect();
        let list_advantage = self.list_advantage(&shown).await?;
        let non_finite = fused.non_finite;
        Ok(Ranked { items: items.collect(), disagreement, list_advantage, non_finite })
    }

    /// Candidates that may be recommended, in the language model's order.
    pub(crate) fn left(&self) -> Vec<&Candidate> {
        let seen: HashSet<&ItemId> = self.history.iter().chain(&self.disliked).collect();
        let candidates = self.list.iter().flat_map(|list| &list.candidates);
        candidates.filter(|candidate| !seen.contains(&candidate.item)).collect()
    }

    /// Keep the list or ask the cloud for a new one, and why.
    #[must_use]
    pub fn decide(&self, ranked: &Ranked, connection: Connection, now_ms: f64) -> Decision {
        let list = self.list.as_ref().map(|list| ListState {
            disagreement: ranked.disagreement,
            uplift: self.uplift_evidence(ranked),
            age_ms: (now_ms - list.received_ms).max(0.0),
            clicks_since: self.clicks.saturating_sub(list.clicks),
            new_items_since: self.distinct_items().saturating_sub(list.distinct) as u64,
            unseen: ranked.items.len(),
            personal: list.ranking == Ranking::LanguageModel,
            device_search: false,
        });
        self.policy().decide(&Situation {
            list,
            clicks: self.clicks,
            calls: self.calls,
            in_flight: connection.in_flight,
            offline: connection.offline,
            retry_in_ms: connection.retry_in_ms,
            bucket_wait_ms: self.bucket.map_or(0.0, |bucket| bucket.wait_ms(now_ms)),
        })
    }

    /// What to send for a new list, and a ticket for its answer. Takes a token of the
    /// budget, if there is one left to take.
    pub fn begin_request(
        &mut self,
        k: Option<usize>,
        now_ms: f64,
    ) -> (CandidatesRequest, RequestTicket) {
        if let Some(bucket) = &mut self.bucket {
            // A caller may insist beyond the budget; the bucket is then empty, not in debt.
            let _ = bucket.take(now_ms);
        }
        self.calls += 1;
        let (older, newest) =
            self.history.split_at(self.history.len().saturating_sub(MAX_SENT_HISTORY));
        let exclude: BTreeSet<&ItemId> = self.disliked.iter().chain(older).collect();
        let request = CandidatesRequest {
            model: self.calibrations.chosen().map(str::to_owned),
            history: newest.to_vec(),
            exclude: exclude.into_iter().cloned().collect(),
            k,
            rows: !self.rows.is_whole(),
        };
        let ticket = RequestTicket {
            generation: self.generation,
            clicks: self.clicks,
            distinct: self.distinct_items(),
        };
        (request, ticket)
    }

    /// Takes the server's list into use. Returns `false`, and changes nothing, if the
    /// session was reset since the list was asked for.
    ///
    /// # Errors
    /// [`SessionError::ForeignCatalogue`] for a list of another catalogue,
    /// [`SessionError::Row`] or [`SessionError::Model`] for rows that cannot be read; the
    /// old list then stays in use.
    pub fn accept(
        &mut self,
        ticket: RequestTicket,
        response: CandidatesResponse,
        now_ms: f64,
    ) -> Result<bool, SessionError> {
        if ticket.generation != self.generation {
            return Ok(false);
        }
        if response.catalogue_hash != self.settings.catalogue_hash {
            return Err(SessionError::ForeignCatalogue {
                expected: self.settings.catalogue_hash.clone(),
                found: response.catalogue_hash,
            });
        }
        let with_candidates = response.candidates.iter().filter_map(|candidate| {
            let row = candidate.row.clone()?;
            Some(ItemRow { item: candidate.item.clone(), row })
        });
        let rows: Vec<ItemRow> = with_candidates.chain(response.history_rows).collect();
        self.add_rows(&rows)?;
        let mut distinct = HashSet::new();
        let mut candidates = response.candidates;
        candidates.retain(|candidate| distinct.insert(candidate.item.clone()));
        self.list = Some(List {
            candidates,
            ranking: response.ranking,
            model: response.model,
            received_ms: now_ms,
            clicks: ticket.clicks,
            distinct: ticket.distinct,
            watch: ListBaseline::default(),
        });
        Ok(true)
    }

    /// Keeps rows of items that were met outside a list.
    ///
    /// # Errors
    /// As [`RowStore::add`]; of rows that cannot be read none is kept.
    pub fn accept_rows(&mut self, response: &RowsResponse) -> Result<(), SessionError> {
        self.add_rows(&response.rows)
    }

    pub(crate) fn add_rows(&mut self, rows: &[ItemRow]) -> Result<(), SessionError> {
        for row in rows {
            crate::decode_row(row, self.rows.dims())?;
        }
        rows.iter().try_for_each(|row| self.rows.add(row))
    }

    /// Items of the history without a row: ask the server for them.
    #[must_use]
    pub fn missing_rows(&self) -> Vec<ItemId> {
        let missing: BTreeSet<&ItemId> =
            self.history.iter().filter(|item| !self.rows.contains(item)).collect();
        missing.into_iter().cloned().collect()
    }

    /// Learns from the oldest click that waits; `None` if none does.
    ///
    /// # Errors
    /// [`SessionError::Model`] if the device fails or the step would leave the finite
    /// numbers; the delta is then as before and the click is given up.
    pub async fn learn(&mut self) -> Result<Option<LearningOutcome>, SessionError> {
        let Some(waiting) = self.pending.pop_front() else { return Ok(None) };
        let learnt = self.learn_from(waiting).await;
        let (outcome, replaced) = match learnt {
            Ok(Some((outcome, replaced))) => (Ok(Some(outcome)), Some(replaced)),
            Ok(None) => (Ok(None), None),
            Err(error) => (Err(error), None),
        };
        self.undo.learnt(self.pending.len() + 1, replaced);
        outcome
    }

    async fn learn_from(
        &mut self,
        waiting: PendingExample,
    ) -> Result<Option<Learnt>, SessionError> {
        let PendingExample { history, user, items } = waiting;
        let history: Vec<&ItemId> = history.iter().collect();
        let user = match user {
            Some(user) => Some(user),
            None => self.user_after(&history).await?,
        };
        let Some(user) = user else { return Ok(None) };
        let rows = self.gather(&items.iter().collect::<Vec<_>>());
        let example = LearningExample { keys: items, rows, target: 0 };
        let learning = &self.settings.learning;
        Ok(Some(self.scorer.learn(&mut self.delta, &user, &example, learning).await?))
    }

    /// What a click on `item` teaches: it was chosen from the list's best. `None` without a
    /// history or a list to choose from, or if rows are missing.
    fn lesson(&self, item: &ItemId) -> Option<PendingExample> {
        let history = self.readable_history();
        if history.is_empty() || !self.rows.contains(item) {
            return None;
        }
        let others = self.left().into_iter().map(|candidate| &candidate.item);
        let others = others.filter(|other| *other != item).take(self.settings.learning.negatives);
        let others = others.filter(|other| self.rows.contains(other));
        let items: Vec<ItemId> = [item].into_iter().chain(others).cloned().collect();
        if items.len() < 2 {
            return None;
        }
        let user = self.encoding_cache.of(&history);
        Some(PendingExample { history: history.into_iter().cloned().collect(), user, items })
    }

    fn distinct_items(&self) -> usize {
        self.history.iter().collect::<HashSet<_>>().len()
    }

    /// The visitor's items, oldest first.
    #[must_use]
    pub fn history(&self) -> &[ItemId] {
        &self.history
    }

    /// Clicks (and dislikes) so far.
    #[must_use]
    pub fn clicks(&self) -> u64 {
        self.clicks
    }

    /// Lists asked for so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// What the list in use is ordered by and which model made it.
    #[must_use]
    pub fn list_origin(&self) -> Option<(Ranking, &str)> {
        self.list.as_ref().map(|list| (list.ranking, list.model.as_str()))
    }

    /// Age of the list in milliseconds and clicks since it was asked for.
    #[must_use]
    pub fn list_age(&self, now_ms: f64) -> Option<(f64, u64)> {
        let list = self.list.as_ref()?;
        Some(((now_ms - list.received_ms).max(0.0), self.clicks.saturating_sub(list.clicks)))
    }

    /// What was learnt.
    #[must_use]
    pub fn delta(&self) -> &PersonalDelta<ItemId> {
        &self.delta
    }
}
