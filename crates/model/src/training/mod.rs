//! Training an encoder and its item table on logs, natively.

mod average;
mod batch;
mod encoder;
mod lists;
mod objective;
mod rows;
mod snapshot;
mod state;
mod touched;

use std::borrow::Cow;

use burn::{
    Tensor,
    grad_clipping::GradientClippingConfig,
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, TensorData},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use average::Average;
use batch::Batch;
pub use batch::{batches, windows};
pub(crate) use encoder::ends;
pub use encoder::{Candidates, Encoder};
pub use lists::{ListExample, ListLoss, ListObjective};
pub use objective::Objective;
use objective::Plan;
use rows::TrainedRows;
pub use snapshot::Snapshot;
use touched::Touched;

use crate::{ItemTable, ModelError, scorer::indices};

/// How a model is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    /// The loss.
    pub objective: Objective,
    /// Decoupled weight decay of `AdamW` on the encoder.
    pub weight_decay: f32,
    /// The same on the item rows.
    pub row_decay: f32,
    /// Standard deviation of the rows at the start.
    pub row_std: f32,
    /// Whether items are scored by rows of their own, apart from those that are read
    /// (an untied output matrix).
    pub untied: bool,
    /// Of a window, the newest items that are targets; all but the first if absent.
    pub newest_targets: Option<usize>,
    /// Seed of all that is drawn.
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

/// Step sizes of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of the encoder.
    pub encoder: f64,
    /// Of the item rows.
    pub rows: f64,
}

/// A model in training.
pub struct Trainer<E: Encoder> {
    encoder: E,
    items: TrainedRows,
    /// The rows that items are scored by, if not those of `items`.
    output: Option<TrainedRows>,
    optimizer: ModuleOptimizer,
    average: Option<Average<E>>,
    config: TrainingConfig,
    dims: usize,
    max_length: usize,
    device: Device,
    /// Steps taken.
    steps: u64,
}

impl<E: Encoder> std::fmt::Debug for Trainer<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<E: Encoder> Trainer<E> {
    /// Trains what `build` makes on the device it is given, which is `device` with autodiff,
    /// for a catalogue of `items` with rows of `dims`, on windows of at most `max_length`
    /// inputs.
    ///
    /// # Errors
    /// [`ModelError::Empty`] without items, [`ModelError::Config`] for an objective that the
    /// model does not allow; what `build` fails with.
    pub fn new(
        build: impl FnOnce(&Device) -> Result<E, ModelError>,
        (items, dims): (usize, usize),
        max_length: usize,
        config: TrainingConfig,
        device: &Device,
    ) -> Result<Self, ModelError> {
        if items == 0 {
            return Err(ModelError::Empty("the catalogue"));
        }
        let mut rng = draws(config.seed, 0, device);
        let device = device.clone().autodiff();
        let encoder = build(&device)?;
        if config.objective == Objective::FullSoftmax && !encoder.is_dot_product() {
            return Err(ModelError::Config(
                "a model that looks at history and candidate together (DIN) cannot be trained \
                 on the full softmax: it would read every history once for each item of the \
                 catalogue; use binary cross-entropy or the sampled softmax"
                    .into(),
            ));
        }
        let mut rows = || TrainedRows::random(items, dims, config.row_std, &mut rng);
        let (items, output) = (rows(), config.untied.then(&mut rows));
        let optimizer = AdamWConfig::new()
            .with_weight_decay(config.weight_decay)
            .with_epsilon(1e-8)
            .with_beta_2(0.98)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(5.0)))
            .init();
        Ok(Self {
            encoder,
            items,
            output,
            optimizer,
            average: None,
            config,
            dims,
            max_length,
            device,
            steps: 0,
        })
    }

    /// Goes on from a trained item table rather than from random rows.
    ///
    /// # Errors
    /// [`ModelError::Length`] if it is of another size, [`ModelError::NotFinite`] if it
    /// holds a scale that is no number.
    pub fn start_from(&mut self, table: &ItemTable) -> Result<(), ModelError> {
        let expected = self.items.len() * self.dims;
        let found = table.len() * table.dims();
        if (self.items.len(), self.dims) != (table.len(), table.dims()) {
            return Err(ModelError::Length { what: "item table to start from", expected, found });
        }
        let mut values = Vec::with_capacity(found);
        for row in (0..table.len()).map_while(|at| table.row(at)) {
            values.extend(row?.values());
        }
        self.items = TrainedRows::new(values, self.dims);
        Ok(())
    }

    /// Begins with these rows, `[items, dims]`, rather than with random ones; an untied model
    /// with those of `output` to score by.
    ///
    /// # Errors
    /// [`ModelError::Length`] if either is of another size.
    pub fn begin_with_rows(&mut self, rows: &[f32], output: &[f32]) -> Result<(), ModelError> {
        let expected = self.items.len() * self.dims;
        for found in [rows.len(), output.len()] {
            if found != expected {
                return Err(ModelError::Length { what: "rows to begin with", expected, found });
            }
        }
        self.items = TrainedRows::new(rows.to_vec(), self.dims);
        if self.output.is_some() {
            self.output = Some(TrainedRows::new(output.to_vec(), self.dims));
        }
        Ok(())
    }

    /// One optimiser step on a batch of windows; returns the mean loss a position, in nats.
    ///
    /// A window is two or more consecutive items of one user, as positions in the
    /// catalogue, at most `max_length + 1` of them: each predicts the one after it.
    ///
    /// # Errors
    /// [`ModelError::Length`] for a window too short or too long, [`ModelError::Device`] if
    /// the device fails.
    pub fn step(&mut self, windows: &[&[u32]], rates: Rates) -> Result<f32, ModelError> {
        let batch = Batch::new(windows, self.max_length, self.config.newest_targets)?;
        self.steps += 1;
        let mut rng = draws(self.config.seed, self.steps, &self.device);
        let (objective, tied) = (self.config.objective, self.output.is_none());
        let plan = Plan::new(objective, &batch, self.items.len(), tied, &mut rng);
        let leaves = self.leaves(&plan.touched);
        let inputs = leaves.read.clone().select(0, indices(&plan.inputs, &self.device));
        let inputs = inputs.reshape([windows.len(), batch.length, self.dims]);
        let loss = plan.loss(leaves.scored().clone(), |candidates| {
            self.encoder.score(inputs, &batch.positions, candidates)
        });
        self.descend(loss, &plan.touched, &leaves, rates)
    }

    /// The rows that a step touches, as tensors whose gradients are recorded.
    fn leaves(&mut self, touched: &Touched) -> Leaves {
        let (dims, device) = (self.dims, &self.device);
        let leaf = |rows: &mut TrainedRows, ids: &[u32]| {
            let data = TensorData::new(rows.gather(ids), [ids.len(), dims]);
            Tensor::from_data(data, device).require_grad()
        };
        Leaves {
            read: leaf(&mut self.items, touched.read()),
            scored: self.output.as_mut().map(|output| leaf(output, touched.scored())),
        }
    }

    /// One step of the optimisers down `loss` `[1]`; returns its value.
    fn descend(
        &mut self,
        loss: Tensor<1>,
        touched: &Touched,
        leaves: &Leaves,
        rates: Rates,
    ) -> Result<f32, ModelError> {
        let mut gradients = loss.backward();
        let mut gradient = |leaf: &Tensor<2>| {
            leaf.grad_remove(&mut gradients)
                .ok_or_else(|| ModelError::Device("no gradient was recorded".into()))?
                .try_into_vec_as::<f32>()
                .map_err(device_error)
        };
        let of_read = gradient(&leaves.read)?;
        let of_scored = leaves.scored.as_ref().map(gradient).transpose()?;
        let gradients = GradientsParams::from_grads(gradients, &self.encoder);
        let value = loss.try_into_scalar::<f32>().map_err(device_error)?;
        self.encoder = self.optimizer.step(rates.encoder, self.encoder.clone(), gradients);
        let (rate, decay) = (rates.rows as f32, self.config.row_decay);
        self.items.step(touched.read(), &of_read, rate, decay);
        if let (Some(output), Some(gradient)) = (&mut self.output, of_scored) {
            output.step(touched.scored(), &gradient, rate, decay);
        }
        Ok(value)
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moves the average of the weights towards the weights as they stand, by `share` of
    /// the way; the first time, all the way. From then on the average is what everything
    /// below gives.
    ///
    /// # Errors
    /// [`ModelError::Device`] if the device fails.
    pub fn average(&mut self, share: f32) -> Result<(), ModelError> {
        let encoder = self.encoder.valid();
        let (rows, output) = (self.items.values(), self.output.as_ref().map(TrainedRows::values));
        if let Some(average) = &mut self.average {
            return average.step(&encoder, &rows, output.as_deref(), share);
        }
        self.average = Some(Average { encoder, rows, output });
        Ok(())
    }

    /// The model as it stands, to score histories with.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<E> {
        let sizes = (self.dims, self.max_length);
        Snapshot::new(self.encoder(), self.rows(), self.output_rows(), sizes, &self.device)
    }

    /// [`Snapshot::score`] of the model as it stands.
    ///
    /// # Errors
    /// As there.
    pub fn score(&self, histories: &[&[u32]]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.snapshot().score(histories)
    }

    /// The encoder as it stands, without autodiff.
    #[must_use]
    pub fn encoder(&self) -> E {
        self.average
            .as_ref()
            .map_or_else(|| self.encoder.valid(), |average| average.encoder.clone())
    }

    /// The item table as it stands, `[items, dims]`.
    #[must_use]
    pub fn rows(&self) -> Cow<'_, [f32]> {
        match &self.average {
            Some(average) => Cow::Borrowed(&average.rows),
            None => Cow::Owned(self.items.values()),
        }
    }

    /// The rows that items are scored by, `[items, dims]`, if the model is untied.
    #[must_use]
    pub fn output_rows(&self) -> Option<Cow<'_, [f32]>> {
        match &self.average {
            Some(average) => average.output.as_deref().map(Cow::Borrowed),
            None => self.output.as_ref().map(|output| Cow::Owned(output.values())),
        }
    }

    /// The item table as it stands, in 8 bits a value.
    ///
    /// # Errors
    /// As [`ItemTable::quantise`].
    pub fn item_table(&self) -> Result<ItemTable, ModelError> {
        ItemTable::quantise(&self.rows(), self.dims)
    }
}

/// The rows of a step: those that are read and, of an untied model, those that score.
struct Leaves {
    read: Tensor<2>,
    scored: Option<Tensor<2>>,
}

impl Leaves {
    fn scored(&self) -> &Tensor<2> {
        self.scored.as_ref().unwrap_or(&self.read)
    }
}

/// What is drawn in a step, dropout on the device included, depends on the seed and the
/// step's number alone: a training that was interrupted goes on as it would have.
fn draws(seed: u64, step: u64, device: &Device) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    let mut rng = StdRng::from_seed(key);
    device.seed(rng.next_u64());
    rng
}

fn device_error(error: impl std::fmt::Debug) -> ModelError {
    ModelError::Device(format!("{error:?}"))
}
