use tandem_dataset::ItemIndex;
use tandem_protocol::ScoreExplanation;

use super::{COUNTS_OF_NEIGHBOURS, RankingSignals};
use crate::AddedItems;

/// The history that scores are for.
#[derive(Clone, Copy, Debug)]
pub struct ScoredHistory<'h> {
    /// The visitor's items, oldest first.
    pub items: &'h [ItemIndex],
    /// The same for models that know the items of the catalogue only
    /// ([`readable`](crate::added_items::readable)).
    pub read: &'h [ItemIndex],
    /// Items beside those of the catalogue, which get scores after those.
    pub added: Option<&'h AddedItems>,
}

impl<'h> From<&'h [ItemIndex]> for ScoredHistory<'h> {
    fn from(items: &'h [ItemIndex]) -> Self {
        Self { items, read: items, added: None }
    }
}

impl<'h, const N: usize> From<&'h [ItemIndex; N]> for ScoredHistory<'h> {
    fn from(items: &'h [ItemIndex; N]) -> Self {
        Self::from(items.as_slice())
    }
}

/// Combines the signals of one history; owns its buffers.
#[derive(Clone, Debug, Default)]
pub struct FusedScores {
    fused: Vec<f32>,
    signal: Vec<f32>,
    /// The signals of the last [`FusedScores::explained`].
    parts: Vec<Part>,
}

/// A signal that is part of the scores of one history.
#[derive(Clone, Debug)]
struct Part {
    signal: Signal,
    factor: f32,
    /// Scores of all items, `[items]`.
    values: Vec<f32>,
    /// Mean of the `values` of the catalogue.
    mean: f32,
}

#[derive(Clone, Copy, Debug)]
enum Signal {
    LanguageModel,
    Counts,
    Text,
    SmallModel,
}

impl FusedScores {
    /// The scores of all items, `[items]`, from the language model's `logits` `[items of the
    /// catalogue]`; see the [module](super). Not a number where a logit is none. Without signals,
    /// the logits. Scores of added items without text mean nothing.
    pub fn of<'h>(
        &mut self,
        signals: Option<&RankingSignals>,
        logits: &[f32],
        history: impl Into<ScoredHistory<'h>>,
    ) -> &[f32] {
        self.combine(signals, logits, history.into(), false)
    }

    /// As [`of`](Self::of), and keeps the signals for [`explanation`](Self::explanation).
    pub fn explained<'h>(
        &mut self,
        signals: Option<&RankingSignals>,
        logits: &[f32],
        history: impl Into<ScoredHistory<'h>>,
    ) -> &[f32] {
        self.combine(signals, logits, history.into(), true)
    }

    /// What the score of an item is made of, by the last [`explained`](Self::explained).
    ///
    /// # Panics
    /// If the item is neither in the catalogue nor added.
    #[must_use]
    pub fn explanation(&self, item: ItemIndex) -> ScoreExplanation {
        let mut explanation = ScoreExplanation::default();
        for Part { signal, factor, values, mean } in &self.parts {
            let part = factor * (values[item.position()] - mean);
            explanation.score += part;
            *match signal {
                Signal::LanguageModel => &mut explanation.language_model,
                Signal::Counts => &mut explanation.counts,
                Signal::Text => &mut explanation.text,
                Signal::SmallModel => &mut explanation.small_model,
            } = Some(part);
        }
        explanation
    }

    fn combine(
        &mut self,
        signals: Option<&RankingSignals>,
        logits: &[f32],
        history: ScoredHistory<'_>,
        keep: bool,
    ) -> &[f32] {
        self.parts.clear();
        self.fused.clear();
        let known = logits.len();
        let mut values = std::mem::take(&mut self.signal);
        values.clear();
        values.extend_from_slice(logits);
        if let Some(added) = history.added {
            added.extend_by_neighbours(&mut values);
        }
        let Some(signals) = signals else {
            self.fused.extend_from_slice(&values);
            self.keep(keep, Signal::LanguageModel, (1.0, known), &values);
            self.signal = values;
            return &self.fused;
        };
        let weights = signals.weights();
        // The means are the same for all items and do not change the softmax. Added items change
        // no score of the others.
        let factor = |weight: f32, values: &[f32]| {
            let mut deviation = standard_deviation(&values[..known]);
            if deviation <= 0.0 {
                // Only added items were counted.
                deviation = standard_deviation(values);
            }
            if deviation > 0.0 { weights.temperature * weight / deviation } else { 0.0 }
        };
        let scale = factor(weights.language_model, &values);
        self.fused.extend(values.iter().map(|logit| scale * logit));
        self.keep(keep, Signal::LanguageModel, (scale, known), &values);
        for (signal, weight) in [
            (Signal::Counts, weights.counts),
            (Signal::Text, weights.text),
            (Signal::SmallModel, weights.small_model),
        ] {
            if weight > 0.0 && scores_of(signal, signals, history, known, &mut values) {
                let factor = factor(weight, &values);
                add(&mut self.fused, &values, factor);
                self.keep(keep, signal, (factor, known), &values);
            }
        }
        self.signal = values;
        &self.fused
    }

    fn keep(&mut self, keep: bool, signal: Signal, (factor, known): (f32, usize), values: &[f32]) {
        if keep && factor > 0.0 {
            let sum = values[..known].iter().map(|value| f64::from(*value)).sum::<f64>();
            let mean = (sum / known.max(1) as f64) as f32;
            self.parts.push(Part { signal, factor, values: values.to_vec(), mean });
        }
    }
}

/// Writes the scores of a signal beside the language model to `values` `[items]`, of which `known`
/// are of the catalogue. Returns `false` if there is no such signal, or it says nothing about this
/// history.
fn scores_of(
    signal: Signal,
    signals: &RankingSignals,
    history: ScoredHistory<'_>,
    known: usize,
    values: &mut Vec<f32>,
) -> bool {
    let ScoredHistory { items, read, added } = history;
    match signal {
        Signal::LanguageModel => false,
        Signal::Counts => signals.counts().is_some_and(|counts| {
            values.clear();
            values.resize(added.map_or(known, AddedItems::positions), 0.0);
            let is_counted = counts.add_scores(items, values);
            if let Some(added) = added {
                added.add_of_neighbours(values, COUNTS_OF_NEIGHBOURS);
            }
            is_counted
        }),
        Signal::Text => signals.text().is_some_and(|text| text.scores(items, added, values)),
        Signal::SmallModel => signals.small_model().is_some_and(|small_model| {
            let is_scored = small_model.scores(read, values);
            if let Some(added) = added.filter(|_| is_scored) {
                added.extend_by_neighbours(values);
            }
            is_scored
        }),
    }
}

fn add(sums: &mut [f32], values: &[f32], factor: f32) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// Differences relative to the mean that are rounding.
pub(crate) const ROUNDING: f32 = 1e-5;

/// The standard deviation of values; 0 for none and for values that differ by rounding only, such
/// as the similarities of equal texts.
#[must_use]
pub fn standard_deviation(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let count = values.len().max(1) as f64;
    let sum = |of: &dyn Fn(f32) -> f32| {
        let (chunks, rest) = values.as_chunks::<LANES>();
        let mut total = 0.0_f64;
        // Blocks in single precision, added in double precision.
        for block in chunks.chunks(64) {
            let mut lanes = [0.0_f32; LANES];
            for chunk in block {
                lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane += of(value));
            }
            total += f64::from(lanes.iter().sum::<f32>());
        }
        total + rest.iter().map(|&value| f64::from(of(value))).sum::<f64>()
    };
    let mean = (sum(&|value| value) / count) as f32;
    let deviation = (sum(&|value| (value - mean) * (value - mean)) / count).sqrt() as f32;
    if deviation > ROUNDING * mean.abs() { deviation } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::counts::{CountOptions, CountTable};

    use super::*;
    use crate::ranking_signals::SignalWeights;

    #[test]
    fn signals_are_standardised_and_weighted() {
        assert!((standard_deviation(&[1.0, 3.0]) - 1.0).abs() < 1e-6);
        assert!(standard_deviation(&[]).abs() < 1e-9);
        let many: Vec<f32> = (0..5000).map(|i| (i % 2) as f32 * 4.0 + 1e3).collect();
        assert!((standard_deviation(&many) - 2.0).abs() < 1e-3);
        // Equal texts: their similarities differ by rounding only.
        let equal: Vec<f32> = (0..5000).map(|i| 0.8 + (i % 3) as f32 * 6e-8).collect();
        assert!(standard_deviation(&equal) == 0.0);

        let mut counts = CountTable::new(3, CountOptions::default());
        counts.add(&[ItemIndex(0)], ItemIndex(1), 0);
        let weights = SignalWeights {
            language_model: 1.0,
            counts: 0.5,
            text: 1.0,
            small_model: 0.0,
            temperature: 2.0,
        };
        let signals = RankingSignals::new(weights, None, Some(counts));
        let logits = [1.0, 2.0, 3.0];
        let deviation = (2.0_f32 / 3.0).sqrt();
        let mut fused = FusedScores::default();
        let found = fused.of(Some(&signals), &logits, &[ItemIndex(0)]);
        // Counts of items 0, 1, 2 are 0, c, 0: the standard deviation is c·√2/3.
        let counted = 2.0 * 0.5 * 3.0 / 2.0_f32.sqrt();
        for (at, found) in found.iter().enumerate() {
            let expected = 2.0 * logits[at] / deviation + if at == 1 { counted } else { 0.0 };
            assert!((found - expected).abs() < 1e-4, "{at}: {found} {expected}");
        }
        // A history without counts: the language model alone.
        let found = fused.of(Some(&signals), &logits, &[ItemIndex(2)]);
        assert!((found[1] - 2.0 * 2.0 / deviation).abs() < 1e-4);

        signals.count(&[ItemIndex(2)], ItemIndex(1), 1);
        let found = fused.of(Some(&signals), &logits, &[ItemIndex(2)]);
        assert!(found[1] > 2.0 * 2.0 / deviation + 1.0, "a new event counts at once");
    }

    #[test]
    fn an_explanation_sums_to_the_score_and_leaves_out_what_is_missing() {
        let mut counts = CountTable::new(4, CountOptions::default());
        counts.add(&[ItemIndex(0)], ItemIndex(1), 0);
        counts.add(&[ItemIndex(0)], ItemIndex(2), 0);
        let weights = SignalWeights {
            language_model: 1.0,
            counts: 0.5,
            text: 1.0,
            small_model: 0.3,
            temperature: 1.7,
        };
        let signals = RankingSignals::new(weights, None, Some(counts));
        let logits = [10.5, 12.0, 9.0, 11.0];
        let mut fused = FusedScores::default();
        let scores = fused.explained(Some(&signals), &logits, &[ItemIndex(0)]).to_vec();
        let explained: Vec<ScoreExplanation> =
            (0..4).map(|item| fused.explanation(ItemIndex(item))).collect();
        for (item, parts) in explained.iter().enumerate() {
            assert_eq!((parts.text, parts.small_model), (None, None));
            let sum = parts.language_model.unwrap() + parts.counts.unwrap();
            assert!((sum - parts.score).abs() < 1e-4);
            // Scores differ from each other as explanations do.
            let expected = scores[item] - scores[0];
            assert!((parts.score - explained[0].score - expected).abs() < 1e-4);
        }
        assert!(explained[1].counts.unwrap() > 0.0 && explained[3].counts.unwrap() < 0.0);
        assert_eq!(scores, fused.of(Some(&signals), &logits, &[ItemIndex(0)]));

        // Nothing is counted near item 3, and a server without signals has the logits.
        fused.explained(Some(&signals), &logits, &[ItemIndex(3)]);
        assert_eq!(fused.explanation(ItemIndex(0)).counts, None);
        assert_eq!(fused.explained(None, &logits, &[ItemIndex(3)]), logits);
        let alone = fused.explanation(ItemIndex(1));
        assert_eq!(alone.language_model, Some(alone.score));
        assert!((alone.score - (12.0 - 10.625)).abs() < 1e-5);
    }
}
