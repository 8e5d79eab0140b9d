//! Training an encoder and its item table on logs, natively.

mod batch;
mod objective;
mod rows;

use burn::{
    Tensor,
    grad_clipping::GradientClippingConfig,
    module::Module,
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, TensorData},
};
use rand::{SeedableRng, rngs::StdRng};

use batch::{Batch, padded};
pub use batch::{batches, windows};
pub use objective::Objective;
use objective::Plan;
use rows::TrainedRows;

use crate::{Body, ItemTable, ModelError, scorer::indices};

/// A network from item rows to hidden states; an item's score is the dot product of the
/// hidden state with its row.
pub trait Encoder: Module {
    /// The hidden state after each item: rows `[batch, length, dims]`, oldest first and
    /// padded on the right, to `[batch, length, dims]`.
    fn hidden(&self, rows: Tensor<3>) -> Tensor<3>;
}

impl Encoder for Body {
    fn hidden(&self, rows: Tensor<3>) -> Tensor<3> {
        Body::hidden(self, rows)
    }
}

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
    optimizer: ModuleOptimizer,
    config: TrainingConfig,
    dims: usize,
    max_length: usize,
    device: Device,
    rng: StdRng,
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
    /// [`ModelError::Empty`] without items; what `build` fails with.
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
        device.seed(config.seed);
        let device = device.clone().autodiff();
        let mut rng = StdRng::seed_from_u64(config.seed);
        let items = TrainedRows::random(items, dims, config.row_std, &mut rng);
        let optimizer = AdamWConfig::new()
            .with_weight_decay(config.weight_decay)
            .with_epsilon(1e-8)
            .with_beta_2(0.98)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(5.0)))
            .init();
        Ok(Self {
            encoder: build(&device)?,
            items,
            optimizer,
            config,
            dims,
            max_length,
            device,
            rng,
        })
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
        let batch = Batch::new(windows, self.max_length)?;
        let plan = Plan::new(self.config.objective, &batch, self.items.len(), &mut self.rng);
        let shape = [plan.rows.len(), self.dims];
        let leaf = Tensor::<2>::from_data(
            TensorData::new(self.items.gather(&plan.rows), shape),
            &self.device,
        )
        .require_grad();

        let inputs = leaf.clone().select(0, indices(&plan.inputs, &self.device));
        let inputs = inputs.reshape([windows.len(), batch.length, self.dims]);
        let hidden = self.encoder.hidden(inputs); // [windows, length, dims]
        // Real positions only: padding would be most of the work in a batch of short windows.
        let hidden = hidden
            .reshape([windows.len() * batch.length, self.dims])
            .select(0, indices(&batch.positions, &self.device)); // [positions, dims]
        let loss = plan.loss(hidden, leaf.clone(), &self.device);

        let mut gradients = loss.backward();
        let of_rows = leaf
            .grad_remove(&mut gradients)
            .ok_or_else(|| ModelError::Device("no gradient was recorded".into()))?
            .try_into_vec_as::<f32>()
            .map_err(device_error)?;
        let gradients = GradientsParams::from_grads(gradients, &self.encoder);
        let value = loss.try_into_scalar::<f32>().map_err(device_error)?;
        self.encoder = self.optimizer.step(rates.encoder, self.encoder.clone(), gradients);
        self.items.step(&plan.rows, &of_rows, rates.rows as f32, self.config.row_decay);
        Ok(value)
    }

    /// Scores of every item of the catalogue as the next one, for several histories (oldest
    /// first, not empty; the newest `max_length` are read).
    ///
    /// # Errors
    /// [`ModelError::Empty`] for an empty history, [`ModelError::Device`] if the device fails.
    pub fn score(&self, histories: &[&[u32]]) -> Result<Vec<Vec<f32>>, ModelError> {
        if histories.iter().any(|history| history.is_empty()) {
            return Err(ModelError::Empty("a history"));
        }
        let newest: Vec<&[u32]> = histories
            .iter()
            .map(|history| &history[history.len().saturating_sub(self.max_length)..])
            .collect();
        let length = newest.iter().map(|history| history.len()).max().unwrap_or(0);
        let device = self.device.clone().without_autodiff();
        let rows = self.items.gather(&padded(&newest, length));
        let rows = TensorData::new(rows, [newest.len(), length, self.dims]);
        let hidden = self.encoder.valid().hidden(Tensor::from_data(rows, &device));
        let last: Vec<u32> =
            newest.iter().enumerate().map(|(i, h)| (i * length + h.len() - 1) as u32).collect();
        let hidden =
            hidden.reshape([newest.len() * length, self.dims]).select(0, indices(&last, &device)); // [histories, dims]
        let table = TensorData::new(self.items.values().to_vec(), [self.items.len(), self.dims]);
        let table = Tensor::<2>::from_data(table, &device);
        let values =
            hidden.matmul(table.transpose()).try_into_vec_as::<f32>().map_err(device_error)?;
        Ok(values.chunks_exact(self.items.len()).map(<[f32]>::to_vec).collect())
    }

    /// The encoder as it stands, without autodiff.
    #[must_use]
    pub fn encoder(&self) -> E {
        self.encoder.valid()
    }

    /// The item table as it stands, `[items, dims]`.
    #[must_use]
    pub fn rows(&self) -> &[f32] {
        self.items.values()
    }

    /// The item table as it stands, in 8 bits a value.
    ///
    /// # Errors
    /// As [`ItemTable::quantise`].
    pub fn item_table(&self) -> Result<ItemTable, ModelError> {
        self.items.quantise()
    }
}

fn device_error(error: impl std::fmt::Debug) -> ModelError {
    ModelError::Device(format!("{error:?}"))
}
