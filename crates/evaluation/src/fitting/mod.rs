//! Everything that is chosen on validation data: the fusion of the two models, the learning
//! rates of the device, the uplift rule and the thresholds of a call budget.
//!
//! `tandem calibrate` and `tandem evaluate` fit through this module, so that what is shipped
//! and what is measured are chosen the same way. `collaboration` only predicts with what is
//! fitted here. Nothing here looks at test targets.
//!
//! - [`FusionFit`]: the weight of the language model, over scored lists;
//! - [`fit_learning`]: the learning rates, over replayed sessions;
//! - [`fit_signals`]: the weights of ranking signals in the cloud;
//! - [`fit_text_weight`]: the weight of the text part of item rows;
//! - [`fit_counts_weight`]: the weight of co-occurrence counts beside the small model;
//! - [`fit_uplift`]: the ridge regression of the gain of a call;
//! - [`threshold_for`], [`fit_threshold`]: the threshold that meets a call budget;
//! - [`fit_session`], [`DecisionFit`]: all of these over the sessions of a
//!   [`SessionReplay`](crate::SessionReplay).

mod counts;
mod fusion;
mod learning;
mod session;
mod signals;
mod text_part;
mod threshold;
mod uplift;
mod weight;

pub use counts::fit_counts_weight;
pub use fusion::{FittedFusion, FusionFit, SCALES, Scales};
pub use learning::{LearningTrial, best_learning, fit_learning};
pub use session::{DecisionFit, FitChoices, HORIZON, RIDGE, RuleOutcome, SessionFit, fit_session};
pub use signals::{FittedSignals, MAX_WEIGHT, SignalSample, fit_signals};
pub use text_part::fit_text_weight;
pub use threshold::{fit_threshold, threshold_for};
pub use uplift::fit_uplift;
pub use weight::FittedWeight;

pub use crate::uplift_sample::UpliftSample;
