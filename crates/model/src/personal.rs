use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::{
    ModelError,
    preference::{Preference, PreferenceExample, PreferenceStep},
    products::{add_scaled, dot, outer},
};

/// Version of the stored format; a newer one is refused.
pub const DELTA_VERSION: u32 = 2;

/// Largest number of row deltas (64 KiB for 64 dimensions). If there are more, those with the
/// smallest norms are dropped until three quarters are left.
pub const MAX_ROW_DELTAS: usize = 256;

/// Key of an item in a [`PersonalDelta`]; on a device the shop's id.
pub trait RowKey: Clone + Ord + Debug {}
impl<K: Clone + Ord + Debug> RowKey for K {}

/// What one visitor's clicks have taught, in addition to the shared weights.
///
/// The delta has three parts of a few KiB in main memory. It can be undone, exported and erased
/// without changing the model. All parts act on the candidate rows, after the network:
///
/// - a **preference** `w` `[dims]` that adds `w·v` to the score of a candidate row `v`. It is
///   learnt from the newest clicks and decays;
/// - **row deltas** `δ_i` of the items that were learnt from: the candidate row of item `i` is
///   `e_i + δ_i`;
/// - a **low-rank adapter** `v ↦ v + (v·P)·Q` of candidate rows, `P` `[dims, rank]` and `Q`
///   `[rank, dims]`, which generalises to other items. For a model that scores by a dot product
///   it is equivalent to an adapter of the user embedding. `Q` is initialised with 0, so that a
///   new delta changes nothing (`LoRA`, Hu et al. 2022, §4.1).
///
/// ```
/// use tandem_model::PersonalDelta;
///
/// let delta = PersonalDelta::<String>::new("hash of the weights", 2, 1);
/// assert_eq!(delta.query(&[0.5, -1.0]), [0.5, -1.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "K: Serialize", deserialize = "K: Deserialize<'de> + Ord"))]
pub struct PersonalDelta<K: RowKey> {
    /// Version of the format; the first version had neither this field nor a preference.
    #[serde(default = "first_version")]
    version: u32,
    /// Hash of the shared weights that the delta belongs to.
    base: String,
    dims: usize,
    rank: usize,
    /// Number of learning steps.
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
    /// A delta that changes nothing, for shared weights with this hash.
    #[must_use]
    pub fn new(base: impl Into<String>, dims: usize, rank: usize) -> Self {
        // Fixed random directions, so that runs can be compared.
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

    /// Checks a delta from storage or an import against the weights in use.
    ///
    /// # Errors
    /// [`ModelError::Version`] if a newer version wrote it, [`ModelError::ForeignBase`] if it
    /// belongs to other weights, [`ModelError::Length`] if a part has another size,
    /// [`ModelError::NotFinite`] if it contains a value that is not finite.
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

    /// Number of learning steps.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Keys of the row deltas, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.rows.keys()
    }

    /// Number of row deltas.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Rank of the adapter.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The row delta `[dims]` of an item, if it has one.
    #[must_use]
    pub fn row(&self, key: &K) -> Option<&[f32]> {
        self.rows.get(key).map(Vec::as_slice)
    }

    /// Adds the item's row delta to its row `[dims]`.
    pub fn apply_row(&self, key: &K, row: &mut [f32]) {
        if let Some(delta) = self.rows.get(key) {
            add_scaled(row, 1.0, delta);
        }
    }

    /// Applies the adapter to candidate rows `[n, dims]`.
    pub fn adapt(&self, rows: &mut [f32]) {
        if self.rank == 0 || self.steps == 0 {
            return;
        }
        let down = self.transposed_down();
        let mut inner = vec![0.0; self.rank];
        for row in rows.chunks_exact_mut(self.dims) {
            for (inner, down) in inner.iter_mut().zip(down.chunks_exact(self.dims)) {
                *inner = dot(row, down);
            }
            for (inner, up) in inner.iter().zip(self.up.chunks_exact(self.dims)) {
                add_scaled(row, *inner, up);
            }
        }
    }

    /// `Pᵀ` `[rank, dims]`, with which products of many rows are faster than with `P`.
    fn transposed_down(&self) -> Vec<f32> {
        let column = |at: usize| self.down.iter().skip(at).step_by(self.rank).copied();
        (0..self.rank).flat_map(column).collect()
    }

    /// `v·P` of a row `v`: `[rank]`.
    fn project_row(&self, row: &[f32]) -> Vec<f32> {
        let mut inner = vec![0.0; self.rank];
        for (value, down) in row.iter().zip(self.down.chunks_exact(self.rank)) {
            add_scaled(&mut inner, *value, down);
        }
        inner
    }

    /// The vector `q̃` `[dims]` with which a candidate row `v = e + δ` scores `q̃·v`, for a model
    /// that scores by a dot product with the user embedding `u` `[dims]`: `q̃ = q + P·(Q·q)` with
    /// `q = u + w`.
    #[must_use]
    pub fn query(&self, embedding: &[f32]) -> Vec<f32> {
        let user = self.preferred(embedding);
        self.adapted_query(&user, &self.project_query(&user))
    }

    /// `q = u + w`.
    fn preferred(&self, embedding: &[f32]) -> Vec<f32> {
        let mut user = embedding.to_vec();
        add_scaled(&mut user, 1.0, &self.preference.vector);
        user
    }

    /// `Q·q`: `[rank]`.
    fn project_query(&self, user: &[f32]) -> Vec<f32> {
        self.up.chunks_exact(self.dims).map(|up| dot(up, user)).collect()
    }

    /// `q + P·inner`.
    fn adapted_query(&self, user: &[f32], inner: &[f32]) -> Vec<f32> {
        let mut query = user.to_vec();
        if self.rank > 0 {
            for (value, down) in query.iter_mut().zip(self.down.chunks_exact(self.rank)) {
                *value += dot(down, inner);
            }
        }
        query
    }

    /// Gradient of a loss with respect to row deltas and adapter, for a model that scores by a
    /// dot product with `embedding`. `rows` `[candidates, dims]` include their row deltas, and
    /// `logit_gradients` `[candidates]` are the derivatives of the loss with respect to the scores.
    ///
    /// The score of row `v` is `(v + (v·P)·Q)·q`. With `g` for `logit_gradients` and
    /// `m = Σ g_c·v_c`:
    /// `∂/∂v_c = g_c·q̃`, `∂/∂P = m ⊗ (Q·q)`, `∂/∂Q = (m·P) ⊗ q`.
    pub(crate) fn gradient(
        &self,
        embedding: &[f32],
        rows: &[f32],
        logit_gradients: &[f32],
    ) -> Gradient {
        let user = self.preferred(embedding);
        let inner = self.project_query(&user);
        let query = self.adapted_query(&user, &inner);
        let mut row_sum = vec![0.0; self.dims]; // m
        for (row, gradient) in rows.chunks_exact(self.dims).zip(logit_gradients) {
            add_scaled(&mut row_sum, *gradient, row);
        }
        let up = if self.rank > 0 { outer(&self.project_row(&row_sum), &user) } else { Vec::new() };
        Gradient { rows: outer(logit_gradients, &query), down: outer(&row_sum, &inner), up }
    }

    /// Adds the preference `w·v` to the scores of rows `v` `[scores, dims]`, which include row
    /// deltas and adapter.
    pub fn add_preference_logits(&self, rows: &[f32], scores: &mut [f32]) {
        self.preference.add_preference_logits(rows, scores);
    }

    /// One step of the preference, as in [`Preference::step`].
    pub(crate) fn step_preference(
        &mut self,
        example: Arc<PreferenceExample>,
        step: PreferenceStep,
    ) {
        self.preference.step(example, self.dims, step);
    }

    /// Counts a learning step.
    pub(crate) fn count_step(&mut self) {
        // A delta of an older version is stored in the current one from now on.
        self.version = DELTA_VERSION;
        self.steps += 1;
    }

    /// A copy with only the row deltas of `keys`: everything that a step on them reads and
    /// changes.
    pub(crate) fn subset(&self, keys: &[K]) -> Self {
        let row = |key: &K| Some((key.clone(), self.rows.get(key)?.clone()));
        Self {
            base: self.base.clone(),
            rows: keys.iter().filter_map(row).collect(),
            down: self.down.clone(),
            up: self.up.clone(),
            preference: self.preference.clone(),
            ..*self
        }
    }

    /// Merges a [`subset`](Self::subset) after a step and returns the values it replaced.
    pub(crate) fn merge(&mut self, subset: Self) -> StepUndo<K> {
        let mut rows: Vec<(K, Option<Vec<f32>>)> = Vec::with_capacity(subset.rows.len());
        for (key, row) in subset.rows {
            let before = self.rows.insert(key.clone(), row);
            rows.push((key, before));
        }
        if self.rows.len() > MAX_ROW_DELTAS {
            let mut norms: Vec<(f32, K)> =
                self.rows.iter().map(|(key, row)| (dot(row, row), key.clone())).collect();
            norms.sort_by(|a, b| a.0.total_cmp(&b.0));
            let surplus = norms.len() - MAX_ROW_DELTAS * 3 / 4;
            for (_, key) in norms.into_iter().take(surplus) {
                let row = self.rows.remove(&key);
                rows.push((key, row));
            }
        }
        StepUndo {
            version: std::mem::replace(&mut self.version, subset.version),
            steps: std::mem::replace(&mut self.steps, subset.steps),
            down: std::mem::replace(&mut self.down, subset.down),
            up: std::mem::replace(&mut self.up, subset.up),
            preference: std::mem::replace(&mut self.preference, subset.preference),
            rows,
        }
    }

    /// Reverts a learning step. Several steps must be reverted newest first.
    pub fn revert(&mut self, undo: StepUndo<K>) {
        let StepUndo { version, steps, rows, down, up, preference } = undo;
        for (key, row) in rows.into_iter().rev() {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        (self.version, self.steps) = (version, steps);
        (self.down, self.up, self.preference) = (down, up, preference);
    }

    /// One step of gradient descent on the row deltas of `keys` and the adapter:
    /// `θ ← (1 − rate·decay)·θ − rate·gradient`. `P` does not decay.
    pub(crate) fn apply_gradient(&mut self, keys: &[K], gradient: &Gradient, step: &LearningRates) {
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

/// The values that a learning step replaced, for [`PersonalDelta::revert`].
#[derive(Clone, Debug, PartialEq)]
pub struct StepUndo<K: RowKey> {
    version: u32,
    steps: u64,
    /// In the order of the changes; `None` for items that had no row delta.
    rows: Vec<(K, Option<Vec<f32>>)>,
    down: Vec<f32>,
    up: Vec<f32>,
    preference: Preference,
}

/// Gradient of a loss with respect to row deltas, `P` and `Q`, in their layouts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gradient {
    pub(crate) rows: Vec<f32>,
    pub(crate) down: Vec<f32>,
    pub(crate) up: Vec<f32>,
}

impl Gradient {
    /// Euclidean norm over all parts.
    pub(crate) fn norm(&self) -> f32 {
        [&self.rows, &self.down, &self.up].map(|part| dot(part, part)).iter().sum::<f32>().sqrt()
    }

    /// Scales the gradient so that its norm is at most `max_norm`.
    pub(crate) fn clip_norm(&mut self, max_norm: f32) {
        let norm = self.norm();
        if norm > max_norm {
            for value in [&mut self.rows, &mut self.down, &mut self.up].into_iter().flatten() {
                *value *= max_norm / norm;
            }
        }
    }
}

/// Learning rates and weight decay of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LearningRates {
    pub(crate) rows: f32,
    pub(crate) adapter: f32,
    pub(crate) decay: f32,
}

#[cfg(test)]
mod tests;
