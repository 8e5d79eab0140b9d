use std::iter;

use burn::{
    Tensor,
    tensor::{TensorData, activation},
};
use rand::{Rng, RngExt};
use tandem_model::ModelError;

use crate::{
    batch::Batch,
    full_softmax::full_softmax,
    sequence_model::{Candidates, SequenceModel, indices},
    vocabulary::BatchVocabulary,
};

/// The loss at each position, for the next item as the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Cross-entropy over the whole catalogue: the most accurate loss if memory and time
    /// allow it (Klenitskiy & Vasilev, `RecSys` 2023).
    FullSoftmax,
    /// Cross-entropy over the target and uniformly sampled negatives shared by the batch; its
    /// cost does not grow with the catalogue.
    SampledSoftmax {
        /// Negatives sampled per batch.
        negatives: usize,
    },
    /// Binary cross-entropy of the target and uniformly sampled negatives (LSC4Rec §4.1;
    /// SASRec eq. 7 samples one).
    BinaryCrossEntropy {
        /// Negatives sampled per position.
        negatives: usize,
    },
}

/// A batch with its sampled negatives, as indices into its [`BatchVocabulary`].
pub(crate) struct Plan {
    objective: Objective,
    pub(crate) vocabulary: BatchVocabulary,
    /// Inputs, as indices into the rows that are read.
    pub(crate) inputs: Vec<u32>,
    /// Targets and negatives, as indices into the rows that are scored.
    targets: Vec<u32>,
    negatives: Vec<u32>,
}

impl Plan {
    /// Samples the negatives of a batch; `tied` models read and score with the same rows.
    pub(crate) fn new(
        objective: Objective,
        batch: &Batch,
        items: usize,
        tied: bool,
        rng: &mut impl Rng,
    ) -> Self {
        let mut vocabulary = BatchVocabulary::new(tied);
        let mut draw = |count: usize| -> Vec<u32> {
            (0..count).map(|_| rng.random_range(0..items as u32)).collect()
        };
        let negatives = match objective {
            Objective::FullSoftmax => {
                // First, so that an index is a position in the catalogue.
                vocabulary.add_scored(&(0..items as u32).collect::<Vec<_>>());
                Vec::new()
            }
            Objective::SampledSoftmax { negatives } => draw(negatives),
            Objective::BinaryCrossEntropy { negatives } => draw(negatives * batch.targets.len()),
        };
        let inputs = vocabulary.add_read(&batch.inputs);
        let targets = vocabulary.add_scored(&batch.targets);
        let negatives = vocabulary.add_scored(&negatives);
        Self { objective, vocabulary, inputs, targets, negatives }
    }

    /// Mean loss per position, `[1]`, in nats. `rows` `[rows, dims]` are the scored rows of
    /// the vocabulary; `model` encodes `histories` `[batch, length, dims]` and scores after
    /// `positions`.
    ///
    /// # Errors
    /// [`ModelError::Config`] for the full softmax and a model whose logits are no dot products.
    pub(crate) fn loss(
        &self,
        rows: Tensor<2>,
        model: &impl SequenceModel,
        (histories, positions): (Tensor<3>, &[u32]),
    ) -> Result<Tensor<1>, ModelError> {
        match self.objective {
            Objective::FullSoftmax => {
                let states = model.states(histories, positions).ok_or_else(no_full_softmax)?;
                Ok(full_softmax(states, rows, &self.targets))
            }
            Objective::SampledSoftmax { .. } => {
                let candidates = self.sampled(&rows);
                let logits = model.score(histories, positions, candidates);
                Ok(self.sampled_softmax(logits))
            }
            Objective::BinaryCrossEntropy { negatives } => {
                let candidates = self.drawn(&rows, negatives);
                Ok(binary_cross_entropy(model.score(histories, positions, candidates)))
            }
        }
    }

    /// The target and the shared negatives of each position.
    fn sampled(&self, rows: &Tensor<2>) -> Candidates {
        let [_, dims] = rows.dims();
        let own = select(rows, &self.targets).reshape([self.targets.len(), 1, dims]);
        Candidates::Both(own, select(rows, &self.negatives))
    }

    /// Mean cross-entropy of logits `[positions, 1 + negatives]`, the target first.
    fn sampled_softmax(&self, logits: Tensor<2>) -> Tensor<1> {
        let (shape, device) = ([self.targets.len(), 1 + self.negatives.len()], logits.device());
        // A sampled item equal to the target is masked. The first column holds the target itself
        // and gets an index that no item has.
        let columns: Vec<u32> =
            iter::once(u32::MAX).chain(self.negatives.iter().copied()).collect();
        let columns = indices(&columns, &device).reshape([1, shape[1]]).expand(shape);
        let targets = indices(&self.targets, &device).reshape([shape[0], 1]).expand(shape);
        cross_entropy(logits.mask_fill(targets.equal(columns), -1e9))
    }

    /// The target and the negatives of each position's own.
    fn drawn(&self, rows: &Tensor<2>, negatives: usize) -> Candidates {
        let [_, dims] = rows.dims();
        let drawn = self.negatives.chunks_exact(negatives);
        let candidates: Vec<u32> = (self.targets.iter().zip(drawn))
            .flat_map(|(target, drawn)| iter::once(target).chain(drawn))
            .copied()
            .collect();
        let own = select(rows, &candidates);
        Candidates::Own(own.reshape([self.targets.len(), 1 + negatives, dims]))
    }
}

/// Rows at these indices.
fn select(rows: &Tensor<2>, at: &[u32]) -> Tensor<2> {
    rows.clone().select(0, indices(at, &rows.device()))
}

/// The error of a full softmax over logits that are no dot products.
pub(crate) fn no_full_softmax() -> ModelError {
    ModelError::Config(
        "DIN encodes the history separately for each candidate and cannot be trained with the \
         full softmax; use binary cross-entropy or the sampled softmax"
            .into(),
    )
}

/// Mean cross-entropy of the first column of `logits` `[n, candidates]`: `[1]`, in nats.
pub(crate) fn cross_entropy(logits: Tensor<2>) -> Tensor<1> {
    activation::log_softmax(logits, 1).narrow(1, 0, 1).mean().neg()
}

/// Mean binary cross-entropy of `logits` `[n, candidates]` with a positive first column and
/// negative other columns: `[1]`, in nats.
pub(crate) fn binary_cross_entropy(logits: Tensor<2>) -> Tensor<1> {
    let [_, candidates] = logits.dims();
    let signs: Vec<f32> = (0..candidates).map(|at| if at == 0 { 1.0 } else { -1.0 }).collect();
    let signs = Tensor::from_data(TensorData::new(signs, [1, candidates]), &logits.device());
    activation::log_sigmoid(logits * signs).mean().neg()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn plan(objective: Objective) -> Plan {
        let batch = Batch::new(&[&[3, 1, 2]], 5, None).unwrap();
        Plan::new(objective, &batch, 4, true, &mut StdRng::seed_from_u64(1))
    }

    /// Scored rows in one dimension, each with its item's number, and two positions with the hidden
    /// states 1 and -0.5 and the targets 1 and 2.
    fn rows_and_states(plan: &Plan) -> (Tensor<2>, Tensor<2>) {
        let device = Device::flex();
        let rows: Vec<f32> = plan.vocabulary.scored().iter().map(|&id| id as f32).collect();
        let count = rows.len();
        let rows = Tensor::from_data(TensorData::new(rows, [count, 1]), &device);
        (rows, Tensor::from_data(TensorData::new(vec![1.0_f32, -0.5], [2, 1]), &device))
    }

    #[test]
    fn full_softmax_is_the_mean_cross_entropy() {
        // Logits 0, 1, 2, 3 with target 1 and 0, -0.5, -1, -1.5 with target 2.
        let cross_entropy = |logits: [f32; 4], target: usize| {
            logits.iter().map(|logit| logit.exp()).sum::<f32>().ln() - logits[target]
        };
        let expected = f32::midpoint(
            cross_entropy([0.0, 1.0, 2.0, 3.0], 1),
            cross_entropy([0.0, -0.5, -1.0, -1.5], 2),
        );
        let plan = plan(Objective::FullSoftmax);
        let (rows, states) = rows_and_states(&plan);
        let loss = full_softmax(states, rows, &plan.targets).into_scalar::<f32>();
        assert!((loss - expected).abs() < 1e-5);
    }

    #[test]
    fn sampled_softmax_masks_a_sampled_target() {
        let plan = plan(Objective::SampledSoftmax { negatives: 6 });
        let drawn: Vec<u32> =
            plan.negatives.iter().map(|&at| plan.vocabulary.scored()[at as usize]).collect();
        let cross_entropy = |hidden: f32, target: u32| {
            let others = drawn.iter().filter(|&&item| item != target);
            let sum: f32 = others.map(|&item| (hidden * item as f32).exp()).sum();
            let own = hidden * target as f32;
            (sum + own.exp()).ln() - own
        };
        let expected = f32::midpoint(cross_entropy(1.0, 1), cross_entropy(-0.5, 2));
        let (rows, states) = rows_and_states(&plan);
        let loss = plan.sampled_softmax(plan.sampled(&rows).dot(states));
        assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-5, "{drawn:?}");
    }

    #[test]
    fn binary_cross_entropy_is_the_mean_over_targets_and_negatives() {
        let plan = plan(Objective::BinaryCrossEntropy { negatives: 2 });
        let drawn: Vec<f32> =
            plan.negatives.iter().map(|&at| plan.vocabulary.scored()[at as usize] as f32).collect();
        let softplus = |x: f32| (1.0 + x.exp()).ln();
        let expected = (softplus(-1.0) + softplus(1.0) // −ln σ(1·1), −ln σ(−0.5·2)
            + softplus(drawn[0]) + softplus(drawn[1])
            + softplus(-0.5 * drawn[2]) + softplus(-0.5 * drawn[3]))
            / 6.0;
        let (rows, states) = rows_and_states(&plan);
        let loss = binary_cross_entropy(plan.drawn(&rows, 2).dot(states));
        assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-5);
    }

    #[test]
    fn a_sampled_plan_uses_few_rows_of_a_large_catalogue() {
        let batch = Batch::new(&[&[900_000, 7], &[7, 7, 8]], 5, None).unwrap();
        let objective = Objective::SampledSoftmax { negatives: 10 };
        let plan = Plan::new(objective, &batch, 1_000_000, true, &mut StdRng::seed_from_u64(1));
        // Padding (item 0), 900000, 7, 8 and at most ten sampled items.
        assert!(plan.vocabulary.scored().len() <= 14, "{:?}", plan.vocabulary.scored());
        let inputs: Vec<u32> =
            plan.inputs.iter().map(|&at| plan.vocabulary.scored()[at as usize]).collect();
        assert_eq!(inputs, [900_000, 0, 7, 7]);
    }

    #[test]
    fn untied_models_gather_read_and_scored_rows_separately() {
        let batch = Batch::new(&[&[5, 7, 8]], 5, None).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let sampled = Objective::SampledSoftmax { negatives: 1 };
        let plan = Plan::new(sampled, &batch, 9, false, &mut rng);
        assert_eq!(plan.vocabulary.read(), [5, 7]);
        assert_eq!(plan.vocabulary.scored()[..2], [7, 8]);
        let plan = Plan::new(Objective::FullSoftmax, &batch, 9, false, &mut rng);
        assert_eq!((plan.vocabulary.read(), plan.vocabulary.scored().len()), (&[5, 7][..], 9));
    }
}
