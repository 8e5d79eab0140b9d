//! The small recommendation models (SRM): encoding, scoring, search and learning on the device.
//!
//! A model has two parts, so that the cost on a device does not grow with the catalogue:
//!
//! - the **body** ([`Body`]): the network without an item table, tens of thousands of shared
//!   weights;
//! - **item rows** ([`QuantisedRow`], [`ItemTable`]): one vector per item. A device holds the
//!   whole table, some of its [`cells`], or only the rows it was sent.
//!
//! A [`Scorer`] encodes the rows of a history and scores the rows of candidates; [`search`]
//! finds the best rows of a table. What is learnt on the device is a [`PersonalDelta`] beside
//! the shared weights; the network itself is not differentiated there. Training of whole models
//! is in `tandem-training`.
//!
//! A [`Body`] is made of Burn tensors on any [`Device`]. A [`Scorer`] computes the same in plain
//! loops on the host, which is faster for a single history; with the feature `webgpu` it computes
//! on a [`Device`]. Its methods that read results are `async` because a browser's GPU cannot be
//! read synchronously; on the host they are ready at once. This crate does no I/O.

mod attention;
mod body;
pub mod cells;
mod checkpoint;
#[cfg(feature = "clusters")]
pub mod clusters;
mod count_rows;
#[cfg(feature = "webgpu")]
mod device_model;
mod din;
mod dropout;
mod error;
mod gru4rec;
#[cfg(not(feature = "webgpu"))]
mod host;
mod incremental_state;
mod learning;
mod parameter;
mod personal;
mod preference;
mod products;
mod rows;
mod sasrec;
mod scorer;
pub mod search;
mod weights;

pub use attention::causal_mask;
pub use body::Body;
pub use burn::tensor::Device;
pub use checkpoint::{Checkpoint, CountsPart};
pub use count_rows::{CountRows, MAX_NEIGHBOURS, counts_direction};
pub use din::Din;
pub use dropout::{Dropout, draw_dropout_on_device, seed_dropout};
pub use error::ModelError;
pub use gru4rec::Gru4rec;
pub use learning::{LearningConfig, LearningExample, LearningOutcome};
pub use parameter::Parameter;
pub use personal::{DELTA_VERSION, MAX_ROW_DELTAS, PersonalDelta, RowKey, StepUndo};
pub use rows::{ItemTable, QuantisedRow};
pub use sasrec::Sasrec;
pub use scorer::{EncodedHistory, Scorer, UserState};
pub use weights::parameters;
