use std::borrow::Cow;

use burn::{
    grad_clipping::GradientClippingConfig,
    optim::{AdamWConfig, GradientsAccumulator, ModuleOptimizer},
    tensor::Device,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use tandem_model::{ItemTable, ModelError};

use crate::{
    Objective, SequenceModel, Snapshot,
    average::Average,
    batch::Batch,
    device::is_cpu,
    gradients::{Leaves, PartGradients, RowValues},
    lazy_adam::LazyAdamEmbedding,
    objective::{Plan, no_full_softmax},
    part::{self, Part},
    text_part::{TextFeatures, TextPart},
    vocabulary::BatchVocabulary,
};

/// Largest number of parts of a batch on a CPU. A constant, so that a seed gives the same model on
/// every machine.
const PARTS: usize = 4;
/// Fewest windows of a part.
const MIN_PART: usize = 8;
/// Values of an item table above which a full softmax is not divided.
const MAX_TABLE_OF_PARTS: usize = 1 << 22;

/// Settings of the optimisers and the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    /// The loss.
    pub objective: Objective,
    /// Decoupled weight decay of `AdamW` on the network.
    pub weight_decay: f32,
    /// Decoupled weight decay on the item rows.
    pub row_decay: f32,
    /// Standard deviation of the initial item rows.
    pub row_std: f32,
    /// Whether the output matrix is separate from the input rows (untied weights).
    pub untied: bool,
    /// Number of newest items of a window that are targets; all but the first if absent.
    pub newest_targets: Option<usize>,
    /// Seed of initial weights, sampling and dropout.
    pub seed: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            objective: Objective::FullSoftmax,
            weight_decay: 0.01,
            row_decay: 0.01,
            row_std: 0.05,
            untied: false,
            newest_targets: None,
            seed: 7,
        }
    }
}

/// Learning rates of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of the network.
    pub network: f64,
    /// Of the item rows.
    pub rows: f64,
}

/// A model, its item table and their optimiser states.
pub struct Trainer<M: SequenceModel> {
    pub(crate) model: M,
    pub(crate) items: LazyAdamEmbedding,
    /// The output rows of an untied model.
    pub(crate) output: Option<LazyAdamEmbedding>,
    pub(crate) text: Option<TextPart>,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) average: Option<Average<M>>,
    pub(crate) config: TrainingConfig,
    pub(crate) dims: usize,
    pub(crate) max_length: usize,
    pub(crate) device: Device,
    /// Largest number of parts of a batch.
    parts: usize,
    /// Steps taken.
    pub(crate) steps: u64,
}

impl<M: SequenceModel> std::fmt::Debug for Trainer<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<M: SequenceModel> Trainer<M> {
    /// A trainer for the network that `build` creates on `device` with autodiff, with random
    /// item rows `[items, dims]`, for windows of at most `max_length` inputs.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without items, [`ModelError::Config`] for an objective that the
    /// model does not support; the error of `build`.
    pub fn new(
        build: impl FnOnce(&Device) -> Result<M, ModelError>,
        (items, dims): (usize, usize),
        max_length: usize,
        config: TrainingConfig,
        device: &Device,
    ) -> Result<Self, ModelError> {
        if items == 0 {
            return Err(ModelError::Empty("the catalogue"));
        }
        let mut rng = step_rng(config.seed, 0, device);
        // A GPU computes a whole batch at once.
        let parts = if is_cpu(device) { PARTS } else { 1 };
        let device = device.clone().autodiff();
        let model = build(&device)?;
        if config.objective == Objective::FullSoftmax && !model.is_dot_product() {
            return Err(no_full_softmax());
        }
        let mut rows = || LazyAdamEmbedding::random(items, dims, config.row_std, &mut rng);
        let (items, output) = (rows(), config.untied.then(&mut rows));
        let optimizer = AdamWConfig::new()
            .with_weight_decay(config.weight_decay)
            .with_epsilon(1e-8)
            .with_beta_2(0.98)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(5.0)))
            .init();
        Ok(Self {
            model,
            items,
            output,
            text: None,
            optimizer,
            average: None,
            config,
            dims,
            max_length,
            device,
            parts,
            steps: 0,
        })
    }

    /// Adds a learnt projection of text vectors to every row, input and output.
    ///
    /// # Errors
    /// [`ModelError::Length`] if there is not one vector for each item.
    pub fn set_text(&mut self, features: TextFeatures) -> Result<(), ModelError> {
        let (expected, found) = (self.items.len(), features.known.len());
        if found != expected {
            return Err(ModelError::Length { what: "items with text", expected, found });
        }
        let mut rng = step_rng(self.config.seed, u64::MAX, &self.device);
        let (size, tied) = ((self.dims, self.config.row_std), self.output.is_none());
        self.text = Some(TextPart::new(features, size, tied, &mut rng, &self.device)?);
        Ok(())
    }

    /// Starts from these input rows and, for an untied model, output rows instead of random
    /// ones; both `[items, dims]`.
    ///
    /// # Errors
    /// [`ModelError::Length`] if either size differs.
    pub fn set_initial_rows(&mut self, rows: &[f32], output: &[f32]) -> Result<(), ModelError> {
        let expected = self.items.len() * self.dims;
        for found in [rows.len(), output.len()] {
            if found != expected {
                return Err(ModelError::Length { what: "initial item rows", expected, found });
            }
        }
        self.items = LazyAdamEmbedding::new(rows.to_vec(), self.dims);
        if self.output.is_some() {
            self.output = Some(LazyAdamEmbedding::new(output.to_vec(), self.dims));
        }
        if let Some(text) = &mut self.text {
            text.set_zero(self.dims);
        }
        Ok(())
    }

    /// One optimiser step on a batch of windows; returns the mean loss per position, in nats.
    ///
    /// A window is 2 to `max_length + 1` consecutive items of one user, as positions in the
    /// catalogue; each item is an input for the prediction of the next. Parts of the batch are
    /// computed on threads of their own, and their gradients are added.
    ///
    /// # Errors
    /// [`ModelError::Length`] for a window of another length, [`ModelError::Device`] if the
    /// device fails.
    pub fn step(&mut self, windows: &[&[u32]], rates: Rates) -> Result<f32, ModelError> {
        let (objective, tied) = (self.config.objective, self.output.is_none());
        let batches: Vec<Batch> = windows
            .chunks(windows.len().div_ceil(self.parts_of(windows.len())).max(1))
            .map(|part| Batch::new(part, self.max_length, self.config.newest_targets))
            .collect::<Result<_, _>>()?;
        self.steps += 1;
        let mut rng = step_rng(self.config.seed, self.steps, &self.device);
        let (vocabulary, plans) =
            Plan::of_parts(objective, &batches, self.items.len(), tied, &mut rng);
        let values = self.row_values(&vocabulary);
        let positions: usize = plans.iter().map(|plan| plan.targets.len()).sum();
        let parts: Vec<Part<M>> = batches
            .into_iter()
            .zip(plans)
            .map(|(batch, plan)| Part {
                model: self.model.clone().fork(&self.device),
                leaves: self.leaves(&values, &vocabulary, &mut rng),
                share: plan.targets.len() as f64 / positions as f64,
                dropout_seed: rng.next_u64(),
                batch,
                plan,
            })
            .collect();
        let gradients = part::gradients(parts, self.dims, &self.device)?;
        self.descend(gradients, &vocabulary, rates)
    }

    /// Number of parts of a batch with this many windows.
    fn parts_of(&self, windows: usize) -> usize {
        let table = match self.config.objective {
            Objective::FullSoftmax => self.items.len() * self.dims,
            _ => 0,
        };
        // Each part has gradients for all rows that are scored.
        if table > MAX_TABLE_OF_PARTS { 1 } else { (windows / MIN_PART).clamp(1, self.parts) }
    }

    /// Values of the rows of a batch.
    pub(crate) fn row_values(&mut self, vocabulary: &BatchVocabulary) -> RowValues {
        let text = self.text.as_mut();
        let (mut read_projection, mut scored_projection) = (None, None);
        if let Some(text) = text {
            read_projection = Some(text.read.gather(&text.all_dimensions));
            scored_projection =
                text.scored.as_mut().map(|scored| scored.gather(&text.all_dimensions));
        }
        RowValues {
            read: self.items.gather(vocabulary.read()),
            scored: self.output.as_mut().map(|output| output.gather(vocabulary.scored())),
            read_projection,
            scored_projection,
        }
    }

    /// The rows of a batch, as tensors that record gradients.
    pub(crate) fn leaves(
        &self,
        values: &RowValues,
        vocabulary: &BatchVocabulary,
        rng: &mut impl Rng,
    ) -> Leaves {
        Leaves::new(values, self.text.as_ref(), (vocabulary, self.dims), rng, &self.device)
    }

    /// One step of both optimisers on the sum of the losses of the parts; returns its value.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without a part.
    pub(crate) fn descend(
        &mut self,
        parts: Vec<PartGradients>,
        vocabulary: &BatchVocabulary,
        rates: Rates,
    ) -> Result<f32, ModelError> {
        let mut parts = parts.into_iter();
        let mut sum = parts.next().ok_or(ModelError::Empty("a batch"))?;
        let mut network = GradientsAccumulator::new();
        network.accumulate(&self.model, std::mem::take(&mut sum.network));
        for mut part in parts {
            sum.add_rows(&part);
            network.accumulate(&self.model, std::mem::take(&mut part.network));
        }
        self.model = self.optimizer.step(rates.network, self.model.clone(), network.grads());
        let (rate, decay) = (rates.rows as f32, self.config.row_decay);
        self.items.step(vocabulary.read(), &sum.read.own, rate, decay);
        if let (Some(output), Some(gradients)) = (&mut self.output, &sum.scored) {
            output.step(vocabulary.scored(), &gradients.own, rate, decay);
        }
        if let Some(text) = &mut self.text {
            let rate = rates.network as f32;
            if let Some(gradient) = sum.read.projection {
                text.read.step(&text.all_dimensions, &gradient, rate, 0.0);
            }
            let of_scored = sum.scored.and_then(|gradients| gradients.projection);
            if let (Some(scored), Some(gradient)) = (&mut text.scored, of_scored) {
                scored.step(&text.all_dimensions, &gradient, rate, 0.0);
            }
        }
        Ok(sum.loss)
    }

    /// Number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Updates the moving average: `average ← average + share·(weights − average)`; the first
    /// call copies the weights. From then on [`model`](Self::model), [`rows`](Self::rows) and
    /// [`snapshot`](Self::snapshot) return the average.
    ///
    /// # Errors
    /// [`ModelError::Device`] if the device fails.
    pub fn average(&mut self, share: f32) -> Result<(), ModelError> {
        let model = self.model.valid();
        let (rows, output) = (self.current_rows(), self.current_output_rows());
        if let Some(average) = &mut self.average {
            return average.step(&model, &rows, output.as_deref(), share);
        }
        self.average = Some(Average { model, rows, output });
        Ok(())
    }

    /// The current model, for scoring histories.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<M> {
        let sizes = (self.dims, self.max_length);
        Snapshot::new(self.model(), self.rows(), self.output_rows(), sizes, &self.device)
    }

    /// [`Snapshot::score`] of the current model.
    ///
    /// # Errors
    /// As [`Snapshot::score`].
    pub fn score(&self, histories: &[&[u32]]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.snapshot().score(histories)
    }

    /// The current network, without autodiff.
    #[must_use]
    pub fn model(&self) -> M {
        self.average.as_ref().map_or_else(|| self.model.valid(), |average| average.model.clone())
    }

    /// The current item table, `[items, dims]`.
    #[must_use]
    pub fn rows(&self) -> Cow<'_, [f32]> {
        match &self.average {
            Some(average) => Cow::Borrowed(&average.rows),
            None => Cow::Owned(self.current_rows()),
        }
    }

    /// The current output rows, `[items, dims]`, of an untied model.
    #[must_use]
    pub fn output_rows(&self) -> Option<Cow<'_, [f32]>> {
        match &self.average {
            Some(average) => average.output.as_deref().map(Cow::Borrowed),
            None => self.current_output_rows().map(Cow::Owned),
        }
    }

    /// The input rows with their text part, without the moving average.
    fn current_rows(&self) -> Vec<f32> {
        let own = self.items.values();
        match &self.text {
            Some(text) => text.finish(own, &text.read),
            None => own,
        }
    }

    /// The output rows of an untied model, in the same way.
    fn current_output_rows(&self) -> Option<Vec<f32>> {
        let own = self.output.as_ref()?.values();
        Some(match &self.text {
            Some(text) => text.finish(own, text.scored.as_ref().unwrap_or(&text.read)),
            None => own,
        })
    }

    /// The current item table, quantised to 8 bits.
    ///
    /// # Errors
    /// As [`ItemTable::quantise`].
    pub fn item_table(&self) -> Result<ItemTable, ModelError> {
        ItemTable::quantise(&self.rows(), self.dims)
    }
}

/// The random generator of one step, which also seeds the device's dropout. It depends on the
/// seed and the step number only, so that a resumed training repeats the same steps.
pub(crate) fn step_rng(seed: u64, step: u64, device: &Device) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    let mut rng = StdRng::from_seed(key);
    device.seed(rng.next_u64());
    rng
}

#[cfg(test)]
mod tests {
    use tandem_generator::item_tokens::DecoderConfig;

    use super::*;
    use crate::Decoder;

    /// One step without dropout on 32 windows of different lengths.
    fn step(objective: Objective, untied: bool, parts: usize) -> (f32, Vec<f32>) {
        let config = DecoderConfig { kv_heads: 1, ..DecoderConfig::usual(8, 1, 2, 6) };
        let training = TrainingConfig { objective, untied, ..TrainingConfig::default() };
        let build = |device: &Device| Decoder::new(&config, 0.0, device);
        let mut trainer = Trainer::new(build, (20, 8), 6, training, &Device::flex()).unwrap();
        trainer.parts = parts;
        let windows: Vec<Vec<u32>> = (0..32_u32)
            .map(|user| (0..2 + user % 5).map(|at| (user * 7 + at * 3) % 20).collect())
            .collect();
        let windows: Vec<&[u32]> = windows.iter().map(Vec::as_slice).collect();
        let rates = Rates { network: 1e-2, rows: 1e-2 };
        let loss = trainer.step(&windows, rates).unwrap();
        // What the changed network and rows make of a history.
        (loss, trainer.score(&[&[1, 2, 3]]).unwrap().remove(0))
    }

    #[test]
    fn parts_of_a_batch_give_the_step_of_the_whole() {
        let sampled = Objective::SampledSoftmax { negatives: 5 };
        for (objective, untied) in
            [(Objective::FullSoftmax, false), (Objective::FullSoftmax, true), (sampled, false)]
        {
            let (whole, parts) = (step(objective, untied, 1), step(objective, untied, PARTS));
            assert!((whole.0 - parts.0).abs() < 1e-5, "{} is not {}", parts.0, whole.0);
            for (a, b) in whole.1.iter().zip(&parts.1) {
                assert!((a - b).abs() < 1e-3, "{b} is not {a}");
            }
        }
    }
}
