//! Training: the small models (SRM) and the item-token language model, on logs.
//!
//! A [`Trainer`] holds a [`SequenceModel`] (a [`Body`](tandem_model::Body) or a [`Decoder`])
//! and its item table, and takes optimiser steps on batches of histories
//! ([`Trainer::step`]) or of candidate lists ([`Trainer::step_lists`]). [`fit`](fit::fit) is
//! the training loop around it: epochs, validation, early stopping and resuming. The result
//! is a [`Checkpoint`](tandem_model::Checkpoint) (small model) or an
//! [`ItemTokenModel`](tandem_generator::item_tokens::ItemTokenModel) (language model).
//!
//! Training needs Burn's autodiff, which no device build compiles: `tandem-model` holds
//! everything that a device runs, this crate everything else. It knows no command line and
//! prints nothing.
//!
//! ```
//! use tandem_model::{Body, Device};
//! use tandem_protocol::{ModelConfig, ModelKind};
//! use tandem_training::{Rates, Trainer, TrainingConfig};
//!
//! let config =
//!     ModelConfig { kind: ModelKind::Sasrec, dims: 8, blocks: 1, heads: 2, max_length: 6 };
//! let mut trainer = Trainer::new(
//!     |device| Body::new(&config, 0.0, device),
//!     (4, config.dims), // four items
//!     config.max_length,
//!     TrainingConfig::default(),
//!     &Device::flex(),
//! )?;
//! // Each user's items, oldest first, as positions in the catalogue.
//! let loss = |trainer: &mut Trainer<Body>| {
//!     trainer.step(&[&[0, 1, 2, 3], &[1, 2, 3, 0]], Rates { network: 0.01, rows: 0.01 })
//! };
//! let first = loss(&mut trainer)?;
//! for _ in 0..20 {
//!     loss(&mut trainer)?;
//! }
//! assert!(loss(&mut trainer)? < first);
//! # Ok::<(), tandem_model::ModelError>(())
//! ```

mod average;
mod batch;
pub mod cells;
mod decoder;
mod device;
mod error;
pub mod fit;
mod full_softmax;
mod gradients;
pub mod initial;
mod lazy_adam;
mod lists;
mod objective;
mod part;
mod sequence_model;
mod snapshot;
mod state;
mod text_part;
mod trainer;
mod vocabulary;

pub use batch::{batches, windows};
pub use decoder::{Decoder, item_token_model};
pub use error::TrainingError;
pub use lists::{ListExample, ListLoss, ListObjective};
pub use objective::Objective;
pub use sequence_model::{Candidates, SequenceModel};
pub use snapshot::Snapshot;
pub use text_part::TextFeatures;
pub use trainer::{Rates, Trainer, TrainingConfig};
