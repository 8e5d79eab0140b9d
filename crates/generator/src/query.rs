use roaring::RoaringBitmap;
use tandem_dataset::ItemIndex;
use tandem_protocol::{Ranking, ScoreExplanation};

use crate::{AddedItems, GeneratorError};

/// The input of a [`Generator`].
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The visitor's items, oldest first, distinct. None of them becomes a candidate, unless the
    /// generator allows repeats.
    pub history: &'a [ItemIndex],
    /// Further items that must not become candidates.
    pub exclude: &'a [ItemIndex],
    /// Positions of the items that may become candidates; `None` for all. Positions outside the
    /// catalogue are ignored.
    pub only: Option<&'a RoaringBitmap>,
    /// Items beside those of the catalogue, which may be in the history and can be candidates as
    /// far as the engine can score them.
    pub added: Option<&'a AddedItems>,
    /// Number of candidates wanted.
    pub k: usize,
}

impl Query<'_> {
    /// The items that must not become candidates, of `items` positions, with or without
    /// those of the history. An item may come twice.
    pub(crate) fn removed(&self, repeats: bool, items: usize) -> impl Iterator<Item = ItemIndex> {
        let history: &[ItemIndex] = if repeats { &[] } else { self.history };
        let others = self.only.map(|only| {
            let mut others = RoaringBitmap::new();
            others.insert_range(0..items as u32);
            others -= only;
            others.into_iter().map(ItemIndex)
        });
        history.iter().chain(self.exclude).copied().chain(others.into_iter().flatten())
    }

    /// Number of positions, of a catalogue of `known` items.
    pub(crate) fn positions(&self, known: usize) -> usize {
        self.added.map_or(known, AddedItems::positions)
    }

    /// Whether no item may become a candidate, whatever the history.
    pub(crate) fn admits_nothing(&self) -> bool {
        self.only.is_some_and(RoaringBitmap::is_empty)
    }
}

/// An item and its probability of being chosen next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The item.
    pub item: ItemIndex,
    /// Natural logarithm (nats, at most 0) of its probability among the remaining items,
    /// that is, the allowed items without exclusions and, unless repeats are allowed, without
    /// the history. For titles this is the
    /// distribution of [`branch_scores`](crate::branch_scores); for item tokens it is the
    /// model's softmax over the remaining items.
    pub logprob: f32,
}

/// The answer to a [`Query`].
#[derive(Clone, Debug)]
pub struct Generation {
    /// Best first, ties by [`ItemIndex`]; exactly `min(k, remaining items)`, distinct.
    pub candidates: Vec<Ranked>,
    /// What the scores of the candidates are made of, in their order. Empty unless the list was
    /// made by [`Generator::explain`].
    pub explanations: Vec<ScoreExplanation>,
    /// What the order is based on: popularity if the history is empty.
    pub ranking: Ranking,
    /// Number of the oldest history items that the model did not read.
    pub truncated: usize,
    /// Time spent on the prompt, in milliseconds.
    pub prompt_ms: f64,
    /// Time spent on the search or selection, in milliseconds.
    pub decode_ms: f64,
    /// Time within `llama_decode`, in milliseconds: its part of the two times above. Lists that
    /// are made together share it evenly.
    pub evaluate_ms: f64,
    /// Prompt tokens that were evaluated; cached tokens are not counted.
    pub prompt_tokens: usize,
    /// Prompt tokens that were in the cache.
    pub cached_tokens: usize,
    /// Tokens evaluated by the search, over all branches.
    pub decoded_tokens: usize,
}

impl Generation {
    /// An answer without candidates that took no time, after a history of which the `truncated`
    /// oldest items were not read.
    #[must_use]
    pub fn empty(ranking: Ranking, truncated: usize) -> Self {
        Self {
            candidates: Vec::new(),
            explanations: Vec::new(),
            ranking,
            truncated,
            prompt_ms: 0.0,
            decode_ms: 0.0,
            evaluate_ms: 0.0,
            prompt_tokens: 0,
            cached_tokens: 0,
            decoded_tokens: 0,
        }
    }
}

/// Makes candidate lists.
///
/// A generator owns the evaluation state (a llama.cpp context), so it takes `&mut self` and
/// stays on one thread. The same query gives the same answer up to floating-point rounding,
/// independent of earlier queries.
pub trait Generator {
    /// The language model's name for people.
    fn name(&self) -> &str;

    /// Makes one candidate list.
    ///
    /// Any history length and any exclusions are allowed, including the whole catalogue (the
    /// list is then empty).
    ///
    /// # Errors
    /// [`GeneratorError::UnknownItem`] for an item that is neither in the catalogue nor added, or a
    /// failure of the model. The generator stays usable.
    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError>;

    /// As [`generate`](Self::generate), with explanations if the engine can give them and the
    /// list is not empty or by popularity.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    fn explain(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.generate(query)
    }

    /// Number of queries that [`Generator::generate_batch`] evaluates at once; 1 if batching
    /// has no benefit.
    fn max_batch(&self) -> usize {
        1
    }

    /// Makes several lists, in the order of the queries. A query that fails does not affect
    /// the others. The answers equal those of [`Generator::generate`] up to rounding. An
    /// engine with batching evaluates the histories together; the times of an answer are then
    /// those of its whole batch.
    fn generate_batch(&mut self, queries: &[Query<'_>]) -> Vec<Result<Generation, GeneratorError>> {
        queries.iter().map(|query| self.generate(query)).collect()
    }
}
