use tandem_dataset::ItemIndex;
use tandem_protocol::Ranking;

use crate::GeneratorError;

/// What a list of candidates is made for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The visitor's items, oldest first, distinct. None of them becomes a candidate.
    pub history: &'a [ItemIndex],
    /// Items that must not become candidates either.
    pub exclude: &'a [ItemIndex],
    /// How many candidates are wanted.
    pub k: usize,
}

/// An item and how probable it is to come next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The item.
    pub item: ItemIndex,
    /// Natural logarithm of its probability among the items that remain once history and
    /// exclusions are removed (nats, at most 0). What distribution that is, is said at
    /// [`experts`](crate::experts) for titles; for item tokens it is the model's softmax over
    /// what remains.
    pub logprob: f32,
}

/// The answer to a [`Query`].
#[derive(Clone, Debug)]
pub struct Generation {
    /// Best first, ties by [`ItemIndex`]; exactly `min(k, items that remain)`, distinct.
    pub candidates: Vec<Ranked>,
    /// What the order is based on: popularity if the history is empty.
    pub ranking: Ranking,
    /// How many of the history's oldest items the model did not read.
    pub truncated: usize,
    /// Time spent on the prompt, in milliseconds.
    pub prompt_ms: f64,
    /// Time spent on the search, in milliseconds.
    pub decode_ms: f64,
    /// Tokens of the prompt that were evaluated; what was still cached is not counted.
    pub prompt_tokens: usize,
    /// Tokens evaluated by the search, over all branches.
    pub decoded_tokens: usize,
}

/// A maker of candidate lists.
///
/// Owns whatever state evaluation needs (a llama.cpp context), so it takes `&mut self` and
/// stays on one thread. The same query gives the same answer up to the rounding of
/// floating-point sums, whatever was asked before.
pub trait Generator {
    /// The language model's name for people.
    fn name(&self) -> &str;

    /// Makes a list of candidates.
    ///
    /// Any history length and any exclusions are allowed, the whole catalogue included
    /// (the answer is then empty).
    ///
    /// # Errors
    /// An item beyond the catalogue, or a failure of the model; the generator stays usable.
    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError>;

    /// How many queries [`Generator::generate_batch`] evaluates at once: 1 if there is nothing
    /// to be gained by asking for several together.
    fn together(&self) -> usize {
        1
    }

    /// Makes several lists, in the order of the queries. One that fails does not touch the
    /// others; the answers are those of [`Generator::generate`] up to rounding. Engines that
    /// can, evaluate the histories together: the times of an answer are then those of all
    /// that were evaluated with it.
    fn generate_batch(&mut self, queries: &[Query<'_>]) -> Vec<Result<Generation, GeneratorError>> {
        queries.iter().map(|query| self.generate(query)).collect()
    }
}
