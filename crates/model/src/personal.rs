use std::{collections::BTreeMap, fmt::Debug};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::{
    ModelError,
    preference::{Lesson, Pace, Preference},
};

/// Version of a stored delta; a newer one is refused.
pub const DELTA_VERSION: u32 = 2;

/// What names an item in a [`PersonalDelta`]: the shop's id on a device.
pub trait RowKey: Clone + Ord + Debug {}
impl<K: Clone + Ord + Debug> RowKey for K {}

/// What one visitor's clicks have taught, beside shared weights that never change.
///
/// Three parts, all plain numbers in host memory (a few KiB), so that they can be undone (a
/// clone from before is all it takes), exported and erased without touching the model:
///
/// - a **preference** `w` `[dims]` that adds `w·v` to the score of a candidate row `v`: what
///   the visitor is after right now, learnt from the last clicks and soon forgotten;
/// - **row deltas** `δ_i`, only for items that were learnt from: item `i` is read as
///   `e_i + δ_i`, in the history and as a candidate;
/// - a **low-rank adapter** `v ↦ v + (v·P)·Q` on the rows of candidates, `P` `[dims, rank]`
///   and `Q` `[rank, dims]`, which generalises to items never clicked. For models that score
///   by a dot product this equals an adapter on the user's hidden state, and it suits models
///   that look at the candidate as well. `Q` starts at zero: an untrained delta changes
///   nothing (as in `LoRA`, Hu et al. 2022, §4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "K: Serialize", deserialize = "K: Deserialize<'de> + Ord"))]
pub struct PersonalDelta<K: RowKey> {
    /// Layout of what is stored; the first had neither this field nor a preference.
    #[serde(default = "first_version")]
    version: u32,
    /// Hash of the shared weights this was learnt on; it means nothing on others.
    base: String,
    dims: usize,
    rank: usize,
    /// Learning steps taken.
    steps: u64,
    rows: BTreeMap<K, Vec<f32>>,
    pub(crate) down: Vec<f32>, // P [dims, rank]
    pub(crate) up: Vec<f32>,   // Q [rank, dims]
    #[serde(default)]
    pub(crate) preference: Preference,
}

fn first_version() -> u32 {
    1
}

impl<K: RowKey> PersonalDelta<K> {
    /// A delta that changes nothing, for weights with this hash.
    #[must_use]
    pub fn new(base: impl Into<String>, dims: usize, rank: usize) -> Self {
        // Any fixed directions do; the same for everyone so that runs can be compared.
        let mut rng = StdRng::seed_from_u64(0x7A4D);
        let scale = 1.0 / (dims as f32).sqrt();
        let down = (0..dims * rank).map(|_| rng.random_range(-scale..=scale)).collect();
        Self {
            version: DELTA_VERSION,
            base: base.into(),
            dims,
            rank,
            steps: 0,
            rows: BTreeMap::new(),
            down,
            up: vec![0.0; rank * dims],
            preference: Preference::default(),
        }
    }

    /// Checks a delta that comes from outside (storage, an import) against the weights in use.
    ///
    /// # Errors
    /// [`ModelError::Version`] if a newer client wrote it, [`ModelError::ForeignBase`] if it
    /// was learnt on others, [`ModelError::Length`] if it is damaged,
    /// [`ModelError::NotFinite`] if it holds a value that is no number.
    pub fn check(&self, base: &str, dims: usize, rank: usize) -> Result<(), ModelError> {
        if self.version > DELTA_VERSION {
            return Err(ModelError::Version { supported: DELTA_VERSION, found: self.version });
        }
        if self.base != base {
            return Err(ModelError::ForeignBase {
                expected: base.to_owned(),
                found: self.base.clone(),
            });
        }
        let shapes = [
            ("dims of the personal delta", dims, self.dims),
            ("rank of the personal delta", rank, self.rank),
            ("adapter's first matrix", dims * rank, self.down.len()),
            ("adapter's second matrix", rank * dims, self.up.len()),
        ];
        let rows = self.rows.values().map(|row| ("row delta", dims, row.len()));
        let vector = &self.preference.vector;
        let preference = (!vector.is_empty()).then_some(("preference", dims, vector.len()));
        for (what, expected, found) in shapes.into_iter().chain(rows).chain(preference) {
            if expected != found {
                return Err(ModelError::Length { what, expected, found });
            }
        }
        let adapter = self.down.iter().chain(&self.up);
        let mut values = self.rows.values().flatten().chain(adapter).chain(vector);
        if values.any(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { what: "personal delta".into() });
        }
        Ok(())
    }

    /// Hash of the shared weights this belongs to.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Learning steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Number of items with a delta of their own.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.rows.len()
    }

    /// Rank of the adapter.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The delta of an item, if it was ever learnt from.
    #[must_use]
    pub fn row(&self, key: &K) -> Option<&[f32]> {
        self.rows.get(key).map(Vec::as_slice)
    }

    /// Adds the item's delta to its row `[dims]`.
    pub fn apply_row(&self, key: &K, row: &mut [f32]) {
        if let Some(delta) = self.rows.get(key) {
            for (value, delta) in row.iter_mut().zip(delta) {
                *value += delta;
            }
        }
    }

    /// Applies the adapter to a candidate's row `[dims]`.
    pub fn adapt(&self, row: &mut [f32]) {
        if self.rank == 0 || self.steps == 0 {
            return;
        }
        let inner: Vec<f32> = (0..self.rank)
            .map(|k| {
                row.iter()
                    .zip(self.down.iter().skip(k).step_by(self.rank))
                    .map(|(v, p)| v * p)
                    .sum()
            })
            .collect();
        for (inner, up) in inner.iter().zip(self.up.chunks_exact(self.dims)) {
            for (value, up) in row.iter_mut().zip(up) {
                *value += inner * up;
            }
        }
    }

    /// Adds to `scores` what the preference says of the candidates' effective rows
    /// `[scores, dims]`, deltas and adapter applied.
    pub fn lean(&self, rows: &[f32], scores: &mut [f32]) {
        self.preference.lean(rows, scores);
    }

    /// One step of the preference; see [`Preference::step`].
    pub(crate) fn prefer(&mut self, lesson: Lesson, pace: Pace) {
        self.preference.step(lesson, self.dims, pace);
    }

    /// Notes that a learning step was taken.
    pub(crate) fn count_step(&mut self) {
        // What was stored by the first version is from now on of this one.
        self.version = DELTA_VERSION;
        self.steps += 1;
    }

    /// One gradient step: `θ ← (1 − rate·decay)·θ − rate·gradient` on the deltas of `keys`
    /// and, for the adapter, `Q` decays and `P` does not (it only gives directions).
    pub(crate) fn descend(&mut self, keys: &[K], gradient: &Gradient, step: &StepSizes) {
        let keep = 1.0 - step.rows * step.decay;
        for (key, gradient) in keys.iter().zip(gradient.rows.chunks_exact(self.dims)) {
            let row = self.rows.entry(key.clone()).or_insert_with(|| vec![0.0; self.dims]);
            for (value, gradient) in row.iter_mut().zip(gradient) {
                *value = keep * *value - step.rows * gradient;
            }
        }
        let keep = 1.0 - step.adapter * step.decay;
        for (value, gradient) in self.up.iter_mut().zip(&gradient.up) {
            *value = keep * *value - step.adapter * gradient;
        }
        for (value, gradient) in self.down.iter_mut().zip(&gradient.down) {
            *value -= step.adapter * gradient;
        }
    }
}

/// Gradients of a loss with respect to a delta's parts, in their layouts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gradient {
    pub(crate) rows: Vec<f32>,
    pub(crate) down: Vec<f32>,
    pub(crate) up: Vec<f32>,
}

impl Gradient {
    /// Scales a gradient longer than `max_norm` (over all parts together) down to it.
    pub(crate) fn shorten(&mut self, max_norm: f32) {
        let parts = [&mut self.rows, &mut self.down, &mut self.up];
        let squares: f32 =
            parts.iter().flat_map(|part| part.iter()).map(|value| value * value).sum();
        let norm = squares.sqrt();
        if norm > max_norm {
            for value in parts.into_iter().flatten() {
                *value *= max_norm / norm;
            }
        }
    }
}

/// How far a step goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepSizes {
    pub(crate) rows: f32,
    pub(crate) adapter: f32,
    pub(crate) decay: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand_made() -> PersonalDelta<u32> {
        let mut delta = PersonalDelta::new("base", 2, 1);
        delta.down = vec![1.0, 2.0]; // P, [2, 1]
        delta.up = vec![0.5, -1.0]; // Q, [1, 2]
        delta.steps = 1;
        delta
    }

    #[test]
    fn the_adapter_adds_v_p_q() {
        let mut row = [3.0, 4.0];
        hand_made().adapt(&mut row);
        // v·P = 3 + 8 = 11; 11·Q = (5.5, -11).
        assert!((row[0] - 8.5).abs() < 1e-6 && (row[1] + 7.0).abs() < 1e-6, "{row:?}");
    }

    #[test]
    fn a_new_delta_changes_nothing() {
        let delta = PersonalDelta::<u32>::new("base", 3, 2);
        let mut row = [1.0_f32, -2.0, 3.0];
        delta.apply_row(&7, &mut row);
        delta.adapt(&mut row);
        assert_eq!(row.map(f32::to_bits), [1.0_f32, -2.0, 3.0].map(f32::to_bits));
    }

    #[test]
    fn a_step_descends_and_decays() {
        let mut delta = hand_made();
        delta.rows.insert(5, vec![1.0, 1.0]);
        let gradient =
            Gradient { rows: vec![1.0, 0.0, 0.0, 2.0], down: vec![0.0, 1.0], up: vec![1.0, 0.0] };
        delta.descend(&[5, 9], &gradient, &StepSizes { rows: 0.1, adapter: 0.2, decay: 0.5 });
        // Row 5: 0.95·1 − 0.1·(1, 0); row 9 is new: −0.1·(0, 2).
        assert_eq!(delta.row(&5).unwrap(), [0.95 - 0.1, 0.95]);
        assert_eq!(delta.row(&9).unwrap(), [0.0, -0.2]);
        // Q: 0.9·(0.5, −1) − 0.2·(1, 0); P: (1, 2) − 0.2·(0, 1).
        assert!((delta.up[0] - 0.25).abs() < 1e-6 && (delta.up[1] + 0.9).abs() < 1e-6);
        assert!((delta.down[1] - 1.8).abs() < 1e-6);
    }

    #[test]
    fn a_long_gradient_is_shortened_over_all_its_parts() {
        let long = Gradient { rows: vec![3.0, 0.0], down: vec![0.0], up: vec![4.0] };
        let mut gradient = long.clone();
        gradient.shorten(6.0);
        assert_eq!(gradient, long);
        gradient.shorten(1.0);
        // The norm was 5.
        assert!((gradient.rows[0] - 0.6).abs() < 1e-6 && (gradient.up[0] - 0.8).abs() < 1e-6);
    }

    #[test]
    fn foreign_and_damaged_deltas_are_refused() {
        let delta = hand_made();
        assert_eq!(delta.check("base", 2, 1), Ok(()));
        assert!(matches!(delta.check("other", 2, 1), Err(ModelError::ForeignBase { .. })));
        assert!(matches!(delta.check("base", 3, 1), Err(ModelError::Length { .. })));
        let mut damaged = hand_made();
        damaged.rows.insert(1, vec![f32::INFINITY, 0.0]);
        assert!(matches!(damaged.check("base", 2, 1), Err(ModelError::NotFinite { .. })));
        for (vector, length) in [(vec![0.5], true), (vec![f32::NAN, 0.0], false)] {
            let mut damaged = hand_made();
            damaged.preference.vector = vector;
            let error = damaged.check("base", 2, 1).unwrap_err();
            assert_eq!(matches!(error, ModelError::Length { .. }), length, "{error}");
            assert_eq!(matches!(error, ModelError::NotFinite { .. }), !length, "{error}");
        }
        let newer = PersonalDelta { version: DELTA_VERSION + 1, ..hand_made() };
        let error = newer.check("base", 2, 1).unwrap_err();
        assert_eq!(error, ModelError::Version { supported: 2, found: 3 });
    }

    #[test]
    fn a_delta_of_the_first_version_is_read() {
        let json = r#"{"base":"base","dims":2,"rank":1,"steps":3,"rows":{"5":[1.0,0.0]},
            "down":[1.0,2.0],"up":[0.5,-1.0]}"#;
        let delta: PersonalDelta<String> = serde_json::from_str(json).unwrap();
        assert_eq!(delta.check("base", 2, 1), Ok(()));
        let mut scores = [3.0];
        delta.lean(&[1.0, 1.0], &mut scores);
        assert!((scores[0] - 3.0_f32).abs() < 1e-9, "it had no preference");
    }
}
