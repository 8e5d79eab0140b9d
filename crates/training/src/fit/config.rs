use std::time::Duration;

/// Settings of the training loop.
#[derive(Clone, Debug)]
pub struct FitConfig {
    /// Maximum number of epochs.
    pub epochs: u32,
    /// Time limit; an epoch that would end later is not started, except the first.
    pub time_limit: Duration,
    /// Epochs without a better validation NDCG@10 before training stops.
    pub patience: u32,
    /// Maximum history length in items.
    pub max_length: usize,
    /// Maximum number of inputs per step, padding included.
    pub batch: usize,
    /// Learning rate of the network.
    pub learning_rate: f64,
    /// Learning rate of the item rows; `learning_rate` if absent.
    pub row_rate: Option<f64>,
    /// Steps of linear learning-rate warm-up.
    pub warm_up: u32,
    /// Span in epochs of the moving average of the weights; 0 for none.
    pub average: u32,
    /// Newest items of each user that are not trained on; the first of them is the validation
    /// target. May be 0 in a refit only.
    pub hold_out: usize,
    /// Train for exactly this number of epochs, without validation; replaces `epochs` and
    /// `patience`.
    pub refit: Option<u32>,
    /// Number of users to validate on, sampled by `seed`; all if absent.
    pub validation_users: Option<usize>,
    /// Seed of the order of the batches and of the validation users.
    pub seed: u64,
    /// Discard the checkpoint of an interrupted training.
    pub fresh: bool,
    /// Time between checkpoints within an epoch; one is also written after each epoch.
    pub checkpoint_interval: Duration,
}
