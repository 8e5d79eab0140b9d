use std::borrow::Cow;

use burn::{
    Tensor,
    grad_clipping::GradientClippingConfig,
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Gradients, TensorData},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use tandem_model::{ItemTable, ModelError};

use crate::{
    Objective, SequenceModel, Snapshot,
    average::Average,
    batch::Batch,
    error::device_error,
    lazy_adam::LazyAdamEmbedding,
    objective::{Plan, no_full_softmax},
    sequence_model::indices,
    text_part::{TextFeatures, TextPart},
    vocabulary::BatchVocabulary,
};

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
    /// catalogue; each item is an input for the prediction of the next.
    ///
    /// # Errors
    /// [`ModelError::Length`] for a window of another length, [`ModelError::Device`] if the
    /// device fails.
    pub fn step(&mut self, windows: &[&[u32]], rates: Rates) -> Result<f32, ModelError> {
        let batch = Batch::new(windows, self.max_length, self.config.newest_targets)?;
        self.steps += 1;
        let mut rng = step_rng(self.config.seed, self.steps, &self.device);
        let (objective, tied) = (self.config.objective, self.output.is_none());
        let plan = Plan::new(objective, &batch, self.items.len(), tied, &mut rng);
        let leaves = self.leaves(&plan.vocabulary, &mut rng);
        let inputs = leaves.read().clone().select(0, indices(&plan.inputs, &self.device));
        let inputs = inputs.reshape([windows.len(), batch.length, self.dims]);
        let loss = plan.loss(leaves.scored().clone(), &self.model, (inputs, &batch.positions))?;
        self.descend(loss, &plan.vocabulary, &leaves, rates)
    }

    /// The rows of a batch, as tensors that record gradients.
    pub(crate) fn leaves(&mut self, vocabulary: &BatchVocabulary, rng: &mut StdRng) -> Leaves {
        let (dims, device) = (self.dims, &self.device);
        let leaf = |rows: &mut LazyAdamEmbedding, ids: &[u32]| {
            let data = TensorData::new(rows.gather(ids), [ids.len(), dims]);
            Tensor::from_data(data, device).require_grad()
        };
        let text = self.text.as_mut();
        let mut of = |own: &mut LazyAdamEmbedding,
                      ids: &[u32],
                      projection: Option<(&TextPart, Tensor<2>)>| {
            let own = leaf(own, ids);
            match projection {
                None => RowLeaves { rows: own.clone(), own, projection: None },
                Some((text, projection)) => RowLeaves {
                    rows: text.compose(own.clone(), projection.clone(), ids, rng),
                    own,
                    projection: Some(projection),
                },
            }
        };
        let (mut read_projection, mut scored_projection) = (None, None);
        let text = text.map(|text| {
            read_projection = Some(leaf(&mut text.read, &text.all_dimensions));
            scored_projection =
                text.scored.as_mut().map(|scored| leaf(scored, &text.all_dimensions));
            &*text
        });
        Leaves {
            read: of(&mut self.items, vocabulary.read(), text.zip(read_projection)),
            scored: self
                .output
                .as_mut()
                .map(|output| of(output, vocabulary.scored(), text.zip(scored_projection))),
        }
    }

    /// One step of both optimisers on `loss` `[1]`; returns its value.
    pub(crate) fn descend(
        &mut self,
        loss: Tensor<1>,
        vocabulary: &BatchVocabulary,
        leaves: &Leaves,
        rates: Rates,
    ) -> Result<f32, ModelError> {
        let mut gradients = loss.backward();
        let of_read = leaves.read.gradients(&mut gradients)?;
        let of_scored =
            leaves.scored.as_ref().map(|it| it.gradients(&mut gradients)).transpose()?;
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        let value = loss.try_into_scalar::<f32>().map_err(device_error)?;
        self.model = self.optimizer.step(rates.network, self.model.clone(), gradients);
        let (rate, decay) = (rates.rows as f32, self.config.row_decay);
        self.items.step(vocabulary.read(), &of_read.own, rate, decay);
        if let (Some(output), Some(gradients)) = (&mut self.output, &of_scored) {
            output.step(vocabulary.scored(), &gradients.own, rate, decay);
        }
        if let Some(text) = &mut self.text {
            let rate = rates.network as f32;
            if let Some(gradient) = of_read.projection {
                text.read.step(&text.all_dimensions, &gradient, rate, 0.0);
            }
            let of_scored = of_scored.and_then(|gradients| gradients.projection);
            if let (Some(scored), Some(gradient)) = (&mut text.scored, of_scored) {
                scored.step(&text.all_dimensions, &gradient, rate, 0.0);
            }
        }
        Ok(value)
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

/// The rows of a batch: inputs and, for an untied model, output rows.
pub(crate) struct Leaves {
    read: RowLeaves,
    scored: Option<RowLeaves>,
}

impl Leaves {
    pub(crate) fn read(&self) -> &Tensor<2> {
        &self.read.rows
    }

    pub(crate) fn scored(&self) -> &Tensor<2> {
        &self.scored.as_ref().unwrap_or(&self.read).rows
    }
}

/// Rows, and the tensors that they are computed from.
struct RowLeaves {
    rows: Tensor<2>,
    own: Tensor<2>,
    projection: Option<Tensor<2>>,
}

/// Gradients of [`RowLeaves`].
struct RowGradients {
    own: Vec<f32>,
    projection: Option<Vec<f32>>,
}

impl RowLeaves {
    fn gradients(&self, gradients: &mut Gradients) -> Result<RowGradients, ModelError> {
        let mut of = |leaf: &Tensor<2>| {
            leaf.grad_remove(gradients)
                .ok_or_else(|| ModelError::Device("no gradient was recorded".into()))?
                .try_into_vec_as::<f32>()
                .map_err(device_error)
        };
        Ok(RowGradients {
            own: of(&self.own)?,
            projection: self.projection.as_ref().map(of).transpose()?,
        })
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
