use std::collections::HashMap;

use burn::{
    Tensor,
    tensor::{Device, activation},
};
use rand::{Rng, RngExt};

use super::batch::Batch;
use crate::scorer::indices;

/// What is minimised at every position, for the item that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Cross-entropy over the whole catalogue: the strongest where memory and time allow it
    /// (Klenitskiy & Vasilev, `RecSys` 2023).
    FullSoftmax,
    /// Cross-entropy over the target and so many items drawn uniformly for the batch; its
    /// cost does not grow with the catalogue.
    SampledSoftmax {
        /// Items drawn for a batch.
        negatives: usize,
    },
    /// Binary cross-entropy of the target and so many uniform negatives a position: the
    /// paper's (LSC4Rec §4.1; SASRec eq. 7 draws one).
    BinaryCrossEntropy {
        /// Negatives a position.
        negatives: usize,
    },
}

/// A batch over the rows it touches: which they are, and where in them everything is.
pub(super) struct Plan {
    objective: Objective,
    /// Distinct items whose rows take part.
    pub(super) rows: Vec<u32>,
    /// Inputs, as places in `rows`.
    pub(super) inputs: Vec<u32>,
    targets: Vec<u32>,
    negatives: Vec<u32>,
}

impl Plan {
    pub(super) fn new(
        objective: Objective,
        batch: &Batch,
        items: usize,
        rng: &mut impl Rng,
    ) -> Self {
        let mut draw = |count: usize| -> Vec<u32> {
            (0..count).map(|_| rng.random_range(0..items as u32)).collect()
        };
        let negatives = match objective {
            Objective::FullSoftmax => {
                let rows = (0..items as u32).collect();
                let (inputs, targets) = (batch.inputs.clone(), batch.targets.clone());
                return Self { objective, rows, inputs, targets, negatives: Vec::new() };
            }
            Objective::SampledSoftmax { negatives } => draw(negatives),
            Objective::BinaryCrossEntropy { negatives } => draw(negatives * batch.targets.len()),
        };
        let mut rows = Vec::new();
        let mut places = HashMap::new();
        let mut place = |items: &[u32]| -> Vec<u32> {
            let place = |item: &u32| {
                *places.entry(*item).or_insert_with(|| {
                    rows.push(*item);
                    rows.len() as u32 - 1
                })
            };
            items.iter().map(place).collect()
        };
        let inputs = place(&batch.inputs);
        let targets = place(&batch.targets);
        let negatives = place(&negatives);
        Self { objective, rows, inputs, targets, negatives }
    }

    /// Mean loss a position, `[1]`, in nats: of `hidden` `[positions, dims]` and the plan's
    /// `rows` `[rows, dims]`.
    pub(super) fn loss(&self, hidden: Tensor<2>, rows: Tensor<2>, device: &Device) -> Tensor<1> {
        let [positions, dims] = hidden.dims();
        let targets = || indices(&self.targets, device);
        match self.objective {
            Objective::FullSoftmax => {
                let logits = hidden.matmul(rows.transpose()); // [positions, items]
                let targets = targets().reshape([positions, 1]);
                activation::log_softmax(logits, 1).gather(1, targets).mean().neg()
            }
            Objective::SampledSoftmax { negatives } => {
                let target_rows = rows.clone().select(0, targets()); // [positions, dims]
                let positive = (hidden.clone() * target_rows).sum_dim(1); // [positions, 1]
                let drawn = rows.select(0, indices(&self.negatives, device));
                let negative = hidden.matmul(drawn.transpose()); // [positions, negatives]
                // A drawn item that is the target itself is no negative.
                let own = targets().reshape([positions, 1]).expand([positions, negatives]);
                let drawn = indices(&self.negatives, device).reshape([1, negatives]);
                let hit = own.equal(drawn.expand([positions, negatives]));
                let logits = Tensor::cat(vec![positive, negative.mask_fill(hit, -1e9)], 1);
                activation::log_softmax(logits, 1).slice([0..positions, 0..1]).mean().neg()
            }
            Objective::BinaryCrossEntropy { negatives } => {
                let target_rows = rows.clone().select(0, targets());
                let positive = (hidden.clone() * target_rows).sum_dim(1); // [positions, 1]
                let drawn = rows.select(0, indices(&self.negatives, device));
                let drawn = drawn.reshape([positions, negatives, dims]);
                let negative = drawn
                    .matmul(hidden.reshape([positions, dims, 1])) // [positions, negatives, 1]
                    .reshape([positions, negatives]);
                let loss = activation::log_sigmoid(positive).sum()
                    + activation::log_sigmoid(negative.neg()).sum();
                loss.neg() / (positions * (1 + negatives)) as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn plan(objective: Objective) -> Plan {
        let batch = Batch::new(&[&[3, 1, 2]], 5).unwrap();
        Plan::new(objective, &batch, 4, &mut StdRng::seed_from_u64(1))
    }

    /// Two positions with targets 1 and 2; hidden states and rows in one dimension.
    fn loss(plan: &Plan) -> f32 {
        let device = Device::flex();
        let rows: Vec<f32> = plan.rows.iter().map(|&id| id as f32).collect();
        let count = rows.len();
        let rows = Tensor::from_data(TensorData::new(rows, [count, 1]), &device);
        let hidden = Tensor::from_data(TensorData::new(vec![1.0_f32, -0.5], [2, 1]), &device);
        plan.loss(hidden, rows, &device).into_scalar::<f32>()
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
        assert!((loss(&plan(Objective::FullSoftmax)) - expected).abs() < 1e-5);
    }

    #[test]
    fn sampled_softmax_leaves_out_the_target_when_it_is_drawn() {
        let plan = plan(Objective::SampledSoftmax { negatives: 6 });
        let drawn: Vec<u32> = plan.negatives.iter().map(|&at| plan.rows[at as usize]).collect();
        let cross_entropy = |hidden: f32, target: u32| {
            let others = drawn.iter().filter(|&&item| item != target);
            let sum: f32 = others.map(|&item| (hidden * item as f32).exp()).sum();
            let own = hidden * target as f32;
            (sum + own.exp()).ln() - own
        };
        let expected = f32::midpoint(cross_entropy(1.0, 1), cross_entropy(-0.5, 2));
        assert!((loss(&plan) - expected).abs() < 1e-5, "{drawn:?}");
    }

    #[test]
    fn binary_cross_entropy_is_the_mean_over_targets_and_negatives() {
        let plan = plan(Objective::BinaryCrossEntropy { negatives: 2 });
        let drawn: Vec<f32> =
            plan.negatives.iter().map(|&at| plan.rows[at as usize] as f32).collect();
        let softplus = |x: f32| (1.0 + x.exp()).ln();
        let expected = (softplus(-1.0) + softplus(1.0) // −ln σ(1·1), −ln σ(−0.5·2)
            + softplus(drawn[0]) + softplus(drawn[1])
            + softplus(-0.5 * drawn[2]) + softplus(-0.5 * drawn[3]))
            / 6.0;
        assert!((loss(&plan) - expected).abs() < 1e-5);
    }

    #[test]
    fn a_sampled_plan_touches_few_rows_of_a_large_catalogue() {
        let batch = Batch::new(&[&[900_000, 7], &[7, 7, 8]], 5).unwrap();
        let objective = Objective::SampledSoftmax { negatives: 10 };
        let plan = Plan::new(objective, &batch, 1_000_000, &mut StdRng::seed_from_u64(1));
        // Padding is item 0; beside it 900000, 7, 8 and at most ten that were drawn.
        assert!(plan.rows.len() <= 14, "{:?}", plan.rows);
        let inputs: Vec<u32> = plan.inputs.iter().map(|&at| plan.rows[at as usize]).collect();
        assert_eq!(inputs, [900_000, 0, 7, 7]);
    }
}
