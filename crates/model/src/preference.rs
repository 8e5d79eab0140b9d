//! The preference: the part of a personal delta that is one vector for all items.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::products::{add_scaled, dot, softmax};

/// A vector `w` `[dims]` that adds `w·v` to the score of every candidate row `v`.
///
/// For a model that scores by a dot product, this moves the user embedding by `w`, so that
/// items similar to the clicked ones score higher. Each step uses the newest click and a few
/// before it, because a single click is noisy, and `w` decays, because interests change.
///
/// Only `w` is stored. The clicks for replay stay in memory, so the first steps after a reload
/// use fewer of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Preference {
    /// `w`; empty before the first step.
    pub(crate) vector: Vec<f32>,
    /// The clicks for replay, shared with [`StepUndo`](crate::StepUndo).
    #[serde(skip)]
    examples: VecDeque<Arc<PreferenceExample>>,
}

/// A click with the scores at the time of its step.
#[derive(Clone, Debug)]
pub(crate) struct PreferenceExample {
    /// Scores without `w`, `[candidates]`.
    pub(crate) scores: Vec<f32>,
    /// Rows with deltas and adapter applied, `[candidates, dims]`.
    pub(crate) rows: Vec<f32>,
    /// Index of the clicked item.
    pub(crate) target: usize,
}

/// Settings of a step on `w`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreferenceStep {
    /// Learning rate, in units of one over the mean squared norm of a candidate row. With 1, a
    /// click that had a low probability raises the score of its item by about 1.
    pub(crate) rate: f32,
    /// Share of `w` that each step removes.
    pub(crate) decay: f32,
    /// Number of clicks that a step uses, including the newest.
    pub(crate) replay: usize,
}

/// Compares what was learnt; the clicks for replay may differ.
impl PartialEq for Preference {
    fn eq(&self, other: &Self) -> bool {
        self.vector == other.vector
    }
}

impl Preference {
    /// Adds `w·v` to the score of each row `v` of `rows` `[scores, dims]`.
    pub(crate) fn add_preference_logits(&self, rows: &[f32], scores: &mut [f32]) {
        if self.vector.is_empty() {
            return;
        }
        for (score, row) in scores.iter_mut().zip(rows.chunks_exact(self.vector.len())) {
            *score += dot(&self.vector, row);
        }
    }

    /// One step of gradient descent on the mean loss of `example` and the newest before it:
    /// `w ← (1 − decay)·w − rate / mean ‖v‖² · mean (Σ p_c v_c − v_clicked)`.
    ///
    /// The gradient of an example is bounded by the norm of its rows, so `w` is bounded if the
    /// decay is above 0.
    pub(crate) fn step(
        &mut self,
        example: Arc<PreferenceExample>,
        dims: usize,
        config: PreferenceStep,
    ) {
        if config.replay == 0 || config.rate <= 0.0 {
            return;
        }
        let squares = dot(&example.rows, &example.rows);
        let mean_square = squares * dims as f32 / example.rows.len().max(1) as f32;
        self.examples.push_back(example);
        while self.examples.len() > config.replay {
            self.examples.pop_front();
        }
        if mean_square <= 0.0 {
            return;
        }
        self.vector.resize(dims, 0.0);
        let mut gradient = vec![0.0; dims];
        for example in &self.examples {
            for (row, logit_gradient) in
                example.rows.chunks_exact(dims).zip(example.logit_gradients(self))
            {
                add_scaled(&mut gradient, logit_gradient, row);
            }
        }
        let step = config.rate / mean_square / self.examples.len() as f32;
        for (value, gradient) in self.vector.iter_mut().zip(gradient) {
            *value = (1.0 - config.decay) * *value - step * gradient;
        }
    }
}

impl PreferenceExample {
    /// Derivative of the loss with respect to each candidate's score: its probability with
    /// `preference`, minus 1 for the clicked item.
    pub(crate) fn logit_gradients(&self, preference: &Preference) -> Vec<f32> {
        let mut logit_gradients = self.scores_with(preference);
        softmax(&mut logit_gradients);
        logit_gradients[self.target] -= 1.0;
        logit_gradients
    }

    /// `−ln softmax(scores)[target]` with `preference` (nats).
    pub(crate) fn loss(&self, preference: &Preference) -> f32 {
        let scores = self.scores_with(preference);
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = scores.iter().map(|score| (score - largest).exp()).sum();
        sum.ln() + largest - scores[self.target]
    }

    /// The candidates' scores with `preference`.
    fn scores_with(&self, preference: &Preference) -> Vec<f32> {
        let mut scores = self.scores.clone();
        preference.add_preference_logits(&self.rows, &mut scores);
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: PreferenceStep = PreferenceStep { rate: 1.0, decay: 0.5, replay: 2 };

    fn example(target: usize) -> Arc<PreferenceExample> {
        let rows = vec![2.0, 0.0, 0.0, 2.0];
        Arc::new(PreferenceExample { scores: vec![0.0, 0.0], rows, target })
    }

    fn near(found: &[f32], expected: &[f32]) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} is not {expected:?}");
        }
        assert_eq!(found.len(), expected.len());
    }

    #[test]
    fn a_step_matches_hand_computed_values() {
        let mut preference = Preference::default();
        preference.step(example(0), 2, STEP);
        // p = ½, ½; gradient ½(2, 0) + ½(0, 2) − (2, 0) = (−1, 1); mean ‖v‖² = 4.
        near(&preference.vector, &[0.25, -0.25]);
        let mut scores = [1.0, 1.0];
        preference.add_preference_logits(&[2.0, 0.0, 0.0, 2.0], &mut scores);
        near(&scores, &[1.5, 0.5]);
        // The scores are now 0.5 and −0.5, p₀ = 1 / (1 + e^−1) = 0.731059. The second click
        // is on the other item: gradients (2p₀ − 2, 2 − 2p₀) and (2p₀, −2p₀), mean
        // (2p₀ − 1)·(1, −1) = (0.462117, −0.462117); w decays to half.
        preference.step(example(1), 2, STEP);
        near(&preference.vector, &[0.125 - 0.462_117 / 4.0, -0.125 + 0.462_117 / 4.0]);
        assert_eq!(preference.examples.len(), 2);
        preference.step(example(1), 2, STEP);
        assert_eq!(preference.examples.len(), 2, "older clicks are dropped");
    }

    #[test]
    fn zero_rows_and_a_zero_rate_change_nothing() {
        let mut preference = Preference::default();
        preference.step(example(0), 2, PreferenceStep { rate: 0.0, ..STEP });
        preference.step(example(0), 2, PreferenceStep { replay: 0, ..STEP });
        let nothing = PreferenceExample { scores: vec![0.0; 2], rows: vec![0.0; 4], target: 0 };
        preference.step(Arc::new(nothing), 2, STEP);
        assert!(preference.vector.is_empty());
        let mut scores = [1.0];
        preference.add_preference_logits(&[5.0, 5.0], &mut scores);
        near(&scores, &[1.0]);
    }

    #[test]
    fn the_vector_stays_bounded_over_a_thousand_clicks() {
        let mut preference = Preference::default();
        let config = PreferenceStep { rate: 50.0, decay: 0.1, replay: 3 };
        for click in 0..1_000 {
            preference.step(example(click % 2), 2, config);
            // The norm of a gradient is at most 2√2, so a step is at most 50 / 4 · 2√2, and a
            // tenth of w decays each time.
            let length = dot(&preference.vector, &preference.vector).sqrt();
            assert!(length <= 50.0 / 4.0 * 8.0_f32.sqrt() / 0.1, "{length}");
        }
    }

    #[test]
    fn only_the_vector_is_stored() {
        let mut preference = Preference::default();
        preference.step(example(0), 2, STEP);
        let json = serde_json::to_string(&preference).unwrap();
        assert_eq!(json, "[0.25,-0.25]");
        let read: Preference = serde_json::from_str(&json).unwrap();
        assert_eq!(read, preference);
    }
}
