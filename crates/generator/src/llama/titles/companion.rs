//! What ranks beside a language model of titles: popularity, or with
//! [signals](crate::ranking_signals) co-occurrence counts, texts and the small model as well.

use tandem_protocol::ScoreExplanation;

use crate::{
    Query, Ranked,
    added_items::{AddedItems, readable},
    ranking_signals::{FusedScores, RankingSignals, ScoredHistory},
    trie::{ItemWeights, Mask, Trie},
};

/// Largest difference (nats) between the prior of the best item and that of any other: sums of
/// weights keep smaller ones as well.
const MOST: f32 = 20.0;

/// The prior of each item for a history.
///
/// The formula is that of the [signals](crate::ranking_signals), with `ln(count + 1)` in place of
/// the language model's logits. The prior of an item is proportional to `exp(score)`, which with no
/// other signal, and a suitable weight, is `count + 1`.
#[derive(Clone, Debug, Default)]
pub(super) struct Companion {
    fused: FusedScores,
}

impl Companion {
    /// The prior of the items of `trie`. `popularity` is `ln(count + 1)` of those of the catalogue.
    /// `explain`: whether [`explanation`](Self::explanation) will be asked for.
    pub(super) fn prior(
        &mut self,
        signals: &RankingSignals,
        popularity: &[f32],
        (trie, mask): (&Trie, &Mask),
        query: &Query<'_>,
        explain: bool,
    ) -> ItemWeights {
        let known = popularity.len();
        let read = readable(query.history, query.added, known);
        let history = ScoredHistory { items: query.history, read: &read, added: query.added };
        let scores = if explain {
            self.fused.explained(Some(signals), popularity, history)
        } else {
            self.fused.of(Some(signals), popularity, history)
        };
        let mean = scores[..known].iter().sum::<f32>() / known.max(1) as f32;
        let mut scores = scores.to_vec();
        // An added item without a text is one of which nothing is known. Later ones are removed.
        for item in query.added.into_iter().flat_map(AddedItems::without_text) {
            scores[item.position()] = mean;
        }
        scores.resize(trie.items(), mean);
        let largest = scores.iter().fold(f32::NEG_INFINITY, |max, score| max.max(*score));
        let weight = |score: &f32| f64::from((score - largest).max(-MOST)).exp();
        trie.item_weights(mask, &scores.iter().map(weight).collect::<Vec<_>>())
    }

    /// What the score of a candidate of the last list is made of. The score is its log-probability
    /// beside that of a choice by chance among `remaining` items, and what is not of a signal is of
    /// the language model and the popularity.
    pub(super) fn explanation(&self, candidate: Ranked, remaining: usize) -> ScoreExplanation {
        let score = candidate.logprob + (remaining as f32).ln();
        let ScoreExplanation { counts, text, small_model, .. } =
            self.fused.explanation(candidate.item);
        let of_signals: f32 = [counts, text, small_model].into_iter().flatten().sum();
        let language_model = Some(score - of_signals);
        ScoreExplanation { score, language_model, counts, text, small_model }
    }
}
