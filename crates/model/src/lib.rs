//! The small recommendation models (SRM) in Burn, and what the device needs around them.
//!
//! A model is in two parts, so that a device's cost does not grow with the catalogue:
//!
//! - the **body** ([`Body`]): the network without an item table, tens of thousands of
//!   weights, the same for everyone;
//! - **item rows** ([`QuantisedRow`], [`ItemTable`]): one vector an item, of which a device
//!   holds only those it meets.
//!
//! A body scores *gathered rows*: the rows of a history and of the candidates go in, one
//! score a candidate comes out ([`Scorer`]). What is learnt on the device is a
//! [`PersonalDelta`] on the last layer, held in plain memory beside the immutable weights:
//! the network itself is never differentiated there. Training is in `tandem-training`.
//!
//! This crate knows no item ids, no files and no network; it computes on whatever
//! [`burn::tensor::Device`] it is given. Reads are `async` because a browser's GPU can be
//! read in no other way; on the CPU they are ready at once.

mod attention;
mod body;
pub mod cells;
mod din;
mod error;
mod gru4rec;
mod learning;
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
pub use din::Din;
pub use error::ModelError;
pub use gru4rec::Gru4rec;
pub use learning::{LearningConfig, LearningExample, LearningOutcome};
pub use personal::{DELTA_VERSION, MAX_ROW_DELTAS, PersonalDelta, RowKey, StepUndo};
pub use rows::{ItemTable, QuantisedRow};
pub use sasrec::Sasrec;
pub use scorer::{EncodedHistory, Scorer, UserState};
pub use weights::{Parameter, parameters};
