use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::{
    ModelError,
    preference::{Preference, PreferenceExample, PreferenceStep},
    products::{add_scaled, dot, outer},
};

/// Version of a stored delta; a newer one is refused.
pub const DELTA_VERSION: u32 = 2;

/// Items with a delta of their own, at most: 64 KiB of 64 dimensions. Of more the shortest
/// quarter, which changes least, is given up.
pub const MAX_ROW_DELTAS: usize = 256;

/// What names an item in a [`PersonalDelta`]: the shop's id on a device.
pub trait RowKey: Clone + Ord + Debug {}
impl<K: Clone + Ord + Debug> RowKey for K {}

/// What one visitor's clicks have taught, beside shared weights that never change.
///
/// Three parts, all plain numbers in host memory (a few KiB), so that they can be undone,
/// exported and erased without touching the model. All of them act on the candidates' side of
/// the score, behind the network:
///
/// - a **preference** `w` `[dims]` that adds `w·v` to the score of a candidate row `v`: what
///   the visitor is after right now, learnt from the last clicks and soon forgotten;
/// - **row deltas** `δ_i`, only for items that were learnt from: as a candidate, item `i` is
///   read as `e_i + δ_i`;
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

    /// Items with a delta of their own, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.rows.keys()
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

    /// Applies the adapter to rows of candidates `[n, dims]`.
    pub fn adapt(&self, rows: &mut [f32]) {
        if self.rank == 0 || self.steps == 0 {
            return;
        }
        let down = self.directions();
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

    /// `Pᵀ` `[rank, dims]`: of many rows a product with it is faster than with `P`.
    fn directions(&self) -> Vec<f32> {
        let column = |at: usize| self.down.iter().skip(at).step_by(self.rank).copied();
        (0..self.rank).flat_map(column).collect()
    }

    /// `v·P` of a row `v`: `[rank]`.
    fn inner(&self, row: &[f32]) -> Vec<f32> {
        let mut inner = vec![0.0; self.rank];
        for (value, down) in row.iter().zip(self.down.chunks_exact(self.rank)) {
            add_scaled(&mut inner, *value, down);
        }
        inner
    }

    /// The vector `q̃` `[dims]` with which a candidate of effective row `v = e + δ` scores
    /// `q̃·v`, for a model that scores by a dot product with `embedding` `u` `[dims]`: with
    /// `q = u + w` it is `q + P·(Q·q)`.
    #[must_use]
    pub fn query(&self, embedding: &[f32]) -> Vec<f32> {
        let user = self.user(embedding);
        self.query_of(&user, &self.inner_of(&user))
    }

    /// `q = u + w`.
    fn user(&self, embedding: &[f32]) -> Vec<f32> {
        let mut user = embedding.to_vec();
        add_scaled(&mut user, 1.0, &self.preference.vector);
        user
    }

    /// `Q·q`: `[rank]`.
    fn inner_of(&self, user: &[f32]) -> Vec<f32> {
        self.up.chunks_exact(self.dims).map(|up| dot(up, user)).collect()
    }

    /// `q + P·inner`.
    fn query_of(&self, user: &[f32], inner: &[f32]) -> Vec<f32> {
        let mut query = user.to_vec();
        if self.rank > 0 {
            for (value, down) in query.iter_mut().zip(self.down.chunks_exact(self.rank)) {
                *value += dot(down, inner);
            }
        }
        query
    }

    /// Gradient of a loss by this delta's rows and adapter, for a model that scores by a dot
    /// product with `embedding`: `rows` `[candidates, dims]` are effective, and `logit_gradients` holds
    /// the loss's derivative by each of their scores.
    ///
    /// The score of row `v` is `(v + (v·P)·Q)·q`. With `g` the logit_gradients and `m = Σ g_c·v_c`:
    /// `∂/∂v_c = g_c·q̃`, `∂/∂P = m ⊗ (Q·q)`, `∂/∂Q = (m·P) ⊗ q`.
    pub(crate) fn gradient(
        &self,
        embedding: &[f32],
        rows: &[f32],
        logit_gradients: &[f32],
    ) -> Gradient {
        let user = self.user(embedding);
        let inner = self.inner_of(&user);
        let query = self.query_of(&user, &inner);
        let mut pulled = vec![0.0; self.dims]; // m
        for (row, gradient) in rows.chunks_exact(self.dims).zip(logit_gradients) {
            add_scaled(&mut pulled, *gradient, row);
        }
        let up = if self.rank > 0 { outer(&self.inner(&pulled), &user) } else { Vec::new() };
        Gradient { rows: outer(logit_gradients, &query), down: outer(&pulled, &inner), up }
    }

    /// Adds to `scores` what the preference says of the candidates' effective rows
    /// `[scores, dims]`, deltas and adapter applied.
    pub fn add_preference_logits(&self, rows: &[f32], scores: &mut [f32]) {
        self.preference.add_preference_logits(rows, scores);
    }

    /// One step of the preference; see [`Preference::step`].
    pub(crate) fn prefer(&mut self, example: Arc<PreferenceExample>, step: PreferenceStep) {
        self.preference.step(example, self.dims, step);
    }

    /// Notes that a learning step was taken.
    pub(crate) fn count_step(&mut self) {
        // What was stored by the first version is from now on of this one.
        self.version = DELTA_VERSION;
        self.steps += 1;
    }

    /// The delta with the rows of `keys` alone: all that a step on them reads and changes,
    /// whatever else was learnt.
    pub(crate) fn part(&self, keys: &[K]) -> Self {
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

    /// Takes a [`part`](Self::part) back in after a step, and returns what it replaced.
    pub(crate) fn replace(&mut self, part: Self) -> StepUndo<K> {
        let mut rows: Vec<(K, Option<Vec<f32>>)> = Vec::with_capacity(part.rows.len());
        for (key, row) in part.rows {
            let before = self.rows.insert(key.clone(), row);
            rows.push((key, before));
        }
        if self.rows.len() > MAX_ROW_DELTAS {
            let mut lengths: Vec<(f32, K)> =
                self.rows.iter().map(|(key, row)| (dot(row, row), key.clone())).collect();
            lengths.sort_by(|a, b| a.0.total_cmp(&b.0));
            let surplus = lengths.len() - MAX_ROW_DELTAS * 3 / 4;
            for (_, key) in lengths.into_iter().take(surplus) {
                let row = self.rows.remove(&key);
                rows.push((key, row));
            }
        }
        StepUndo {
            version: std::mem::replace(&mut self.version, part.version),
            steps: std::mem::replace(&mut self.steps, part.steps),
            down: std::mem::replace(&mut self.down, part.down),
            up: std::mem::replace(&mut self.up, part.up),
            preference: std::mem::replace(&mut self.preference, part.preference),
            rows,
        }
    }

    /// Undoes a learning step: afterwards the delta is as it was before it. Of several steps
    /// the newest is to be undone first.
    pub fn revert(&mut self, replaced: StepUndo<K>) {
        let StepUndo { version, steps, rows, down, up, preference } = replaced;
        for (key, row) in rows.into_iter().rev() {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        (self.version, self.steps) = (version, steps);
        (self.down, self.up, self.preference) = (down, up, preference);
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

/// What a learning step replaced: enough to take it back
/// ([`PersonalDelta::revert`]), and no more than the step has touched.
#[derive(Clone, Debug, PartialEq)]
pub struct StepUndo<K: RowKey> {
    version: u32,
    steps: u64,
    /// In the order of the changes; `None` of items that had no delta.
    rows: Vec<(K, Option<Vec<f32>>)>,
    down: Vec<f32>,
    up: Vec<f32>,
    preference: Preference,
}

/// Gradients of a loss with respect to a delta's parts, in their layouts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gradient {
    pub(crate) rows: Vec<f32>,
    pub(crate) down: Vec<f32>,
    pub(crate) up: Vec<f32>,
}

impl Gradient {
    /// Euclidean length over all parts.
    pub(crate) fn norm(&self) -> f32 {
        [&self.rows, &self.down, &self.up].map(|part| dot(part, part)).iter().sum::<f32>().sqrt()
    }

    /// Scales a gradient longer than `max_norm` down to it.
    pub(crate) fn shorten(&mut self, max_norm: f32) {
        let norm = self.norm();
        if norm > max_norm {
            for value in [&mut self.rows, &mut self.down, &mut self.up].into_iter().flatten() {
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
mod tests;
