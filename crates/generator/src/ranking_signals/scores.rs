use tandem_dataset::ItemIndex;

use super::RankingSignals;

/// Combines the signals of one history; owns its buffers.
#[derive(Clone, Debug, Default)]
pub struct FusedScores {
    fused: Vec<f32>,
    signal: Vec<f32>,
}

impl FusedScores {
    /// The scores of all items, `[items]`, from the language model's `logits` `[items]`; see the
    /// [module](super). Not a number where a logit is none.
    pub fn of(
        &mut self,
        signals: &RankingSignals,
        logits: &[f32],
        history: &[ItemIndex],
    ) -> &[f32] {
        let weights = signals.weights();
        let factor = |weight: f32, values: &[f32]| {
            let deviation = standard_deviation(values);
            if deviation > 0.0 { weights.temperature * weight / deviation } else { 0.0 }
        };
        // The means are the same for all items and do not change the softmax.
        let scale = factor(weights.language_model, logits);
        self.fused.clear();
        self.fused.extend(logits.iter().map(|logit| scale * logit));
        if weights.counts > 0.0
            && let Some(counts) = signals.counts()
        {
            self.signal.clear();
            self.signal.resize(logits.len(), 0.0);
            if counts.add_scores(history, &mut self.signal) {
                drop(counts);
                add(&mut self.fused, &self.signal, factor(weights.counts, &self.signal));
            }
        }
        if weights.text > 0.0
            && let Some(text) = signals.text()
            && text.scores(history, &mut self.signal)
        {
            add(&mut self.fused, &self.signal, factor(weights.text, &self.signal));
        }
        if weights.small_model > 0.0
            && let Some(small_model) = signals.small_model()
            && small_model.scores(history, &mut self.signal)
        {
            add(&mut self.fused, &self.signal, factor(weights.small_model, &self.signal));
        }
        &self.fused
    }
}

fn add(sums: &mut [f32], values: &[f32], factor: f32) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// Differences relative to the mean that are rounding.
const ROUNDING: f32 = 1e-5;

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
        let found = fused.of(&signals, &logits, &[ItemIndex(0)]);
        // Counts of items 0, 1, 2 are 0, c, 0: the standard deviation is c·√2/3.
        let counted = 2.0 * 0.5 * 3.0 / 2.0_f32.sqrt();
        for (at, found) in found.iter().enumerate() {
            let expected = 2.0 * logits[at] / deviation + if at == 1 { counted } else { 0.0 };
            assert!((found - expected).abs() < 1e-4, "{at}: {found} {expected}");
        }
        // A history without counts: the language model alone.
        let found = fused.of(&signals, &logits, &[ItemIndex(2)]);
        assert!((found[1] - 2.0 * 2.0 / deviation).abs() < 1e-4);

        signals.count(&[ItemIndex(2)], ItemIndex(1), 1);
        let found = fused.of(&signals, &logits, &[ItemIndex(2)]);
        assert!(found[1] > 2.0 * 2.0 / deviation + 1.0, "a new event counts at once");
    }
}
