//! The training loop of both models: epochs, validation, early stopping, resuming.

mod config;
mod data;
mod epoch;
mod job;
mod resume;
mod train_loop;
mod validation;

pub use config::FitConfig;
pub use data::TrainingData;
pub use epoch::{Epoch, Validation, best_epoch, epoch_chart};
pub use job::{FitEvent, FitJob};
pub use train_loop::fit;
pub use validation::training_part;
