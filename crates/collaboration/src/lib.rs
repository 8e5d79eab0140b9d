//! The collaboration of two models after `LSC4Rec` (Lv et al., KDD 2025), as pure functions on
//! slices of scores.
//!
//! The language model in the cloud returns a ranked candidate list, and the small model on the
//! device scores the same items. This crate joins the two scores ([`fusion`]), measures the
//! disagreement of the two orders ([`consistency`]), predicts the gain of a new list
//! ([`uplift`]) and decides whether to request one ([`policy`], [`budget`], [`backoff`]).
//!
//! It contains no models, item ids, clocks or I/O. Items are positions in the list (`0..C`, in
//! the language model's order), and the caller passes the time in milliseconds. The same code
//! runs in the browser, in the evaluation and in tests.
//!
//! ```
//! use tandem_collaboration::{Consistency, Fusion, order_descending};
//!
//! let (logprobs, srm) = ([-0.7, -1.2, -2.5], [-1.0, 3.0, 0.5]);
//! let fused = Fusion::default().fuse(&logprobs, &srm)?;
//! assert_eq!(fused.order, [1, 0, 2]);
//! let disagreement = Consistency::Footrule.disagreement(&[0, 1, 2], &order_descending(&srm))?;
//! assert_eq!(disagreement, 1.0);
//! # Ok::<(), tandem_collaboration::CollaborationError>(())
//! ```

pub mod backoff;
pub mod budget;
pub mod consistency;
mod error;
pub mod fusion;
pub mod normalise;
pub mod policy;
pub mod pool;
pub mod ranking;
pub mod uplift;

pub use backoff::{Backoff, BackoffLimits};
pub use budget::{BucketLimits, CallShare, TokenBucket};
pub use consistency::Consistency;
pub use error::CollaborationError;
pub use fusion::{DEFAULT_UNLISTED_GAP, Fused, Fusion, LanguageModelScore};
pub use normalise::Normalisation;
pub use policy::{
    Action, Decision, ListState, NextCall, Policy, Reason, ReasonCode, Situation, Trigger,
};
pub use pool::{PoolFeatures, state_drift};
pub use ranking::{order_descending, positions};
pub use uplift::{ListAdvantage, UpliftEvidence, UpliftModel};
