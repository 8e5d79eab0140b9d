//! The method of `LSC4Rec` (Lv et al., KDD 2025) as pure functions on slices of scores.
//!
//! The language model in the cloud makes a list and an order; the small model on the
//! device scores the same list; this crate joins the two ([`fusion`]), says how far their
//! orders are apart ([`consistency`]), what a new list would gain ([`uplift`]) and whether
//! that is worth a call ([`policy`], [`budget`], [`backoff`]).
//!
//! What is absent: models, item ids, clocks and I/O. A list is known by the positions of
//! its items (`0..C`, in the language model's order), and time is a number of
//! milliseconds that the caller brings. The same code therefore runs in the browser, in
//! the evaluation and in tests.

pub mod backoff;
pub mod budget;
pub mod consistency;
mod error;
pub mod fusion;
pub mod normalise;
pub mod policy;
pub mod ranking;
pub mod uplift;

pub use backoff::{Backoff, BackoffLimits};
pub use budget::{BucketLimits, CallShare, TokenBucket};
pub use consistency::Consistency;
pub use error::CollaborationError;
pub use fusion::{Fused, Fusion, LanguageModelScore};
pub use normalise::Normalisation;
pub use policy::{Action, Decision, ListState, NextCall, Policy, Reason, Situation, Trigger};
pub use ranking::{order_descending, positions};
pub use uplift::{ListAdvantage, UpliftEvidence, UpliftModel};
